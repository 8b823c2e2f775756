"""Which colour stands for which prediction, the same in every browser and after every restart."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from headwater.messages import MAX_SCORES_SENT, Prediction

COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#f0e442")
"""Told apart with every kind of colour blindness.
Source: Okabe and Ito, Color Universal Design, 2008 (without black, which a dark map swallows)."""
OTHER: Final = "#8d939c"
MOST_TASKS: Final = 32
MOST_LABELS: Final = 64


@dataclass
class Scale:
    """What one task has said so far: labels with their places, or the range of its values."""

    labels: dict[str, int] = field(default_factory=dict)
    low: float = math.inf
    high: float = -math.inf


class Palette:
    """Learns the tasks and labels of a fleet from its predictions."""

    def __init__(self) -> None:
        self.version = 0
        self._tasks: dict[str, Scale] = {}

    def add(self, predictions: Sequence[Prediction]) -> None:
        """Learn from one frame; beyond a bound, new tasks and labels are not learnt and stay grey."""
        for prediction in predictions:
            if prediction.task not in self._tasks and len(self._tasks) >= MOST_TASKS:
                continue
            scale = self._tasks.setdefault(prediction.task, Scale())
            if self._learn(scale, prediction):
                self.version += 1

    @staticmethod
    def _learn(scale: Scale, prediction: Prediction) -> bool:
        if prediction.label is not None:
            if prediction.label in scale.labels or len(scale.labels) >= MOST_LABELS:
                return False
            scale.labels[prediction.label] = label_place(prediction)
            return True
        value = prediction.value
        if value is None or scale.low <= value <= scale.high:
            return False
        scale.low, scale.high = min(scale.low, value), max(scale.high, value)
        return True

    def legend(self) -> list[dict[str, Any]]:
        """Return the tasks for the browser: name, labels as (label, colour) in the model's order, or low and high."""
        return [_task(name, scale) for name, scale in list(self._tasks.items())]

    def names(self, task: str) -> dict[int, str]:
        """Return the labels seen of a task by their place in the model."""
        scale = self._tasks.get(task)
        return {place: label for label, place in list(scale.labels.items())} if scale else {}


def label_place(prediction: Prediction) -> int:
    """Return the label's place in the model, which is that of its score; so colours need no bundle and never change.

    Of many labels not every frame has the scores: there the text decides, and some labels share a colour.
    """
    if 1 < len(prediction.scores) <= MAX_SCORES_SENT:
        return prediction.scores.index(max(prediction.scores))
    if len(prediction.scores) == 1:
        return int(prediction.scores[0] >= 0.5)
    return zlib.crc32((prediction.label or "").encode()) % len(COLOURS)


def colour(place: int) -> str:
    """Return the colour of the label at `place`; from the eighth on they share a grey."""
    return COLOURS[place] if 0 <= place < len(COLOURS) else OTHER


def _task(name: str, scale: Scale) -> dict[str, Any]:
    if scale.labels:
        ordered = sorted(scale.labels.items(), key=lambda item: (item[1], item[0]))
        return {"task": name, "labels": [[label, colour(place)] for label, place in ordered]}
    known = scale.low <= scale.high
    return {"task": name, "low": scale.low if known else 0.0, "high": scale.high if known else 0.0}
