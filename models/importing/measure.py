"""The accuracy of an imported bundle, at its end and at its exits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from models.answers import Answers, outcome
from models.bundle import Bundle
from models.importing.request import Measured
from models.judge import judge
from models.manifest import Accuracy
from models.samples import Sample
from models.training.measure import measured_accuracy

WORSE: Final = 0.01
"""The share of the pictures, or of an error, from which on int8 is warned of."""


def measure(bundle: Bundle, samples: Sequence[Sample], part: str, threads: int, tick: Callable[[], None]) -> Measured:
    """Return what a bundle does on labelled pictures, computed by its own file."""
    found = judge(bundle, samples, threads=threads, tick=tick)
    answers, pictures = found.answers, len(found.samples)
    rows = [
        row
        for place in range(len(answers.places))
        for row in (*_classified(answers, place, part), *_valued(answers, place, part))
    ]
    rows = sorted(rows, key=lambda row: " at " in row.metric)
    if not bundle.exits:
        return Measured(part, pictures, tuple(rows), None)
    limits = {one.name: one.thresholds for one in bundle.exits}
    together = outcome(answers, limits, bundle.exits[0].rule)
    return Measured(part, pictures, tuple(rows), together)


def said_of_int8(before: Measured, after: Measured) -> list[str]:
    """Return what the answers of a float file became in int8, for a person; a file that answers worse is warned of."""
    found, by_name = [], {(row.task, row.metric): row for row in after.accuracy}
    for old in before.accuracy:
        new = by_name[old.task, old.metric]
        said = f"{old.task}, {old.metric}: {_shown(old)} in float32, {_shown(new)} in int8 ({before.part})."
        worse = old.value - new.value > WORSE if old.low is not None else new.value > (1 + WORSE) * old.value
        advice = " int8 answers worse: show it more pictures with --data, or leave --int8 out."
        found.append(f"Warning: {said}{advice}" if worse else said)
    return found


def _shown(row: Accuracy) -> str:
    return f"{row.value:.3g}" if row.low is None else f"{row.value:.1%}"


def _at(answers: Answers, place: int) -> str:
    return "" if place == len(answers.exits) else f" at {answers.places[place].name}"


def _classified(answers: Answers, place: int, part: str) -> list[Accuracy]:
    found = []
    for task, truth in answers.truth.items():
        right = answers.right(task)[place][truth >= 0]
        if len(right):
            metric = f"accuracy{_at(answers, place)}"
            found.append(measured_accuracy(task, metric, int(right.sum()), len(right), part))
    return found


def _valued(answers: Answers, place: int, part: str) -> list[Accuracy]:
    found = []
    for task, truth in answers.true_values.items():
        known = np.isfinite(truth)
        if known.any():
            error = float(np.abs(answers.places[place].values[task] - truth)[known].mean())
            metric = f"mean absolute error{_at(answers, place)}"
            found.append(Accuracy(task, metric, error, None, None, int(known.sum()), part))
    return found
