"""The figures of one exit or many beside the document's, as CSV and SVG."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Final

from evaluation.one_or_many import Asked, Row
from evaluation.plots import new_figure, save_svg

THRESHOLD: Final = 0.3
"""The one that the document shows. Source: Lee et al. 2021, section 4.1."""
PLACES: Final = range(1, 9)
Key = tuple[str, int]
THEIRS: Final[dict[str, dict[Key, float]]] = {
    "edge_accuracy": {("SEM", 1): 87.20, ("SEM", 8): 95.24},
    "cloud_accuracy": {("SEM", 1): 88.51, ("SEM", 2): 86.13, ("SEM", 8): 58.07},
    "overall_accuracy": {("SEM", 3): 86.04, ("SEM", 8): 92.04, ("MEM", 2): 84.31, ("MEM", 8): 86.10},
    "overall_ms": {("SEM", 5): 3.795, ("MEM", 3): 4.82, ("MEM", 5): 4.886},
    "exited": {("SEM", 8): 10_000 - 861},
}
"""Printed in the text at T = 0.3; the rest is in plots. Source: Lee et al. 2021, sections 4.2 and 4.3."""
THEIR_EXITS: Final[dict[str, dict[Key, float]]] = {
    "exit_accuracy": {
        ("SEM", 2): 72.65,
        ("SEM", 3): 77.76,
        ("SEM", 6): 88.92,
        ("SEM", 7): 90.98,
        ("MEM", 2): 64.59,
        ("MEM", 4): 76.06,
    },
    "final_accuracy": {("SEM", 7): 92.10, **{("MEM", place): 88.58 for place in PLACES}},
}
"""Every picture asked at the exit and at the end. Source: Lee et al. 2021, section 4.5."""


def write_all(folder: Path, rows: Sequence[Row], asked: Sequence[Asked]) -> None:
    """Write the two tables and the three plots into a folder."""
    write_rows(folder / "one-or-many.csv", rows)
    write_exits(folder / "one-or-many-exits.csv", asked)
    plot_threshold(folder / "one-or-many.svg", rows)
    plot_thresholds(folder / "one-or-many-thresholds.svg", rows)
    plot_exits(folder / "one-or-many-exits.svg", asked)


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write one line per network, exit and threshold, the document's figures behind ours."""
    names = [field.name for field in fields(Row)]
    lines = []
    for row in rows:
        theirs = {
            f"papers_003_{name}": known.get((row.kind, row.exit), "") if row.threshold == THRESHOLD else ""
            for name, known in THEIRS.items()
        }
        lines.append(asdict(row) | theirs)
    _write(path, [*names, *(f"papers_003_{name}" for name in THEIRS)], lines)


def write_exits(path: Path, asked: Iterable[Asked]) -> None:
    """Write one line per network and exit: its accuracy and the final one when every picture is asked at both."""
    lines = []
    for one in asked:
        line: dict[str, Any] = {"network": one.network, "kind": one.kind, "seed": one.seed, "exit": one.exit}
        line |= {"exit_accuracy": round(100 * float(one.exit_right.mean()), 2)}
        line |= {"final_accuracy": round(100 * float(one.final_right.mean()), 2)}
        lines.append(
            line | {f"papers_003_{name}": known.get((one.kind, one.exit), "") for name, known in THEIR_EXITS.items()}
        )
    names = ["network", "kind", "seed", "exit", "exit_accuracy", "final_accuracy"]
    _write(path, [*names, *(f"papers_003_{name}" for name in THEIR_EXITS)], lines)


def _write(path: Path, names: Sequence[str], lines: Iterable[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: "" if value is None else value for name, value in line.items()} for line in lines)


def _values(rows: Sequence[Row], kind: str, place: int, threshold: float, name: str) -> list[float]:
    found = [getattr(row, name) for row in rows if (row.kind, row.exit, row.threshold) == (kind, place, threshold)]
    return [float(value) for value in found if value is not None]


