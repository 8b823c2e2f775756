"""The order in which thresholds are tested: from nobody leaves to everybody leaves, saving most for least risk.

Each step opens the exit and task that saves most multiply-adds for what it adds to the risk: the loss of the worst task
plus its uncertainty, weighed by a caution. Which caution leads furthest cannot be known beforehand, so every one of
`CAUTIONS` draws an order, and the most promising is taken. An exit whose branch costs more than it saves stays closed:
exits are added one by one, the most promising first, while that promises less by `FURTHER`. All on pictures that test
nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from models.answers import NOBODY_LEAVES, Answers, Outcome, Thresholds, Unsure, losses_at_splits, outcome, sign, unsure
from models.choices import Rule

STEPS: Final = 25
"""Thresholds tried at each exit and task, each letting as many more pictures pass."""
CAUTIONS: Final = (0.0, 0.5, 1.0, 2.0, 4.0, 10.0)
"""Standard errors added to a loss; 0 looks at the mean alone."""
FURTHER: Final = 0.02
"""What a further exit must promise to save: more thresholds to choose from look better by chance alone."""
_DIGITS: Final = 6
_LEAST: Final = 1e-4

Levels = Sequence[Mapping[str, int]]
"""By exit and task: how many steps its threshold is open, 0 to STEPS."""
Losses = Sequence[Mapping[str, np.ndarray]]
"""At every split that leaves other exits before it: by task, who is lost."""


class Candidate(NamedTuple):
    """Thresholds, and what they do to the ordering pictures."""

    thresholds: Thresholds
    found: Outcome
    losses: Losses


Candidates = list[Candidate]


class _Asked(NamedTuple):
    max_loss: float
    confidence: float
    testing: int
    """Pictures that will test."""


def ordered(answers: Answers, rule: Rule, max_loss: float, confidence: float, testing: int) -> list[Thresholds]:
    """Return candidates from tight to loose, by the caution that promises the fewest multiply-adds.

    `answers` are of the ordering pictures; `testing` is how many pictures will test.
    """
    asked = _Asked(max_loss, confidence, testing)
    chosen: tuple[str, ...] = ()
    best: tuple[float, Candidates] = math.inf, []
    while len(chosen) < len(answers.exits):
        further = [(*chosen, place.name) for place in answers.exits if place.name not in chosen]
        found = [(names, _most_promising(answers.among(names), rule, asked)) for names in further]
        names, tried = min(found, key=lambda one: one[1][0])
        if chosen and tried[0] >= (1 - FURTHER) * best[0]:
            break
        chosen, best = names, tried
    return [candidate.thresholds for candidate in best[1]]


def _most_promising(answers: Answers, rule: Rule, asked: _Asked) -> tuple[float, Candidates]:
    """Return the order that promises the fewest multiply-adds, and how many those are."""
    orders = [list(_candidates(answers, rule, caution)) for caution in CAUTIONS]
    return min(((_promise(answers, order, asked), order) for order in orders), key=lambda one: one[0])


def _promise(answers: Answers, order: Candidates, asked: _Asked) -> float:
    """Return the fewest multiply-adds before the first candidate that the test would probably refuse."""
    errors = math.sqrt(2 * math.log(1 / (1 - asked.confidence)))  # the standard errors that a bet takes to win so much
    least = math.inf
    for candidate in order:
        if _risk(answers, candidate.losses, errors, asked.testing) > asked.max_loss:
            break
        least = min(least, candidate.found.madds)
    return least


def _risk(answers: Answers, losses: Losses, caution: float, pictures: int) -> float:
    """Return the worst task's loss at any split, so many standard errors of as many pictures' mean on top."""
    worst = -math.inf
    for found in losses:
        for task, truth in answers.truth.items():
            known = found[task][truth >= 0]
            variance = (float(((known - known.mean()) ** 2).sum()) + 0.5) / len(known)
            worst = max(worst, float(known.mean()) + caution * math.sqrt(variance / pictures))
    return worst


def _candidates(answers: Answers, rule: Rule, caution: float) -> Iterator[Candidate]:
    """Yield thresholds from tight to loose and what they do to the ordering pictures.

    What the branches take is not asked here: all of them will be open, and `_promise` counts it.
    """
    measured, trunk = unsure(answers, rule), np.array([place.madds - place.branch for place in answers.places])
    now = _candidate(answers, NOBODY_LEAVES, rule, measured)
    risk, levels = _risk(answers, now.losses, caution, answers.pictures), _closed(measured)
    while tried := _opened(levels):
        found = [_candidate(answers, _thresholds(answers, measured, one, rule), rule, measured) for one in tried]
        risks = [_risk(answers, then.losses, caution, answers.pictures) for then in found]
        saved = [float((np.array(now.found.shares) - then.found.shares) @ trunk) for then in found]
        gains = [some / (max(0.0, then - risk) + _LEAST) for some, then in zip(saved, risks, strict=True)]
        best = int(np.argmax(gains))
        levels, now, risk = tried[best], found[best], risks[best]
        yield now


def _candidate(answers: Answers, thresholds: Thresholds, rule: Rule, measured: Unsure) -> Candidate:
    found = outcome(answers, thresholds, rule, measured)
    return Candidate(thresholds, found, losses_at_splits(found))


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
