"""The bytes of every split as table, CSV and plot."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from evaluation.wire import Row, worst_loss
from headwater.plots import log_bytes, new_figure, save_svg
from models.engine import IMAGE

_FAMILIES = ("jpeg", "webp", "png")
_LABEL_WIDTH: Final = 0.025
"""What a name that stands upright takes of a panel's width."""


def table(rows: Sequence[Row], chosen: Mapping[str, str]) -> Table:
    """Return the table that a terminal shows; the chosen codec of a split is marked."""
    tasks = [score.task for score in rows[0].scores]
    out = Table("split", "codec", box=None, header_style="bold", pad_edge=False)
    for head in ("bytes", "largest", *(f"{task}" for task in tasks), *(f"agree {task}" for task in tasks), "loss"):
        out.add_column(head, justify="right", no_wrap=True)
    out.add_column("")
    for row in rows:
        values = [_value(row, task) for task in tasks]
        agreements = [f"{100 * row.score(task).agreement:.1f}%" for task in tasks]
        mark = "chosen" if chosen.get(row.split) == row.codec else ""
        sizes = [f"{row.bytes_mean:,.0f}", f"{row.bytes_largest:,}"]
        out.add_row(row.split, row.codec, *sizes, *values, *agreements, f"{worst_loss(row, rows[0]):+.1f}", mark)
    return out


def _value(row: Row, task: str) -> str:
    score = row.score(task)
    return f"{100 * score.value:.1f}%" if score.metric == "accuracy" else f"{score.value:.2f}"


def as_dicts(rows: Sequence[Row], chosen: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return one flat entry per row and task, as written to CSV and JSON."""
    return [
        {
            "split": row.split,
            "codec": row.codec,
            "bytes_mean": round(row.bytes_mean, 1),
            "bytes_largest": row.bytes_largest,
            "task": score.task,
            "metric": score.metric,
            "value": round(score.value, 5),
            "agreement": round(score.agreement, 5),
            "loss_points": round(score.loss_points(rows[0].score(score.task)), 3),
            "pictures": score.pictures,
            "chosen": chosen.get(row.split) == row.codec,
        }
        for row in rows
        for score in row.scores
    ]


def plot(path: Path, rows: Sequence[Row], title: str) -> None:
    """Write the SVG of accuracy and agreement against bytes: pictures as lines, cut points as named dots."""
    tasks = [score.task for score in rows[0].scores]
    figure, axes = new_figure(2 * len(tasks), f"{title}: what a picture costs to send, and what the answer is worth")
    for number, task in enumerate(tasks):
        metric = rows[0].score(task).metric
        of_metric = {(row.split, row.codec): row.score(task).value for row in rows}
        agreement = {(row.split, row.codec): row.score(task).agreement for row in rows}
        _panel(axes[2 * number], rows, of_metric, f"{task}, {metric}")
        _panel(axes[2 * number + 1], rows, agreement, f"{task}, same answer as uncompressed")
    axes[0].legend(fontsize=8, loc="lower right")
    save_svg(figure, path)


def _panel(axes: Any, rows: Sequence[Row], values: Mapping[tuple[str, str], float], label: str) -> None:
    for family in _FAMILIES:
        line = [row for row in rows if row.split == IMAGE and row.codec.startswith(family)]
        points = sorted((row.bytes_mean, values[row.split, row.codec]) for row in line)
        axes.plot(*zip(*points, strict=True), marker="o", markersize=3, linewidth=1, label=family.upper())
    for number, codec in enumerate(dict.fromkeys(row.codec for row in rows if row.split != IMAGE)):
        cuts = [row for row in rows if row.split != IMAGE and row.codec == codec]
        spots = [(row.bytes_mean, values[row.split, row.codec]) for row in cuts]
        look = {"marker": "xs^vD*Ph"[number % 8], "color": f"C{number + len(_FAMILIES)}"}
        axes.scatter(*zip(*spots, strict=True), s=18, label=f"cut, {codec}", **look)
    log_bytes(axes)
    axes.set_ylabel(label)
    axes.grid(alpha=0.3)
    _name_cuts(axes, rows, values)


def _name_cuts(axes: Any, rows: Sequence[Row], values: Mapping[tuple[str, str], float]) -> None:
    """Name cut points where they cost least, inside the frame; of neighbours only the cheaper one."""
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    cheapest = {row.split: row for row in sorted(rows, key=lambda row: -row.bytes_mean) if row.split != IMAGE}
    places = {split: math.log(row.bytes_mean / left) / math.log(right / left) for split, row in cheapest.items()}
    for split in apart(places, _LABEL_WIDTH):
        row = cheapest[split]
        y = values[row.split, row.codec]
        upper = y > (low + high) / 2
        axes.annotate(
            split, (row.bytes_mean, y), fontsize=6, rotation=90, ha="center", va="top" if upper else "bottom",
            xytext=(0, -5 if upper else 5), textcoords="offset points",
        )  # fmt: skip


def apart(places: Mapping[str, float], width: float) -> list[str]:
    """Return the names from the least place on, without those that lie within `width` of the one before."""
    named: list[str] = []
    for name in sorted(places, key=places.__getitem__):
        if not named or places[name] - places[named[-1]] >= width:
            named.append(name)
    return named
