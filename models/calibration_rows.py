"""The figures of a calibration: classes, calibration errors, the curve; as rows, CSV and a plot."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.answers import Answers, Outcome
from models.calibration import Calibration, Point
from models.certainty import calibration_error


@dataclass(frozen=True)
class ClassRow:
    """One label of one task at one place: who leaves there, how right they are, and how sure."""

    task: str
    label: str
    place: str
    pictures: int
    """Of this label, all."""
    left: int
    """Of these, how many leave here."""
    accuracy: float | None
    """Of those that leave here; None where none does."""
    accuracy_at_end: float | None
    """What the end would have reached on the same pictures."""
    confidence: float | None
    """Mean confidence of those that leave here."""

    @property
    def overconfidence(self) -> float | None:
        """By how much the confidence is above the accuracy."""
        return None if self.confidence is None or self.accuracy is None else self.confidence - self.accuracy


def class_rows(answers: Answers, found: Outcome, labels: Mapping[str, Sequence[str]]) -> list[ClassRow]:
    """Return, for each task, label and place, who leaves and how right and sure they are."""
    return [
        _class_row(answers, found, task, number, label, place)
        for task, truth in answers.truth.items()
        for number, label in enumerate(labels[task])
        for place in range(len(answers.places))
        if (truth == number).any()
    ]


def _class_row(answers: Answers, found: Outcome, task: str, number: int, label: str, place: int) -> ClassRow:
    of_label = answers.truth[task] == number
    here = of_label & (found.left == place)
    scores = answers.places[place].scores[task][here]
    right = answers.right(task)[:, here]
    some = bool(here.any())
    return ClassRow(
        task=task,
        label=label,
        place=answers.places[place].name,
        pictures=int(of_label.sum()),
        left=int(here.sum()),
        accuracy=float(right[place].mean()) if some else None,
        accuracy_at_end=float(right[-1].mean()) if some else None,
        confidence=float(scores.max(axis=1).mean()) if some else None,
    )


def calibration_errors(answers: Answers, result: Calibration) -> dict[str, dict[str, tuple[float, float]]]:
    """Return by place and task the expected calibration error before and after temperature scaling.

    Measured on the pictures that did not choose the temperatures.
    """
    before, after = answers.rows(result.held), answers.tempered(result.temperatures).rows(result.held)
    return {
        old.name: {
            task: (
                calibration_error(old.scores[task], before.truth[task]),
                calibration_error(new.scores[task], after.truth[task]),
            )
            for task in old.scores
        }
        for old, new in zip(before.places, after.places, strict=True)
    }


def curve_csv(result: Calibration, answers: Answers) -> str:
    """Return every candidate as a row: shares, accuracy and loss per task, expected multiply-adds, thresholds."""
    return _csv(_curve_row(point, answers) for point in result.curve)


def _curve_row(point: Point, answers: Answers) -> dict[str, Any]:
    found = point.outcome
    row: dict[str, Any] = {f"share {p.name}": s for p, s in zip(answers.places, found.shares, strict=True)}
    row |= {f"accuracy {task}": value for task, value in found.accuracy.items()}
    row |= {f"loss {task}": value for task, value in found.loss.items()}
    row |= {f"error {task}": value for task, value in found.error.items()}
    row |= {"madds": round(found.madds), "p": point.p_value}
    for place in answers.exits:
        limits = point.thresholds.get(place.name, {})
        row |= {f"threshold {place.name}/{task}": limits.get(task, "") for task in place.scores}
    return row


def classes_csv(rows: Sequence[ClassRow]) -> str:
    """Return the rows of the classes as CSV."""
    return _csv(asdict(row) | {"overconfidence": row.overconfidence} for row in rows)


def _csv(rows: Iterator[dict[str, Any]]) -> str:
    listed = list(rows)
    out = io.StringIO()
    writer = csv.DictWriter(out, list(listed[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in listed)
    return out.getvalue()


def plot(path: Path, result: Calibration, answers: Answers, max_loss: float) -> None:
    """Write the curve as SVG: accuracy against the share that leaves early, and against expected multiply-adds."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.2), sharey=True, layout="constrained")
    early = np.array([point.outcome.early for point in result.curve]) * 100
    cost = np.array([point.outcome.madds for point in result.curve]) / 1e6
    for task in answers.truth:
        accuracy = np.array([point.outcome.accuracy[task] for point in result.curve]) * 100
        for axes, along in ((left, early), (right, cost)):
            (line,) = axes.plot(along, accuracy, marker=".", label=task)
            axes.axhline(accuracy[0] - max_loss * 100, color=line.get_color(), linestyle=":", linewidth=1)
    for axes, chosen in ((left, result.chosen.outcome.early * 100), (right, result.chosen.outcome.madds / 1e6)):
        axes.axvline(chosen, color="grey", linewidth=1, label="chosen")
        axes.grid(alpha=0.3)
    left.set(xlabel="leave early, % of pictures", ylabel="accuracy, %", title=f"dotted: {max_loss:.2%} below the end")
    right.set(xlabel="expected multiply-adds, millions", title=f"rule: {result.rule}")
    left.legend()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
