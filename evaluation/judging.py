"""How right answers are, and how far they are those of the whole model on the uncompressed picture."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from models.bundle import Bundle
from models.errors import ModelError
from models.parts import truth
from models.samples import Sample
from models.tasks import Prediction

Metric = Literal["accuracy", "mean absolute error"]
NEAR = 0.5
"""A regression agrees when it moves by at most half of its unit."""


@dataclass(frozen=True)
class Score:
    """One task judged: accuracy as a share or an error in the task's unit, and the share of unchanged answers.

    `pictures` counts those with a known target; the agreement is of all.
    """

    task: str
    metric: Metric
    value: float
    agreement: float
    pictures: int

    def loss_points(self, reference: Score) -> float:
        """Return by how much this is worse than the reference: points of accuracy, or per cent of the error."""
        if self.metric == "accuracy":
            return 100 * (reference.value - self.value)
        return 100 * (self.value - reference.value) / max(reference.value, 1e-9)


def need_labels(bundle: Bundle, samples: Sequence[Sample]) -> None:
    """Raise ModelError unless some label or value of the bundle's tasks is known."""
    if not any(truth(bundle, sample) for sample in samples):
        tasks = ", ".join(task.name for task in bundle.tasks)
        raise ModelError(
            f"none of the {len(samples)} pictures has a known label of {tasks}; expected some, to tell what is right"
        )


class Tally:
    """Adds up the answers to many pictures."""

    def __init__(self) -> None:
        self._errors: dict[str, list[float]] = defaultdict(list)
        self._agreed: dict[str, list[bool]] = defaultdict(list)
        self._metrics: dict[str, Metric] = {}

    def add(
        self, found: Sequence[Prediction], reference: Sequence[Prediction], targets: Mapping[str, str | float]
    ) -> None:
        """Count one picture's answers against the reference's answers and the truth (a label or a value by task)."""
        for one, other in zip(found, reference, strict=True):
            self._metrics[one.task] = "accuracy" if one.label is not None else "mean absolute error"
            self._agreed[one.task].append(agrees(one, other))
            target = targets.get(one.task)
            if target is not None:
                self._errors[one.task].append(_error(one, target))

    def scores(self) -> tuple[Score, ...]:
        """Return one score per task that has a known target."""
        return tuple(
            Score(
                task, self._metrics[task], _value(self._metrics[task], errors), _mean(self._agreed[task]), len(errors)
            )
            for task, errors in self._errors.items()
        )


def agrees(one: Prediction, other: Prediction) -> bool:
    """Tell whether two predictions are the same answer."""
    if one.value is not None and other.value is not None:
        return abs(one.value - other.value) <= NEAR
    return one.label == other.label


def _error(found: Prediction, target: str | float) -> float:
    if found.value is not None:
        return abs(found.value - float(target))
    return float(found.label != target)


def _value(metric: Metric, errors: Sequence[float]) -> float:
    return 1 - _mean(errors) if metric == "accuracy" else _mean(errors)


def _mean(values: Sequence[float] | Sequence[bool]) -> float:
    return sum(values) / len(values)
