"""What a network with exits says of labelled pictures, and what thresholds make of it. Pure: arrays in, figures out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

import numpy as np

from models.certainty import temperature
from models.choices import Rule
from models.exits import LOW_IS_SURE, MEASURES
from models.tasks import tempered

Thresholds = Mapping[str, Mapping[str, float]]
"""By exit and task, as the rule knows them; an exit that lacks one of its tasks lets nobody leave."""
NOBODY_LEAVES: Final[Thresholds] = {}


@dataclass(frozen=True)
class Place:
    """What one place of a network, an exit or its end, says of n pictures."""

    name: str
    scores: Mapping[str, np.ndarray]
    """By classification: (n, labels) probabilities."""
    madds: int
    """Multiply-adds of a picture that is answered here and asked at no exit before."""
    values: Mapping[str, np.ndarray] = field(default_factory=dict)
    """By regression: (n,)."""
    branch: int = 0
    """Of these, those that only this exit's answer takes: what a picture pays that is asked here and goes on."""


@dataclass(frozen=True)
class Answers:
    """What a network says of n labelled pictures at its exits, in their order, and at its end."""

    exits: tuple[Place, ...]
    final: Place
    truth: Mapping[str, np.ndarray]
    """By classification: (n,) numbers of labels, -1 where not known."""
    true_values: Mapping[str, np.ndarray] = field(default_factory=dict)
    """By regression: (n,), NaN where not known."""

    @property
    def places(self) -> tuple[Place, ...]:
        """The exits and the end."""
        return (*self.exits, self.final)

    @property
    def pictures(self) -> int:
        """How many pictures."""
        return len(next(iter((*self.final.scores.values(), *self.final.values.values()))))

    def among(self, exits: Collection[str]) -> Answers:
        """Return the same of a network that has only these exits."""
        return replace(self, exits=tuple(place for place in self.exits if place.name in exits))

    def rows(self, chosen: np.ndarray) -> Answers:
        """Return the same for some of the pictures."""
        exits = tuple(_rows(place, chosen) for place in self.exits)
        truth = {task: values[chosen] for task, values in self.truth.items()}
        true_values = {task: values[chosen] for task, values in self.true_values.items()}
        return Answers(exits, _rows(self.final, chosen), truth, true_values)

    def temperatures(self) -> dict[str, dict[str, float]]:
        """Return by place and task what fits its confidence to its accuracy."""
        return {
            place.name: {task: temperature(scores, self.truth[task]) for task, scores in place.scores.items()}
            for place in self.places
        }

    def tempered(self, temperatures: Mapping[str, Mapping[str, float]]) -> Answers:
        """Return the same after temperature scaling."""
        places = [
            replace(place, scores={t: tempered(s, temperatures[place.name][t]) for t, s in place.scores.items()})
            for place in self.places
        ]
        return replace(self, exits=tuple(places[:-1]), final=places[-1])

    def right(self, task: str) -> np.ndarray:
        """Return (places, n) which of the pictures each place is right about."""
        return self._right[task]

    @cached_property
    def _right(self) -> Mapping[str, np.ndarray]:
        return {
            task: np.array([place.scores[task].argmax(axis=1) == truth for place in self.places])
            for task, truth in self.truth.items()
        }


@dataclass(frozen=True)
class Outcome:
    """What thresholds do to n pictures."""

    left: np.ndarray
    """(n,) the number of the exit where each leaves; one past the last exit where it goes to the end."""
    shares: tuple[float, ...]
    """How many leave at each exit and at the end, as shares of all."""
    accuracy: Mapping[str, float]
    losses: Mapping[str, np.ndarray]
    """By classification: (n,) 1 where the end alone would have been right, -1 where only this is, else 0."""
    loss: Mapping[str, float]
    """By classification: the accuracy of the end minus this accuracy, over the same pictures."""
    error: Mapping[str, float]
    """By regression: the mean absolute error."""
    madds: float
    """Expected multiply-adds of a picture; an exit at which nobody may leave is not computed."""

    @property
    def early(self) -> float:
        """The share that leaves at any exit."""
        return 1.0 - self.shares[-1]


