"""Numbers as people read them, pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from headwater.messages import Box, Position, Prediction
from visualizer.fleet_map import MADE_UP

UNKNOWN: Final = "–"


def moment(wall_ns: int | None) -> str:
    """Return a wall time as date and time in UTC."""
    if wall_ns is None:
        return UNKNOWN
    try:
        return datetime.fromtimestamp(wall_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OSError, OverflowError):
        return f"{wall_ns} ns"


def size(size_bytes: float) -> str:
    """Return bytes with three digits and a decimal prefix."""
    for unit in ("B", "KB", "MB", "GB"):
        if size_bytes < 1000:
            return f"{size_bytes:.3g} {unit}" if unit != "B" else f"{size_bytes:.0f} B"
        size_bytes /= 1000
    return f"{size_bytes:.3g} TB"


def bandwidth(bits_per_s: float | None) -> str:
    """Return bits per second with a decimal prefix."""
    if bits_per_s is None:
        return UNKNOWN
    for unit in ("bit/s", "kbit/s", "Mbit/s"):
        if bits_per_s < 1000:
            return f"{bits_per_s:.3g} {unit}"
        bits_per_s /= 1000
    return f"{bits_per_s:.3g} Gbit/s"


def place(position: Position | None) -> str:
    """Return a position in degrees, where it comes from, and how sure it is."""
    if position is None:
        return "no position"
    north = f"{abs(position.latitude):.5f}° {'N' if position.latitude >= 0 else 'S'}"
    east = f"{abs(position.longitude):.5f}° {'E' if position.longitude >= 0 else 'W'}"
    sure = f" ± {position.accuracy_m:.0f} m" if position.accuracy_m is not None else ""
    return f"{north}, {east}{sure}"


def is_made_up(position: Position | None) -> bool:
    """Tell whether nobody measured this position."""
    return position is not None and position.source == MADE_UP


def outcome(prediction: Prediction) -> str:
    """Return what a prediction says: label or value."""
    if prediction.label is not None:
        return prediction.label
    return UNKNOWN if prediction.value is None else f"{prediction.value:.4g}"


def box(found: Box) -> str:
    """Return where in the picture something is, and how large, in its pixels."""
    return f"{found.width} × {found.height} pixels at {found.x}, {found.y}"
