"""What a training measured: everything that its model card and manifest are written from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from models.training.measure import Confusion
from models.training.recipe import Recipe

Judged = Mapping[str, Confusion]  # by precision: "fp32", "int8"


@dataclass(frozen=True)
class Elsewhere:
    """What the shipped file says of one picture from another place: its label, and the score of the positive label."""

    name: str
    label: str
    score: float


@dataclass(frozen=True)
class Facts:
    """One training, measured."""

    task: str
    description: str
    labels: tuple[str, ...]
    positive: str
    source: str
    licence: str
    value_range: tuple[float, float]
    recipe: Recipe
    pictures: tuple[int, ...]
    groups: int
    held_out: tuple[tuple[str, int], ...]
    test: Judged
    folds: tuple[Judged, ...] = ()
    elsewhere: tuple[Elsewhere, ...] = ()
    largest_difference: float = 0.0
    versions: str = ""

    @property
    def counted(self) -> str:
        """The pictures per label in words: `95 clean, 88 dirty`."""
        return ", ".join(f"{count} {label}" for count, label in zip(self.pictures, self.labels, strict=True))

    def crossed(self, precision: str) -> Confusion:
        """The folds' confusion matrices added up: each picture judged by the training that never saw it."""
        tables = [fold[precision].counts for fold in self.folds]
        sides = range(len(self.labels))
        return Confusion(tuple(tuple(sum(t[row][column] for t in tables) for column in sides) for row in sides))
