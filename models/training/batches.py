"""Labelled pictures in memory, dealt out in batches of changed copies."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from models.pictures import centred
from models.samples import Sample
from models.tasks import Task
from models.training.progress import Progress

Rng = np.random.Generator
Change = Callable[[np.ndarray, Rng], np.ndarray]
"""Makes a changed copy of a batch: (n, H, W, 3) uint8 in, (n, height, width, 3) uint8 out."""


@dataclass(frozen=True)
class Labelled:
    """Pictures, and by task what is known of them: the number of a label or a value, NaN where it is not known."""

    pictures: np.ndarray
    """(n, H, W, 3) uint8."""
    targets: Mapping[str, np.ndarray]
    """(n,) float32 each."""


def labelled(pictures: Sequence[np.ndarray], samples: Sequence[Sample], tasks: Sequence[Task]) -> Labelled:
    """Return pictures of one size with the targets of their samples."""
    targets = {
        task.name: np.array([sample.targets.get(task.name, np.nan) for sample in samples], np.float32) for task in tasks
    }
    return Labelled(np.stack(pictures), targets)


def balanced(targets: np.ndarray, classes: int, power: float = 1.0) -> np.ndarray:
    """Return a weight for each class that undoes how often it occurs, to this power, of mean 1 over the pictures."""
    counts = np.bincount(targets[np.isfinite(targets)].astype(int), minlength=classes)
    weights = np.where(counts > 0, (counts.sum() / np.maximum(counts, 1)) ** power, 0.0)
    return np.asarray(weights * counts.sum() / max(float((weights * counts).sum()), 1e-9), np.float32)


def task_of(output: str) -> str:
    """Return the task that an output answers: `exit1/gender` and `gender` answer gender."""
    return output.rpartition("/")[2]


class Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """Every picture once an epoch, in an order and with changes that seed and epoch decide."""

    def __init__(
        self,
        data: Labelled,
        size: int = 32,
        *,
        seed: int = 0,
        change: Change | None = None,
        prepare: Callable[[np.ndarray], np.ndarray] = centred,
        class_weights: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        super().__init__()
        self.size, self.prepare = size, prepare
        self._data, self._seed, self._change = data, seed, change
        self._weights = {
            name: _weights(targets, (class_weights or {}).get(name)) for name, targets in data.targets.items()
        }
        self.begin(0)

    def begin(self, epoch: int) -> None:
        """Draw the order of an epoch."""
        self._epoch = epoch
        self._order = np.random.default_rng((self._seed, epoch)).permutation(len(self._data.pictures))

    @property
    def pictures(self) -> int:
        """How many pictures an epoch has."""
        return len(self._order)

    def __len__(self) -> int:
        return math.ceil(len(self._order) / self.size)

    def __getitem__(self, number: int) -> tuple[Any, dict[str, np.ndarray], dict[str, np.ndarray]]:
        chosen = np.sort(self._order[number * self.size : (number + 1) * self.size])
        pictures = self._data.pictures[chosen]
        if self._change is not None:
            pictures = self._change(pictures, np.random.default_rng((self._seed, self._epoch, number)))
        targets = {name: np.nan_to_num(values[chosen]) for name, values in self._data.targets.items()}
        return self.prepare(pictures), targets, {name: w[chosen] for name, w in self._weights.items()}


def _weights(targets: np.ndarray, of_classes: np.ndarray | None) -> np.ndarray:
    known = np.isfinite(targets)
    if of_classes is None:
        return np.asarray(known, np.float32)
    return np.asarray(np.where(known, of_classes[np.nan_to_num(targets).astype(int)], 0.0), np.float32)


class Watcher(keras.callbacks.Callback):  # type: ignore[misc]
    """Tells the batches their epoch, and a person how many pictures were seen."""

    def __init__(
        self, batches: Batches, progress: Progress | None, after_epoch: Callable[[int], None] = lambda epoch: None
    ) -> None:
        super().__init__()
        self._batches, self._progress, self._after_epoch = batches, progress, after_epoch

    def pass_over(self, epochs: int) -> None:
        """Count the pictures of epochs that were done before an interruption."""
        if self._progress is not None:
            self._progress.step(epochs * self._batches.pictures)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Deal out the pictures anew, also where an interrupted training goes on."""
        self._batches.begin(epoch)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Tell who asked for it."""
        self._after_epoch(epoch)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Count the pictures of a batch."""
        if self._progress is not None:
            self._progress.step(self._batches.size)
