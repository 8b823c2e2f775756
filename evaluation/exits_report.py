"""The table and the figures of `headwater evaluate exits`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from evaluation.exits import TO_CLOUD, TO_EDGE_SITE, Measured, Row, is_thesis, opened
from headwater.plots import new_figure, save_svg, write_csv
from models.answers import Answers, Outcome
from models.choices import Rule
from models.exits import LOW_IS_SURE, MEASURES
from models.tasks import Task

THESIS: Final[Sequence[Mapping[str, Any]]] = (
    {"setting": "thesis: split, no exits", "share exit1": 0.0, "share exit2": 0.0, "share end": 1.0,
     "accuracy gender": 0.85, "accuracy age-group": 0.61, "edge site to plain": 1.0},
    {"setting": "thesis: exits, 0.6 / 0.8", "share exit1": 0.20, "share exit2": 0.36, "share end": 0.44,
     "accuracy gender": 0.85, "accuracy age-group": 0.57, "edge site to plain": 0.95},
)  # fmt: skip
"""Source: papers/000, table 4.4 and chapter 5, on 100 pictures; five age groups."""


def save(folder: Path, measured: Measured) -> None:
    """Write the table as CSV and the figures as SVG."""
    stem, answers, rule = f"exits-{measured.bundle.name}", measured.answers, measured.bundle.exits[0].rule
    tasks = [task for task in measured.bundle.tasks if task.kind == "classification"]
    plain, ours = measured.rows[0].found, measured.rows[1].found
    write_csv(folder / f"{stem}.csv", table(measured))
    plot_sureness(folder / f"{stem}-sureness.svg", answers, rule, measured.thresholds)
    plot_paths(folder / f"{stem}-paths.svg", answers, ours, tasks)
    plot_confusions(folder / f"{stem}-confusion.svg", answers, {"without exits": plain, "with exits": ours}, tasks)


def table(measured: Measured) -> list[dict[str, Any]]:
    """Return one entry per setting, the thesis's figures last; what a document does not say is empty."""
    own = [_entry(row, measured.answers, measured.rows[0]) for row in measured.rows]
    theirs = THESIS if is_thesis(measured.bundle) else ()
    return [*own, *({key: entry.get(key, "") for key in own[0]} for entry in theirs)]


def _entry(row: Row, answers: Answers, plain: Row) -> dict[str, Any]:
    shares = {f"share {place.name}": round(s, 4) for place, s in zip(answers.places, row.found.shares, strict=True)}
    return {
        "setting": row.setting,
        "pictures": answers.pictures,
        **shares,
        **{f"accuracy {task}": round(value, 4) for task, value in row.found.accuracy.items()},
        **{f"loss {task}": round(value, 4) for task, value in row.found.loss.items()},
        **{f"error {task}": round(value, 3) for task, value in row.found.error.items()},
        "madds": round(row.found.madds),
        "mean ms": round(row.mean_ms, 2),
        "latency to plain": round(row.mean_ms / plain.mean_ms, 4),
        "edge site ms": round(row.edge_site_ms, 2),
        "edge site to plain": round(row.edge_site_ms / plain.edge_site_ms, 4),
    }


def plot_sureness(path: Path, answers: Answers, rule: Rule, limits: Mapping[str, Mapping[str, float]]) -> None:
    """Write how sure right and wrong answers are at each exit, as figures 3.11 and 3.12 of the thesis.

    Each of the two adds up to 100 %; pictures whose label is not known are in neither.
    """
    panels = [(place, task) for place in answers.exits for task in place.scores]
    title = f"how sure right and wrong answers are: {rule} after temperature scaling, and the thresholds in use"
    figure, axes = new_figure(len(panels), title, panel=(4.2, 3.6))
    for axis, (place, task) in zip(axes, panels, strict=True):
        measured, known = MEASURES[rule](place.scores[task]), answers.truth[task] >= 0
        right = place.scores[task].argmax(axis=1) == answers.truth[task]
        edges = np.linspace(0, float(measured.max()) or 1.0, 31)
        for mask, name, colour in ((right & known, "right", "C0"), (~right & known, "wrong", "C1")):
            if mask.any():
                shares = np.full(mask.sum(), 100 / mask.sum())
                label = f"{name} ({mask.sum():,})"
                axis.hist(measured[mask], edges, weights=shares, color=colour, alpha=0.55, label=label)
        limit = limits.get(place.name, {}).get(task)
        if limit is not None:
            axis.axvline(limit, color="black", linestyle=":", label=f"leaves {_side(rule)} {limit:.3g}")
        axis.set(title=f"{place.name}: {task}", xlabel=rule, ylabel="% of the right, of the wrong")
        axis.legend(loc="upper center" if rule in LOW_IS_SURE else "upper left")
    save_svg(figure, path)


def _side(rule: Rule) -> str:
    return "below" if rule in LOW_IS_SURE else "from"


