"""A real fleet beside its simulation, as a table, as CSV and as a plot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from evaluation.fleet import Row
from models.columns import in_columns
from planning.times import FrameTimes

_HEADER = ("devices", "rate", "what", "predicted", "±", "measured", "ratio")


def table(rows: Sequence[Row]) -> str:
    """Return every figure as a line: predicted, measured, and one over the other."""
    shown = [
        [
            str(row.devices), f"{row.rate:g}", f"{row.what}{f', {row.unit}' if row.unit else ''}",
            f"{row.predicted:.3g}", f"{row.margin:.2g}", f"{row.measured:.3g}", f"{row.ratio:.2f}",
        ]
        for row in rows
    ]  # fmt: skip
    return in_columns(_HEADER, shown, _HEADER[3:])


def save(folder: Path, rows: Sequence[Row], times: FrameTimes) -> None:
    """Write fleet.csv, and fleet.svg with the latency and the wait over the pictures a second of all devices."""
    from headwater.plots import new_figure, save_svg, write_csv

    entries = [
        {
            "split": times.split,
            "codec": times.codec,
            "devices": row.devices,
            "pictures a second of each": row.rate,
            "what": row.what,
            "unit": row.unit,
            "predicted": f"{row.predicted:.5g}",
            "margin": f"{row.margin:.3g}",
            "measured": f"{row.measured:.5g}",
            "ratio": f"{row.ratio:.4g}",
            "machine": times.machine,
        }
        for row in rows
    ]
    write_csv(folder / "fleet.csv", entries)
    title = f"{rows[0].devices} devices, one worker, split {times.split}: predicted from one device, and real"
    figure, panels = new_figure(2, title, (5.2, 4.0))
    for axes, what in zip(panels, ("capture to answer", "wait at the worker"), strict=True):
        for number, name in enumerate(("p50", "p95", "p99")):
            own = [row for row in rows if row.what == f"{what}, {name}"]
            asked = [row.devices * row.rate for row in own]
            margins = [row.margin for row in own]
            axes.errorbar(asked, [row.predicted for row in own], margins, color=f"C{number}", capsize=3, label=name)
            axes.plot(asked, [row.measured for row in own], "o", color=f"C{number}", label=f"{name}, real")
        axes.set(xlabel="pictures a second, all devices", ylabel="ms", title=what, yscale="log")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    save_svg(figure, folder / "fleet.svg")
