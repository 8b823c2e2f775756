"""The bytes of every split as table, CSV and plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from evaluation.plots import log_bytes, new_figure, save_svg
from evaluation.wire import Row, worst_loss
from models.engine import IMAGE

_FAMILIES = ("jpeg", "webp", "png")


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
        if codec.endswith("+zstd"):
            for row, (x, y) in zip(cuts, spots, strict=True):
                axes.annotate(row.split, (x, y), fontsize=5, rotation=60, xytext=(1, 3), textcoords="offset points")
    log_bytes(axes)
    axes.set_ylabel(label)
    axes.grid(alpha=0.3)
