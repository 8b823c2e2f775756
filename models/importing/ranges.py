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
    """Return the usual ranges with the accuracy of each on a few pictures, the best first."""
    order = np.random.default_rng(seed).permutation(len(samples))[:TRIED_ON]
    found = []
    for low, high in USUAL:
        tried = replace(bundle, input=replace(bundle.input, low=low, high=high))
        answers = judge(tried, [samples[i] for i in order], tick=tick).answers
        rights = [answers.right(task)[-1][truth >= 0].mean() for task, truth in answers.truth.items()]
        found.append(Tried(low, high, float(np.mean(rights))))
    return sorted(found, key=lambda one: -one.accuracy)