Unsure = Sequence[Mapping[str, np.ndarray]]
"""By exit and task: (n,) how unsure it is; larger is less sure, whatever the rule."""


def unsure(answers: Answers, rule: Rule) -> Unsure:
    """Return how unsure each exit is of each picture."""
    return [{t: sign(rule) * MEASURES[rule](s) for t, s in place.scores.items()} for place in answers.exits]


def sign(rule: Rule) -> float:
    """Return what turns the measure of a rule, and its thresholds, into how unsure an answer is."""
    return 1.0 if rule in LOW_IS_SURE else -1.0


def outcome(answers: Answers, thresholds: Thresholds, rule: Rule, measured: Unsure | None = None) -> Outcome:
    """Return what thresholds do to these pictures; `measured` spares `unsure` where it is known."""
    measured = unsure(answers, rule) if measured is None else measured
    limits = [thresholds.get(place.name, {}) for place in answers.exits]
    left = np.full(answers.pictures, len(answers.exits))
    for number in reversed(range(len(answers.exits))):
        if is_open(answers.exits[number], limits[number]):
            left[_leaving(measured[number], limits[number], rule)] = number
    shares = np.bincount(left, minlength=len(answers.places)) / max(1, len(left))
    accuracy, losses, loss = {}, {}, {}
    for task, truth in answers.truth.items():
        known, right = truth >= 0, answers.right(task).astype(np.int8)
        here = right[left, np.arange(len(left))]
        losses[task] = right[-1] - here
        accuracy[task] = float(here[known].mean()) if known.any() else 0.0
        loss[task] = float(losses[task][known].mean()) if known.any() else 0.0
    return Outcome(
        left=left,
        shares=tuple(float(share) for share in shares),
        accuracy=accuracy,
        losses=losses,
        loss=loss,
        error={task: _error(answers, task, left) for task in answers.true_values},
        madds=float(shares @ _costs(answers, limits)),
    )


def is_open(place: Place, limits: Mapping[str, float]) -> bool:
    """Tell whether anybody may leave here; a device does not compute an exit where nobody may."""
    return bool(place.scores) and all(task in limits for task in place.scores)


def losses_at_splits(found: Outcome) -> list[Mapping[str, np.ndarray]]:
    """Return `losses` of every split that leaves some of the exits before it: who would leave later goes to the end."""
    used = [number for number, share in enumerate(found.shares[:-2]) if share]
    fewer = [{task: lost * (found.left <= number) for task, lost in found.losses.items()} for number in used]
    return [*fewer, found.losses]


def _costs(answers: Answers, limits: Sequence[Mapping[str, float]]) -> np.ndarray:
    """Return (places,) the multiply-adds of a picture that leaves there, the open exits before it included."""
    branches = [place.branch * is_open(place, found) for place, found in zip(answers.exits, limits, strict=True)]
    return np.asarray([place.madds for place in answers.places] + np.concatenate([[0], np.cumsum(branches)]))


def _leaving(measured: Mapping[str, np.ndarray], limits: Mapping[str, float], rule: Rule) -> np.ndarray:
    """Return (n,) who leaves, as models.exits.ExitRule decides: at the limit itself only where high is sure."""
    if rule in LOW_IS_SURE:
        return np.asarray(np.all([values < limits[task] for task, values in measured.items()], axis=0))
    return np.asarray(np.all([values <= -limits[task] for task, values in measured.items()], axis=0))


def _error(answers: Answers, task: str, left: np.ndarray) -> float:
    known = np.isfinite(answers.true_values[task])
    said = np.array([place.values[task] for place in answers.places])[left, np.arange(len(left))]
    return float(np.abs(said - answers.true_values[task])[known].mean()) if known.any() else 0.0


def _rows(place: Place, chosen: np.ndarray) -> Place:
    scores = {task: scores[chosen] for task, scores in place.scores.items()}
    return replace(place, scores=scores, values={task: values[chosen] for task, values in place.values.items()})
