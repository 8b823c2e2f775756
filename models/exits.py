"""Early exits: how sure an answer is, and whether a frame may leave with it. NumPy only.

The rules are those of the field: entropy in nats (Teerapittayanon et al., BranchyNet, 2016), the same divided by its
largest value (Lee et al. 2021), the top probability, and its margin over the second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

import numpy as np

from models.choices import Rule

Decision = Literal["leave", "go on", "drop"]
LOW_IS_SURE: Final = frozenset({"entropy", "normalised-entropy"})


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """Return the entropy of each row in nats. `probabilities` is (…, classes); a probability of 0 adds nothing."""
    p = np.asarray(probabilities, np.float64)
    safe = np.where(p > 0, p, 1.0)
    return np.asarray((p * np.log(1 / safe)).sum(axis=-1))


def normalised_entropy(probabilities: np.ndarray) -> np.ndarray:
    """Return the entropy divided by that of a uniform answer: 0 is sure, 1 knows nothing; 0 for one class."""
    classes = np.asarray(probabilities).shape[-1]
    largest = float(np.log(classes)) if classes > 1 else 1.0
    return np.asarray(entropy(probabilities) / largest)


def top_probability(probabilities: np.ndarray) -> np.ndarray:
    """Return the largest probability of each row."""
    return np.asarray(np.max(probabilities, axis=-1), np.float64)


def margin(probabilities: np.ndarray) -> np.ndarray:
    """Return by how much the largest probability of each row is above the second; with one class, the probability."""
    ordered = np.sort(np.asarray(probabilities, np.float64), axis=-1)
    second = ordered[..., -2] if ordered.shape[-1] > 1 else 0.0
    return np.asarray(ordered[..., -1] - second)


MEASURES: Final[Mapping[str, Callable[[np.ndarray], np.ndarray]]] = {
    "entropy": entropy,
    "normalised-entropy": normalised_entropy,
    "top-probability": top_probability,
    "margin": margin,
}


def is_sure(rule: Rule, measured: np.ndarray, threshold: float) -> np.ndarray:
    """Tell of each measure whether it is sure: below the threshold for entropies, at or above it for the others."""
    return np.asarray(measured < threshold if rule in LOW_IS_SURE else measured >= threshold)


class Scored(Protocol):
    """What the rule must know of a prediction; a regression has no scores."""

    @property
    def task(self) -> str: ...
    @property
    def label(self) -> str | None: ...
    @property
    def scores(self) -> Sequence[float]: ...


@dataclass(frozen=True)
class ExitRule:
    """When a frame leaves at an exit: every classification task is surer than its threshold.

    A task without a threshold is never sure enough. A frame is hopeless when there are tasks with a `drop` threshold
    and each of them is less sure than that.
    """

    rule: Rule
    thresholds: Mapping[str, float]
    drop: Mapping[str, float] = field(default_factory=dict)
    tasks: frozenset[str] = frozenset()
    """The classifications that the exit answers, and that may be given a threshold."""

    @property
    def can_end(self) -> bool:
        """Tell whether a frame can end here at all; an exit at which none can need not be computed."""
        return bool(self.drop) or (bool(self.thresholds) and self.tasks <= self.thresholds.keys())

    def decide(self, predictions: Sequence[Scored]) -> Decision:
        """Return what becomes of a frame with these predictions; regressions ride along."""
        measured = {p.task: MEASURES[self.rule](np.asarray(p.scores)) for p in predictions if p.label is not None}
        if measured and all(
            task in self.thresholds and is_sure(self.rule, value, self.thresholds[task])
            for task, value in measured.items()
        ):
            return "leave"
        hopeless = [
            not is_sure(self.rule, measured[task], limit) for task, limit in self.drop.items() if task in measured
        ]
        return "drop" if hopeless and all(hopeless) else "go on"
