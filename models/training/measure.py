"""How right a classifier is: confusion matrix, accuracy and its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.manifest import Accuracy

_Z95 = 1.959964


@dataclass(frozen=True)
class Confusion:
    """Counts of pictures: row = what they are, column = what was said."""

    counts: tuple[tuple[int, ...], ...]

    @property
    def pictures(self) -> int:
        """How many pictures were judged."""
        return sum(map(sum, self.counts))

    @property
    def right(self) -> int:
        """How many of them were judged rightly."""
        return sum(row[place] for place, row in enumerate(self.counts))

    @property
    def accuracy(self) -> float:
        """The share judged rightly."""
        return self.right / self.pictures

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the accuracy."""
        return wilson(self.right, self.pictures)


def confusion(truth: Sequence[int], scores: np.ndarray) -> Confusion:
    """Return the confusion matrix of (n, labels) scores; the highest score is what was said."""
    counts = np.zeros((scores.shape[1], scores.shape[1]), int)
    np.add.at(counts, (np.asarray(truth, int), scores.argmax(axis=1)), 1)
    return Confusion(tuple(tuple(int(n) for n in row) for row in counts))


def measured_accuracy(task: str, metric: str, right: int, pictures: int, data: str) -> Accuracy:
    """Return the share of right answers as a bundle.toml has it: with its 95 % interval, to four digits."""
    share = round(right / pictures, 4)
    low, high = (round(bound, 4) for bound in wilson(right, pictures))
    return Accuracy(task, metric, share, min(low, share), max(high, share), pictures, data)


def wilson(right: int, pictures: int) -> tuple[float, float]:
    """Return the 95 % interval of a share. Source: Wilson 1927, the score interval."""
    share, spread = right / pictures, _Z95**2 / pictures
    middle = share + spread / 2
    half = _Z95 * math.sqrt(share * (1 - share) / pictures + spread / (4 * pictures))
    return max(0.0, (middle - half) / (1 + spread)), min(1.0, (middle + half) / (1 + spread))