def plot_paths(path: Path, answers: Answers, found: Outcome, tasks: Sequence[Task]) -> None:
    """Write where the pictures of each label leave, and how many are wrong there, as figure 4.5 of the thesis.

    Easy is what leaves at the first exit, hard what goes to the end, medium what leaves between.
    """
    figure, axes = new_figure(len(tasks), "who leaves where; hatched: answered wrongly there", panel=(5.6, 4.4))
    for axis, task in zip(axes, tasks, strict=True):
        _paths(axis, answers, found, task)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(answers.places))
    save_svg(figure, path)


def _paths(axis: Any, answers: Answers, found: Outcome, task: Task) -> None:
    places, truth, positions = answers.places, answers.truth[task.name], np.arange(len(task.labels))
    right = answers.right(task.name)[found.left, np.arange(len(found.left))]
    counts, width = [int((truth == label).sum()) for label in positions], 0.8 / len(places)
    for number in range(len(places)):
        here = [(found.left == number) & (truth == label) for label in positions]
        shares = [100 * mask.sum() / max(1, n) for mask, n in zip(here, counts, strict=True)]
        wrong = [100 * (mask & ~right).sum() / max(1, n) for mask, n in zip(here, counts, strict=True)]
        bars = axis.bar(positions + number * width, shares, width, label=difficulty(answers, number))
        axis.bar(positions + number * width, wrong, width, color="none", edgecolor="black", hatch="//")
        axis.bar_label(bars, fmt="%.0f", fontsize=7)
    labels = [f"{label}\n({n:,})" for label, n in zip(task.labels, counts, strict=True)]
    axis.set_xticks(positions + 0.4 - width / 2, labels)
    axis.set(title=task.name, ylabel="% of the pictures of this label", ylim=(0, 108))


def difficulty(answers: Answers, number: int) -> str:
    """Return what the thesis calls the pictures that leave at this place. Source: papers/000, figure 4.5."""
    if number == len(answers.exits):
        return f"hard: go to the {answers.final.name}"
    return f"{'medium' if number else 'easy'}: leave at {answers.exits[number].name}"


def plot_confusions(path: Path, answers: Answers, settings: Mapping[str, Outcome], tasks: Sequence[Task]) -> None:
    """Write the confusion matrices of each setting and task, as figures 4.6 and 4.7 of the thesis."""
    panels = [(name, found, task) for name, found in settings.items() for task in tasks]
    figure, axes = new_figure(len(panels), "confusion matrices, % of each row")
    for axis, (name, found, task) in zip(axes, panels, strict=True):
        shares = confusion(answers, found, task)
        axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row, column in np.ndindex(*shares.shape):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axis.text(column, row, f"{100 * shares[row, column]:.0f}", ha="center", va="center", color=colour)
        axis.set_xticks(range(len(task.labels)), task.labels)
        axis.set_yticks(range(len(task.labels)), task.labels)
        axis.set(title=f"{task.name}: {name}", xlabel="said", ylabel="is")
    save_svg(figure, path)


def confusion(answers: Answers, found: Outcome, task: Task) -> np.ndarray:
    """Return (labels, labels) shares of each true label by what was said where its pictures left."""
    said = np.array([place.scores[task.name].argmax(axis=1) for place in answers.places])
    said = said[found.left, np.arange(len(found.left))]
    counts = np.zeros((len(task.labels), len(task.labels)))
    known = answers.truth[task.name] >= 0
    np.add.at(counts, (answers.truth[task.name][known], said[known]), 1)
    return np.asarray(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))


def sentences(measured: Measured) -> Iterator[str]:
    """Yield what the latencies are made of."""
    stages, rows = measured.stages, measured.rows
    plain, ours = stages.reached[frozenset()][-1], stages.reached[opened(measured.bundle, measured.thresholds)][-1]
    yield (
        f"split {stages.split}: head {plain:.2f} ms without exits, {ours:.2f} ms with the calibrated ones asked; tail "
        f"{stages.tail:.2f} ms; {stages.payload_bytes:,.0f} B travel. Times of this machine, one thread."
    )
    yield (
        "links computed from the thesis's means. mean ms: head on the device, its mobile link (34.5 Mbit/s, 24.16 ms) "
        f"behind it, {TO_EDGE_SITE.ms(stages.payload_bytes):.2f} ms. edge site ms: as the thesis ran it, the picture "
        f"over that link, {TO_EDGE_SITE.ms(stages.picture_bytes):.2f} ms, head and exits behind it, the cloud near "
        f"(1356 Mbit/s, 6.636 ms), {TO_CLOUD.ms(stages.payload_bytes):.2f} ms."
    )
    for row in rows[1:]:
        change, site = (100 * (one / of - 1) for one, of in (
            (row.mean_ms, rows[0].mean_ms), (row.edge_site_ms, rows[0].edge_site_ms)
        ))  # fmt: skip
        yield (
            f"{row.setting}: {row.found.early:.1%} leave early, mean latency {change:+.1f} % against the plain split, "
            f"{site:+.1f} % in the thesis's arrangement"
        )
