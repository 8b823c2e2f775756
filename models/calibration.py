"""Thresholds of early exits, chosen so that what is lost in accuracy stays within a bound with stated confidence.

A third of the pictures orders the candidates: from nobody leaves to everybody leaves, each step opening the exit and
task that saves most for what it costs. The other pictures test them in that order, and the first that may cost too much
ends the search, so that no picture is asked twice about the same thing. Source: Angelopoulos et al. 2021, Learn then
Test, section 2.2 (fixed-sequence testing); Laufer-Goldenthal et al. 2023, Pareto Testing (an order from pictures of its
own).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from models.answers import NOBODY_LEAVES, Answers, Outcome, Thresholds, Unsure, outcome, sign, unsure
from models.certainty import bet
from models.rules import Rule

STEPS: Final = 25
"""Thresholds tried at each exit and task, each letting as many more pictures pass."""
ORDERING_SHARE: Final = 1 / 3
_DIGITS: Final = 6


@dataclass(frozen=True)
class Point:
    """One candidate on the way from nobody leaves to everybody leaves."""

    thresholds: Thresholds
    outcome: Outcome
    """On all pictures."""
    p_value: float
    """How likely so good a test is if some task loses more than allowed; 1 where it was not tested."""


@dataclass(frozen=True)
class Calibration:
    """The thresholds that were found, and the way there."""

    rule: Rule
    chosen: Point
    """The fewest expected multiply-adds of those that passed; nobody leaves where none did."""
    curve: tuple[Point, ...]
    temperatures: Mapping[str, Mapping[str, float]]
    """By place and task."""
    held: np.ndarray
    """The pictures that tested, by number; the others ordered."""

    @property
    def is_found(self) -> bool:
        """Tell whether any candidate passed."""
        return bool(self.chosen.thresholds)


def calibrate(answers: Answers, rule: Rule, max_loss: float, confidence: float, seed: int = 0) -> Calibration:
    """Return thresholds with the fewest expected multiply-adds whose loss is within the bound.

    Args:
        answers: of pictures that no training saw
        rule: by which the exits decide
        max_loss: allowed loss of accuracy of each task, as a share: 0.005 is half a point
        confidence: of the statement that each task loses at most that, as a share; with 0 the sample mean decides
        seed: of which pictures order the candidates, and of the order in which the others are bet on
    """
    order = np.random.default_rng(seed).permutation(answers.pictures)
    ordering, held = np.split(order, [round(len(order) * ORDERING_SHARE)])
    temperatures = answers.rows(ordering).temperatures()
    answers = answers.tempered(temperatures)
    testing, measured = answers.rows(held), unsure(answers, rule)
    best = Point(NOBODY_LEAVES, outcome(answers, NOBODY_LEAVES, rule, measured), 0.0)
    curve, passing = [best], True
    for thresholds in _candidates(answers.rows(ordering), rule):
        p_value, passing = _test(testing, thresholds, rule, max_loss, confidence) if passing else (1.0, False)
        curve.append(Point(thresholds, outcome(answers, thresholds, rule, measured), p_value))
        if passing and curve[-1].outcome.madds < best.outcome.madds:
            best = curve[-1]
    return Calibration(rule, best, tuple(curve), temperatures, held)


def _test(
    answers: Answers, thresholds: Thresholds, rule: Rule, max_loss: float, confidence: float
) -> tuple[float, bool]:
    """Return the p-value of "some task loses more than allowed", which is the worst task's, and whether this passes."""
    found = outcome(answers, thresholds, rule)
    worst = 0.0
    for task, truth in answers.truth.items():
        right = answers.right(task).astype(float)
        losses = right[-1] - right[found.left, np.arange(len(found.left))]
        worst = max(worst, bet(losses[truth >= 0], max_loss))
    return worst, worst <= 1 - confidence and max(found.loss.values()) <= max_loss


Levels = Sequence[Mapping[str, int]]
"""By exit and task: how many steps its threshold is open, 0 to STEPS."""


def _candidates(answers: Answers, rule: Rule) -> Iterator[Thresholds]:
    """Yield thresholds from tight to loose."""
    measured = unsure(answers, rule)
    now = outcome(answers, NOBODY_LEAVES, rule, measured)
    levels: Levels = [dict.fromkeys(place, 0) for place in measured]
    while tried := _opened(levels):
        found = [_thresholds(answers, measured, candidate, rule) for candidate in tried]
        outcomes = [outcome(answers, thresholds, rule, measured) for thresholds in found]
        best = max(range(len(tried)), key=lambda n: _gain(now, outcomes[n], answers.pictures))
        levels, now = tried[best], outcomes[best]
        yield found[best]


def _opened(levels: Levels) -> list[Levels]:
    """Return the levels with one task of an exit a step further, or all tasks of an exit."""
    opened: list[Levels] = []
    for number, tasks in enumerate(levels):
        choices = [list(tasks)] + ([[task] for task in tasks] if len(tasks) > 1 else [])
        for chosen in choices:
            if all(tasks[task] < STEPS for task in chosen):
                further = {task: at + (task in chosen) for task, at in tasks.items()}
                opened.append([*levels[:number], further, *levels[number + 1 :]])
    return opened


def _thresholds(answers: Answers, measured: Unsure, levels: Levels, rule: Rule) -> dict[str, dict[str, float]]:
    return {
        place.name: {task: sign(rule) * _limit(values[task], at) for task, at in tasks.items()}
        for place, values, tasks in zip(answers.exits, measured, levels, strict=True)
        if all(tasks.values())
    }


def _limit(values: np.ndarray, level: int) -> float:
    """Return what level/STEPS of the pictures are surer than, half way to the next value; at the last level all are.

    The sure answers of an int8 file share a few values, so that a limit at one of them would let nobody pass.
    """
    distinct = np.unique(values)
    if level == STEPS:
        return float(distinct[-1]) + 1.0
    at = int(np.searchsorted(distinct, np.quantile(values, level / STEPS, method="lower")))
    below, above = float(distinct[at]), float(distinct[at + 1]) if at + 1 < len(distinct) else float(distinct[at]) + 1.0
    short = float(f"{(below + above) / 2:.{_DIGITS}g}")
    return short if below < short < above else (below + above) / 2


def _gain(now: Outcome, then: Outcome, pictures: int) -> float:
    """Return the multiply-adds saved for each picture lost; half a picture is taken for granted."""
    lost = max((then.loss[task] - now.loss[task] for task in now.loss), default=0.0)
    return (now.madds - then.madds) / (max(0.0, lost) + 0.5 / pictures)
