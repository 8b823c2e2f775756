"""The figures of one exit or many, as the document drew them: its figures 5 to 8 and 10."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from evaluation.one_or_many import Asked, Row
from evaluation.one_or_many_report import PLACES, THEIR_EXITS, THEIRS, THRESHOLD, Key
from headwater.plots import new_figure, save_svg

THEIR_PICTURES: Final = 10_000
_COLOURS: Final = {"SEM": "C0", "MEM": "C1"}
_PANELS: Final = {
    "exited": "% of the pictures that leave at the exit",
    "edge_accuracy": "% right of those that leave (edge)",
    "cloud_accuracy": "% right of those that go on (cloud)",
    "overall_accuracy": "% right overall",
    "overall_ms": "ms a picture overall, no network",
}
_STAGES: Final = {"edge_ms": "-", "cloud_ms": ":"}


def plot_all(folder: Path, rows: Sequence[Row], asked: Sequence[Asked]) -> None:
    """Write the three plots into a folder."""
    plot_threshold(folder / "one-or-many.svg", rows)
    plot_thresholds(folder / "one-or-many-thresholds.svg", rows)
    plot_exits(folder / "one-or-many-exits.svg", asked)


def plot_threshold(path: Path, rows: Sequence[Row], threshold: float = THRESHOLD) -> None:
    """Draw how many leave, accuracies and latencies by place at one threshold: the document's figures 5 and 6."""
    title = f"One exit (SEM) or eight (MEM), CIFAR-10, normalised entropy < {threshold:g}"
    figure, axes = new_figure(6, title, panel=(4.6, 3.3), columns=3)
    for axis, (name, label) in zip(axes, _PANELS.items(), strict=False):
        for kind, colour in _COLOURS.items():
            _line(axis, rows, kind, threshold, name, colour, "-", kind)
        if threshold == THRESHOLD:
            _theirs(axis, their_marks(name), "x", "papers/003")
        axis.set(ylabel=label)
    for kind, colour in _COLOURS.items():
        for name, style in _STAGES.items():
            _line(axes[5], rows, kind, threshold, name, colour, style, f"{kind}, {name.removesuffix('_ms')}")
    axes[5].set(ylabel="ms to the exit (edge), end (cloud)")
    _finish(figure, axes, [axes[3], axes[5]])
    save_svg(figure, path)


def plot_thresholds(path: Path, rows: Sequence[Row]) -> None:
    """Draw the same over the thresholds: the document's figures 7 and 8."""
    title = "One exit (SEM, full lines) or eight (MEM, broken lines) at several thresholds, CIFAR-10"
    figure, axes = new_figure(6, title, panel=(4.6, 3.3), columns=3)
    thresholds = sorted({row.threshold for row in rows})
    for axis, (name, label) in zip(axes, _PANELS.items(), strict=False):
        for number, threshold in enumerate(thresholds):
            for kind, style in (("SEM", "-"), ("MEM", "--")):
                _line(axis, rows, kind, threshold, name, f"C{number}", style, f"{kind}, T = {threshold:g}")
        axis.set(ylabel=label)
    axes[5].remove()
    _finish(figure, axes[:5], axes[:1])
    save_svg(figure, path)


def plot_exits(path: Path, asked: Sequence[Asked]) -> None:
    """Draw every picture's accuracy at the exit and at the end: the document's figure 10."""
    figure, axes = new_figure(1, "Every picture asked at the exit and at the end, CIFAR-10")
    measured: tuple[tuple[str, Callable[[Asked], float], str], ...] = (
        ("at the exit", lambda one: 100 * float(one.exit_right.mean()), "-"),
        ("at the end", lambda one: 100 * float(one.final_right.mean()), "--"),
    )
    for kind, colour in _COLOURS.items():
        for title, value, style in measured:
            points = [
                (place, [value(one) for one in asked if (one.kind, one.exit) == (kind, place)]) for place in PLACES
            ]
            known = [(place, statistics.fmean(values)) for place, values in points if values]
            if known:
                axes[0].plot(*zip(*known, strict=True), style, color=colour, marker="o", label=f"{kind}, {title}")
    for (title, _, _), known_there, mark in zip(measured, THEIR_EXITS.values(), "x+", strict=True):
        _theirs(axes[0], known_there, mark, f"papers/003, {title}")
    axes[0].set(ylabel="% right")
    _finish(figure, axes, axes, columns=2)
    save_svg(figure, path)


def their_marks(name: str) -> dict[Key, float]:
    """Return what the document printed, as our panel shows it; nothing of milliseconds, since its hold a network."""
    known = THEIRS.get(name, {}) if not name.endswith("_ms") else {}
    return {key: 100 * value / THEIR_PICTURES for key, value in known.items()} if name == "exited" else dict(known)


def _values(rows: Sequence[Row], kind: str, place: int, threshold: float, name: str) -> list[float]:
    found = [row for row in rows if (row.kind, row.exit, row.threshold) == (kind, place, threshold)]
    shown = [100 * row.exited / row.pictures if name == "exited" else getattr(row, name) for row in found]
    return [float(value) for value in shown if value is not None]


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


def _theirs(axis: Any, known: Mapping[Key, float], mark: str, label: str) -> None:
    for kind, colour in _COLOURS.items():
        points = [(place, value) for (its, place), value in known.items() if its == kind]
        if points:
            axis.plot(*zip(*points, strict=True), mark, markersize=8, color=colour, label=f"{kind}, {label}")


def _finish(figure: Any, axes: Sequence[Any], named: Sequence[Any], columns: int = 4) -> None:
    """Put the places below each panel, and one legend of all that is in the `named` ones below the figure."""
    for axis in axes:
        axis.set(xlabel="place of the exit", xticks=list(PLACES))
        axis.grid(alpha=0.3)
    legend = dict(_legend(named))
    figure.legend(list(legend.values()), list(legend), loc="outside lower center", ncols=columns, fontsize=8)


def _legend(named: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    for axis in named:
        handles, labels = axis.get_legend_handles_labels()
        yield from zip(labels, handles, strict=True)
