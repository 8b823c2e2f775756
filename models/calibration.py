"""Thresholds of early exits, chosen so that what is lost in accuracy stays within a bound with stated confidence.

A third of the pictures orders the candidates, from nobody leaves to everybody leaves. The other pictures test them in
that order, and the first that may cost too much ends the search: no picture is asked twice about the same thing. What a
split between two exits leaves of the thresholds, those before it, is tested with them: the bound holds at every split.
Source: Angelopoulos et al. 2021, Learn then Test, section 2.2 (fixed-sequence testing); Laufer-Goldenthal et al. 2023,
Pareto Testing (an order from pictures of its own).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from models.answers import NOBODY_LEAVES, Answers, Outcome, Thresholds, losses_at_splits, outcome, unsure
from models.calibration_order import ordered
from models.certainty import bet
from models.choices import Rule
from models.errors import ModelError
from models.manifest import Exit

ORDERING_SHARE: Final = 1 / 3


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
    places: tuple[str, ...]
    """The exits, in the order in which they are asked."""

    @property
    def is_found(self) -> bool:
        """Tell whether any candidate passed."""
        return bool(self.chosen.thresholds)

    def applied(self, exits: Iterable[Exit]) -> list[Exit]:
        """Return exits with the rule and thresholds that were chosen, and how many of all pictures left there."""
        shares = dict(zip(self.places, self.chosen.outcome.shares, strict=False))
        return [
            replace(one, rule=self.rule, thresholds=limits, leave=round(shares[one.name], 4) if limits else None)
            for one in exits
            for limits in [self.chosen.thresholds.get(one.name, {})]
        ]


def calibrate(
    answers: Answers,
    rule: Rule,
    max_loss: float,
    confidence: float,
    seed: int = 0,
    temperatures: Mapping[str, Mapping[str, float]] | None = None,
) -> Calibration:
    """Return thresholds with the fewest expected multiply-adds whose loss is within the bound.

    Args:
        answers: of pictures that no training saw
        rule: by which the exits decide
        max_loss: allowed loss of accuracy of each task, as a share: 0.005 is half a point
        confidence: of the statement that each task loses at most that, as a share; with 0 the sample mean decides
        seed: of which pictures order the candidates, and of the order in which the others are bet on
        temperatures: by place and task; by default those that fit the pictures that order

    Raises: ModelError without a classification, or where the pictures that order or test tell nothing of one.
    """
    order = np.random.default_rng(seed).permutation(answers.pictures)
    ordering, held = np.split(order, [round(len(order) * ORDERING_SHARE)])
    _check(answers, ordering, held)
    temperatures = answers.rows(ordering).temperatures() if temperatures is None else temperatures
    answers = answers.tempered(temperatures)
    testing, measured = answers.rows(held), unsure(answers, rule)
    best = Point(NOBODY_LEAVES, outcome(answers, NOBODY_LEAVES, rule, measured), 0.0)
    curve, passing = [best], True
    for thresholds in ordered(answers.rows(ordering), rule, max_loss, confidence, len(held)):
        p_value, passing = _test(testing, thresholds, rule, max_loss, confidence) if passing else (1.0, False)
        curve.append(Point(thresholds, outcome(answers, thresholds, rule, measured), p_value))
        found = curve[-1].outcome
        if passing and found.madds < best.outcome.madds and worst_loss(answers, found) <= max_loss:
            best = curve[-1]
    places = tuple(place.name for place in answers.exits)
    return Calibration(rule, best, tuple(curve), temperatures, held, places)


def _check(answers: Answers, *groups: np.ndarray) -> None:
    if not answers.truth:
        raise ModelError("no task is a classification, expected one at least: nothing else tells how sure an exit is")
    for task, truth in answers.truth.items():
        if not all((truth[group] >= 0).any() for group in groups):
            raise ModelError(
                f"{int((truth >= 0).sum())} of {len(truth)} pictures tell {task}, too few to choose thresholds with "
                "some and test them with others; give more pictures"
            )


def _test(
    answers: Answers, thresholds: Thresholds, rule: Rule, max_loss: float, confidence: float
) -> tuple[float, bool]:
    """Return the p-value of "some task loses more than allowed at some split", the worst one, and whether it passes."""
    found = outcome(answers, thresholds, rule)
    worst = max(
        bet(losses[task][truth >= 0], max_loss)
        for losses in losses_at_splits(found)
        for task, truth in answers.truth.items()
    )
    return worst, worst <= 1 - confidence and worst_loss(answers, found) <= max_loss


def worst_loss(answers: Answers, found: Outcome) -> float:
    """Return the largest share of accuracy that any task loses at any split."""
    return max(
        float(losses[task][truth >= 0].mean())
        for losses in losses_at_splits(found)
        for task, truth in answers.truth.items()
    )
