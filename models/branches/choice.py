"""Where exits pay: each candidate is weighed by the multiply-adds that a picture is expected to cost with it.

The rule, in words. Every candidate has trained branches, each judged on pictures that it did not see. The threshold
on the top probability is set so that as many pictures as possible leave while no task loses more than the allowed
accuracy; half a picture is taken for lost beforehand, so that a few pictures cannot vouch for much, and with several
exits each may use an equal part of it. A picture then costs the multiply-adds up to where it leaves, all branches
before it included. The place with the smallest mean cost is chosen; further exits are added greedily while the joint
cascade stays within the allowed loss and the cost falls by a fiftieth or more. The thresholds serve the choice only:
they were fitted to the very pictures that they are judged on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from models.answers import Answers, Outcome, Place, outcome
from models.errors import ModelError

LEAST_GAIN: Final = 0.02
TAKEN_FOR_LOST: Final = 0.5
_RULE: Final = "top-probability"


@dataclass(frozen=True)
class Candidate:
    """A cut point with its trained branch, and what that says of pictures that it did not see."""

    name: str
    nbytes: int
    madds_head: int
    madds_branch: int
    scores: Mapping[str, np.ndarray]
    """By classification: (n, labels) probabilities."""
    values: Mapping[str, np.ndarray]
    """By regression: (n,)."""


@dataclass(frozen=True)
class Judges:
    """What the candidates are judged against: the network's own end on the same pictures, and the truth."""

    final: Place
    """Its `madds` are those of the network without exits."""
    truth: Mapping[str, np.ndarray]
    true_values: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Weighed:
    """A set of exits in their order, and what becomes of a picture with them."""

    exits: tuple[Candidate, ...]
    thresholds: tuple[float, ...]
    outcome: Outcome


def weigh(exits: Sequence[Candidate], judges: Judges, max_loss: float) -> Weighed:
    """Return what exits give together when each may lose an equal part of `max_loss`, a share of the pictures."""
    ordered = sorted(exits, key=lambda one: one.madds_head)
    limits = [threshold(one, judges, max_loss / len(ordered)) for one in ordered]
    places = tuple(
        Place(one.name, one.scores, one.madds_head + one.madds_branch, one.values, one.madds_branch) for one in ordered
    )
    answers = Answers(places, judges.final, judges.truth, judges.true_values)
    limits_of = {one.name: dict.fromkeys(one.scores, limit) for one, limit in zip(ordered, limits, strict=True)}
    return Weighed(tuple(ordered), tuple(limits), outcome(answers, limits_of, _RULE))


def threshold(candidate: Candidate, judges: Judges, max_loss: float) -> float:
    """Return the lowest top probability at which pictures may leave here; above 1 where none may."""
    sure = np.min([scores.max(axis=1) for scores in candidate.scores.values()], axis=0)
    order = np.argsort(-sure, kind="stable")
    allowed = np.append(sure[order][1:] < sure[order][:-1], True)  # equally sure pictures leave together
    for task, truth in judges.truth.items():
        known = truth >= 0
        here, there = (s[task].argmax(axis=1) == truth for s in (candidate.scores, judges.final.scores))
        lost = np.cumsum(np.where(known, there.astype(int) - here.astype(int), 0)[order])
        allowed &= lost + TAKEN_FOR_LOST <= max_loss * max(1, int(known.sum())) + 1e-9
    places = np.flatnonzero(allowed)
    return float(sure[order][places[-1]]) if len(places) else float(np.nextafter(1.0, 2.0))


def choose(candidates: Sequence[Candidate], judges: Judges, count: int, max_loss: float) -> Weighed:
    """Return the best places for at most `count` exits.

    Raises: ModelError when no place saves anything within the allowed loss.
    """
    best: Weighed | None = None
    for _ in range(count):
        chosen = best.exits if best else ()
        tried = [weigh((*chosen, one), judges, max_loss) for one in candidates if one not in chosen]
        fit = [one for one in tried if max(one.outcome.loss.values()) <= max_loss + 1e-9]
        cheapest = min(fit, key=lambda one: one.outcome.madds, default=None)
        before = best.outcome.madds if best else float(judges.final.madds)
        if cheapest is None or cheapest.outcome.madds > (1 - LEAST_GAIN) * before:
            break
        best = cheapest
    if best is None:
        raise ModelError(
            f"no exit saves {LEAST_GAIN:.0%} of the multiply-adds within a loss of {100 * max_loss:g} points; "
            "raise --max-loss, give more pictures, or name a place: --add-exits CUT_POINT"
        )
    return best
