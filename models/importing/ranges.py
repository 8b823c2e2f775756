"""What pixel values 0 and 255 become for a model that does not tell: tried out on labelled pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from models.bundle import Bundle
from models.judge import judge
from models.samples import Sample

USUAL: Final = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))
TRIED_ON: Final = 64


@dataclass(frozen=True)
class Tried:
    """A range of pixel values, and the accuracy with it."""

    low: float
    high: float
    accuracy: float


def best_range(bundle: Bundle, samples: Sequence[Sample], seed: int, tick: Callable[[], None]) -> list[Tried]:
    """Return the usual ranges with the accuracy of each on a few pictures, the best first.

    Each of the pictures has a label of some classification.
    """
    order = np.random.default_rng(seed).permutation(len(samples))[:TRIED_ON]
    found = []
    for low, high in USUAL:
        tried = replace(bundle, input=replace(bundle.input, low=low, high=high))
        answers = judge(tried, [samples[i] for i in order], tick=tick).answers
        known = {task: truth >= 0 for task, truth in answers.truth.items() if (truth >= 0).any()}
        rights = [answers.right(task)[-1][rows].mean() for task, rows in known.items()]
        found.append(Tried(low, high, float(np.mean(rights))))
    return sorted(found, key=lambda one: -one.accuracy)


def said_of(tried: Sequence[Tried]) -> str:
    """Return how the range was come by, for a person: found, or one of several that are equally good."""
    figures = ", ".join(f"{_shown(one)}: {one.accuracy:.0%}" for one in tried)
    best = [_shown(one) for one in tried if one.accuracy == tried[0].accuracy]
    if len(best) == 1:
        return f"Range of pixel values: the one of {len(tried)} with the best accuracy ({figures})."
    return (
        f"Range of pixel values: undecided between {' and '.join(best)} ({figures}); {best[0]} was taken, state the "
        "one that the model was trained with by --value-range LOW HIGH."
    )


def _shown(one: Tried) -> str:
    return f"{one.low:g} to {one.high:g}"
