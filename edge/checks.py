"""What a device can be told, held against what it can be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from headwater.errors import SettingsError
from headwater.sight import parse_address
from headwater.traces import check_share, check_traces
from headwater.verdict import check_unwell_after

if TYPE_CHECKING:
    from edge.commands import EdgeSettings

LARGEST: Final = 1e15
"""Keeps infinity out, and numbers that clocks and counters cannot hold."""
LEAST_SPOOL_BYTES: Final = 4096
LARGEST_WINDOW: Final = 32_767
"""Twice that many results may come at once. Source: MQTT 5.0, section 3.1.2.11.3 (Receive Maximum)."""
LARGEST_EXPIRY_S: Final = 4_294_967_295
"""Source: MQTT 5.0, section 3.3.2.3.3 (Message Expiry Interval)."""


def check_settings(settings: EdgeSettings) -> None:
    """Pass if every number is within its bounds, and every address is one. Raises: SettingsError, MissingPart."""
    check_unwell_after(settings.unwell_after)
    if settings.metrics is not None:
        parse_address(settings.metrics)
    check_traces(settings.traces)
    check_share(settings.trace_share)
    if settings.home_assistant is not None:
        from edge.home_assistant import checked_prefix

        checked_prefix(settings.home_assistant_prefix)
    for name in ("rate", "frames", "max_frame_bytes", "window", "timeout", "expire", "threads"):
        value = getattr(settings, name)
        if value is not None and not 0 < value <= LARGEST:
            raise SettingsError(f"{name.replace('_', '-')}: got {value}, expected a finite number above 0")
    if not 0 <= settings.drain <= LARGEST:
        raise SettingsError(f"drain: got {settings.drain}, expected 0 or more seconds")
    if not LEAST_SPOOL_BYTES <= settings.spool_bytes <= LARGEST:
        raise SettingsError(f"spool-bytes: got {settings.spool_bytes}, expected at least {LEAST_SPOOL_BYTES}")
    check_keeping(settings)
    if settings.window > LARGEST_WINDOW:
        raise SettingsError(f"window: got {settings.window}, expected at most {LARGEST_WINDOW}")
    if settings.expire is not None and settings.expire > LARGEST_EXPIRY_S:
        raise SettingsError(f"expire: got {settings.expire:g}, expected at most {LARGEST_EXPIRY_S} seconds")


def check_keeping(settings: EdgeSettings) -> None:
    """Pass if what is said of late frames and stale cameras can hold. Raises: SettingsError."""
    keeping = settings.keeping
    if not 0 <= keeping.stale_after <= LARGEST:
        raise SettingsError(f"stale-after: got {keeping.stale_after}, expected 0 (never) or more seconds")
    if keeping.late == "answer" and settings.expire is None:
        raise SettingsError("late: got answer, and no frame is ever late without --expire; add --expire SECONDS")