def plot_threshold(path: Path, rows: Sequence[Row], threshold: float = THRESHOLD) -> None:
    """Draw how many leave, accuracies and latency by place at one threshold: the document's figures 5 and 6."""
    figure, axes = new_figure(3, f"One exit (SEM) or eight (MEM), CIFAR-10, normalised entropy < {threshold:g}")
    at = f"T = {threshold:g}"
    _lines(axes[0], rows, threshold, {"exited": "-"}, "pictures that leave at the exit")
    _lines(axes[1], rows, threshold, {"overall_accuracy": "-", "edge_accuracy": "--", "cloud_accuracy": ":"}, "% right")
    _lines(axes[2], rows, threshold, {"overall_ms": "-", "edge_ms": "--"}, "ms, stages on this machine, no network")
    if threshold == THRESHOLD:
        for axis, name in ((axes[0], "exited"), (axes[1], "overall_accuracy")):
            _theirs(axis, THEIRS[name], name)
    for axis in axes:
        axis.set_title(at)
        axis.legend(fontsize=7)
    save_svg(figure, path)


def plot_thresholds(path: Path, rows: Sequence[Row]) -> None:
    """Draw the same over the thresholds: the document's figures 7 and 8."""
    figure, axes = new_figure(3, "One exit (full lines) or eight (broken lines) at several thresholds, CIFAR-10")
    thresholds = sorted({row.threshold for row in rows})
    for axis, name, title in (
        (axes[0], "exited", "pictures that leave at the exit"),
        (axes[1], "overall_accuracy", "% right overall"),
        (axes[2], "overall_ms", "ms a picture, no network"),
    ):
        for number, threshold in enumerate(thresholds):
            for kind, style in (("SEM", "-"), ("MEM", "--")):
                _line(axis, rows, kind, threshold, name, f"C{number}", style, f"{kind}, T = {threshold:g}")
        axis.set(xlabel="place of the exit", title=title, xticks=list(PLACES))
        axis.legend(fontsize=7)
    save_svg(figure, path)


def plot_exits(path: Path, asked: Sequence[Asked]) -> None:
    """Draw every picture's accuracy at the exit and at the end: the document's figure 10."""
    figure, (axis,) = new_figure(1, "Every picture asked at the exit and at the end, CIFAR-10")
    measured: tuple[tuple[str, Callable[[Asked], float], str], ...] = (
        ("at the exit", lambda one: 100 * float(one.exit_right.mean()), "-"),
        ("at the end", lambda one: 100 * float(one.final_right.mean()), "--"),
    )
    for kind, colour in (("SEM", "C0"), ("MEM", "C1")):
        for title, value, style in measured:
            points = [
                (place, [value(one) for one in asked if (one.kind, one.exit) == (kind, place)]) for place in PLACES
            ]
            known = [(place, statistics.fmean(values)) for place, values in points if values]
            if known:
                axis.plot(*zip(*known, strict=True), style, color=colour, marker="o", label=f"{kind}, {title}")
    for name, known_there in THEIR_EXITS.items():
        _theirs(axis, known_there, name.replace("_", " "))
    axis.set(xlabel="place of the exit", ylabel="% right", xticks=list(PLACES))
    axis.legend(fontsize=7)
    save_svg(figure, path)


def _lines(axis: Any, rows: Sequence[Row], threshold: float, names: dict[str, str], title: str) -> None:
    for kind, colour in (("SEM", "C0"), ("MEM", "C1")):
        for name, style in names.items():
            _line(axis, rows, kind, threshold, name, colour, style, f"{kind}, {name.replace('_', ' ')}")
    axis.set(xlabel="place of the exit", ylabel=title, xticks=list(PLACES))


def _line(
    axis: Any, rows: Sequence[Row], kind: str, threshold: float, name: str, colour: str, style: str, label: str
) -> None:
    """Draw the mean over the seeds, with bars from the least to the most where there are several."""
    points = [(place, _values(rows, kind, place, threshold, name)) for place in PLACES]
    known = [(place, values) for place, values in points if values]
    if not known:
        return
    means = [statistics.fmean(values) for _, values in known]
    spread = [
        [max(0.0, mean - min(values)) for mean, (_, values) in zip(means, known, strict=True)],
        [max(0.0, max(values) - mean) for mean, (_, values) in zip(means, known, strict=True)],
    ]
    axis.errorbar(
        [place for place, _ in known], means, yerr=spread, color=colour, linestyle=style, marker="o", markersize=3,
        capsize=2, label=label,
    )  # fmt: skip


def _theirs(axis: Any, known: dict[Key, float], name: str) -> None:
    for kind, colour in (("SEM", "C0"), ("MEM", "C1")):
        points = [(place, value) for (its, place), value in known.items() if its == kind]
        if points:
            label = f"papers/003, {kind}, {name.replace('_', ' ')}"
            axis.plot(*zip(*points, strict=True), "x", color=colour, label=label)
