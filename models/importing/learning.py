"""Which pictures new exits learn from, and which they are chosen by: those of the train part, none of the others."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from models.branches.add import Wish
from models.importing.wishes import ImportFailed
from models.samples import Sample
from models.tasks import Task

FOLDS: Final = 5
FEWEST: Final = 20
MANY: Final = 2500
"""From so many pictures on a fifth of them is enough to compare places by."""


@dataclass(frozen=True)
class Lesson:
    """Pictures for exits."""

    samples: tuple[Sample, ...]
    folds: tuple[int, ...]
    """In which fold each is judged; -1: in none, it only teaches."""
    notes: tuple[str, ...]


def lesson(train: Sequence[Sample], most: int, seed: int) -> Lesson:
    """Return at most so many pictures of the train part, each in the fold that its content decides."""
    samples, notes = list(train), []
    if len(samples) > most:
        samples = random.Random(seed).sample(samples, most)  # noqa: S311
        notes.append(f"The exits were trained and chosen on {most} pictures; more do not fit into memory.")
    folds = [int(sample.digest[8:16], 16) % FOLDS for sample in samples]
    if len(samples) < MANY:
        notes.append(f"Places for exits were compared by cross-validation in {FOLDS} folds of the train part.")
        return Lesson(tuple(samples), tuple(folds), tuple(notes))
    notes.append("Places for exits were compared on a fifth of the train part, by branches trained on the rest.")
    return Lesson(tuple(samples), tuple(0 if fold == 0 else -1 for fold in folds), tuple(notes))


def check_enough(train: Sequence[Sample], tasks: Sequence[Task], wish: Wish, source: object) -> None:
    """Raise ImportFailed unless the train part can teach exits each task: by labels, or by the model's own answers."""
    for task in tasks:
        known = len(train) if wish.settings.teacher else sum(task.name in sample.targets for sample in train)
        if known < FEWEST:
            raise ImportFailed(
                f"{source} has {known} pictures in its train part that say something of {task.name}, expected {FEWEST} "
                "or more to train and choose exits; add some"
            )


def folds_of(found: Lesson, kept: Sequence[Sample]) -> np.ndarray:
    """Return the folds of those pictures in which the crop found something."""
    fold_of = {sample.digest: fold for sample, fold in zip(found.samples, found.folds, strict=True)}
    return np.array([fold_of[sample.digest] for sample in kept])
