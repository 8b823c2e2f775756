"""A decision as rows, as plain values for JSON, as a sentence, and as a picture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from headwater.errors import SettingsError
from planning.decide import Judged, Method, Rates, chosen

STAGES: Final = ("crop", "head", "encode", "uplink", "wait", "decode", "tail")


def rows(judged: Sequence[Judged], currency: str, *, priced: bool) -> tuple[list[str], list[list[str]]]:
    """Return the header and a row for every way, milliseconds per stage, in the order of the network."""
    cost = [f"{currency} / million"] if priced else []
    header = ["way", "bytes", *STAGES, "total ms", *cost, "why not"]
    lines = []
    for one in judged:
        stages = [f"{seconds * 1e3:.2f}" for seconds in _stages(one)]
        money = [f"{one.cost * 1e6:,.2f}"] if priced else []
        total = f"{one.journey.total_s * 1e3:.1f}"
        reason = one.reason if one.reason is not None else "chosen"
        lines.append([one.way.name, f"{one.journey.payload_bytes:,.0f}", *stages, total, *money, reason])
    return header, lines


def as_dicts(judged: Sequence[Judged], rates: Rates) -> list[dict[str, Any]]:
    """Return every way as plain values: seconds, bytes, money, joules."""
    return [
        {
            "split": one.way.split,
            "codec": one.way.codec,
            "chosen": one.reason is None,
            "reason": one.reason,
            "allowed": one.is_allowed,
            "pareto": one.is_on_front,
            "latency_s": one.journey.total_s,
            "stages_s": dict(zip(STAGES, _stages(one), strict=True)),
            "bytes": one.journey.payload_bytes,
            "cost": one.cost,
            "currency": rates.currency,
            "charged": list(rates.names),
            "energy_j": one.energy_j,
            "exits": {found.name: found.share for found in one.way.exits},
            "exits_unknown": list(one.way.unknown_exits),
            "accuracy": one.way.accuracy,
            "leak_ssim": one.way.leak_ssim,
        }
        for one in judged
    ]


def verdict(judged: Sequence[Judged], weight: float, method: Method, rates: Rates) -> str:
    """Return the choice in a line or two: what, how long, among how many, by whose prices, and what nobody knows."""
    best, allowed = chosen(judged), sum(one.is_allowed for one in judged)
    exits = ", ".join(f"{found.share:.0%} leave at {found.name}" for found in best.way.exits)
    unknown = sorted({name for one in judged for name in one.way.unknown_exits})
    charged = f", prices of {', '.join(rates.names)}" if rates.names else ""
    line = (
        f"{best.way.name}: {best.journey.total_s * 1e3:.1f} ms for the mean frame{f', {exits}' if exits else ''}; "
        f"best of {allowed} allowed of {len(judged)} by {method}, weight {weight:g}{charged}"
    )
    if unknown:
        line += f"\nHow many leave at {', '.join(unknown)} is not known, and counted as none: calibrate the bundle."
    return line


def check_plot(path: Path) -> None:
    """Say beforehand what would keep a plot from being drawn. Raises: SettingsError, ImportError, OSError."""
    import matplotlib as mpl  # noqa: F401  so that a missing one is said now

    if path.suffix != ".svg":
        raise SettingsError(f"plot: got {str(path)!r}, expected a name that ends in .svg")
    path.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise SettingsError(f"plot: {path} cannot be written, expected a file of yours; check the rights")


def draw(path: Path, judged: Sequence[Judged], name: str) -> None:
    """Draw every way as a bar of its stages, the chosen one's name marked, what no limit allows pale."""
    from headwater.plots import new_figure, save_svg

    figure, (axes,) = new_figure(1, f"{name}: predicted stages of every way", (8.0, 0.28 * len(judged) + 1.6))
    places = list(range(len(judged)))
    starts = [0.0] * len(judged)
    for number, stage in enumerate(STAGES):
        lengths = [_stages(one)[number] * 1e3 for one in judged]
        colours = [(f"C{number}", 1.0 if one.is_allowed else 0.25) for one in judged]
        axes.barh(places, lengths, left=starts, color=colours)
        axes.bar(0, 0, color=f"C{number}", label=stage)
        starts = [start + length for start, length in zip(starts, lengths, strict=True)]
    axes.set_yticks(places, [f"> {one.way.name}" if one.reason is None else one.way.name for one in judged])
    axes.invert_yaxis()
    axes.set_xlabel("milliseconds of the mean frame")
    axes.legend(ncols=len(STAGES), fontsize=7, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
    save_svg(figure, path)


def _stages(one: Judged) -> list[float]:
    return [getattr(one.journey, f"{stage}_s") for stage in STAGES]
