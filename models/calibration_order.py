"""The order in which thresholds are tested: from nobody leaves to everybody leaves, saving most for least risk.

Each step opens the exit and task that saves most multiply-adds for what it adds to the risk: the loss of the worst task
plus its uncertainty, weighed by a caution. Which caution leads furthest cannot be known beforehand, so every one of
`CAUTIONS` draws an order, and the most promising is taken; all on pictures that test nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from models.answers import NOBODY_LEAVES, Answers, Outcome, Thresholds, Unsure, outcome, sign, unsure
from models.choices import Rule

STEPS: Final = 25
"""Thresholds tried at each exit and task, each letting as many more pictures pass."""
CAUTIONS: Final = (0.0, 0.5, 1.0, 2.0, 4.0, 10.0)
"""Standard errors added to a loss; 0 looks at the mean alone."""
_DIGITS: Final = 6
_LEAST: Final = 1e-4

Levels = Sequence[Mapping[str, int]]
"""By exit and task: how many steps its threshold is open, 0 to STEPS."""
Candidates = list[tuple[Thresholds, Outcome]]


def ordered(answers: Answers, rule: Rule, max_loss: float, confidence: float, testing: int) -> list[Thresholds]:
    """Return candidates from tight to loose, by the caution that promises the fewest multiply-adds.

    `answers` are of the ordering pictures; `testing` is how many pictures will test.
    """
    orders = [list(_candidates(answers, rule, caution)) for caution in CAUTIONS]
    best = min(orders, key=lambda order: _promise(answers, order, max_loss, confidence, testing))
    return [thresholds for thresholds, _ in best]


def _promise(answers: Answers, order: Candidates, max_loss: float, confidence: float, testing: int) -> float:
    """Return the fewest multiply-adds before the first candidate that the test would probably refuse."""
    errors = math.sqrt(2 * math.log(1 / (1 - confidence)))  # the standard errors that a bet takes to win so much
    least = math.inf
    for _, found in order:
        if _risk(answers, found, errors, testing) > max_loss:
            break
        least = min(least, found.madds)
    return least


def _risk(answers: Answers, found: Outcome, caution: float, pictures: int) -> float:
    """Return the worst task's loss with so many standard errors of the mean of as many pictures on top."""
    worst = -math.inf
    for task, truth in answers.truth.items():
        losses = found.losses[task][truth >= 0]
        variance = (float(((losses - losses.mean()) ** 2).sum()) + 0.5) / len(losses)
        worst = max(worst, float(losses.mean()) + caution * math.sqrt(variance / pictures))
    return worst


def _candidates(answers: Answers, rule: Rule, caution: float) -> Iterator[tuple[Thresholds, Outcome]]:
    """Yield thresholds from tight to loose and what they do to the ordering pictures."""
    measured = unsure(answers, rule)
    now = outcome(answers, NOBODY_LEAVES, rule, measured)
    risk, levels = _risk(answers, now, caution, answers.pictures), _closed(measured)
    while tried := _opened(levels):
        found = [_thresholds(answers, measured, candidate, rule) for candidate in tried]
        outcomes = [outcome(answers, thresholds, rule, measured) for thresholds in found]
        risks = [_risk(answers, then, caution, answers.pictures) for then in outcomes]
        gains = [(now.madds - o.madds) / (max(0.0, r - risk) + _LEAST) for o, r in zip(outcomes, risks, strict=True)]
        best = int(np.argmax(gains))
        levels, now, risk = tried[best], outcomes[best], risks[best]
        yield found[best], now


def _closed(measured: Unsure) -> Levels:
    return [dict.fromkeys(place, 0) for place in measured]


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
        place.name: {task: _threshold(rule, values[task], at) for task, at in tasks.items()}
        for place, values, tasks in zip(answers.exits, measured, levels, strict=True)
        if all(tasks.values())
    }


def _threshold(rule: Rule, values: np.ndarray, level: int) -> float:
    """Return the rule's own threshold, which is never below zero: no measure is."""
    return max(0.0, sign(rule) * _limit(values, level))


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
