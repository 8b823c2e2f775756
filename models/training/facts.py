"""What a training measured: everything that its model card and manifest are written from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from models.training.measure import Confusion
from models.training.recipe import Recipe

EXIT = "exit1"
Judged = Mapping[str, Confusion]  # by precision: "fp32", "int8"


@dataclass(frozen=True)
class Elsewhere:
    """What the shipped file says of one picture from another place: its label, and the score of the positive label."""

    name: str
    label: str
    score: float


@dataclass(frozen=True)
class Leaving:
    """What a threshold of the exit does to some pictures: how many leave, and how many are right."""

    pictures: int
    left: int
    left_right: int
    right: int
    """Of all: those that left and those that went on to the end."""

    def __add__(self, other: Leaving) -> Leaving:
        """Return both together."""
        ours, theirs = (vars(one).values() for one in (self, other))
        return Leaving(*(a + b for a, b in zip(ours, theirs, strict=True)))


@dataclass(frozen=True)
class EarlyExit:
    """The exit of a training, measured."""

    after: str
    threshold: float
    madds: int
    madds_whole: int
    """Of a picture that goes on to the end, the exit's branch included."""
    test: Judged
    leaving: Mapping[str, Leaving]
    """By precision, on the held-out pictures."""
    branch: Judged
    """On the training pictures, by branches that did not see them; the network had."""
    branch_leaving: Mapping[str, Leaving]
    folds: tuple[Judged, ...] = ()
    folds_leaving: tuple[Mapping[str, Leaving], ...] = ()


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
    exit: EarlyExit | None = None

    @property
    def counted(self) -> str:
        """The pictures per label in words: `95 clean, 88 dirty`."""
        return ", ".join(f"{count} {label}" for count, label in zip(self.pictures, self.labels, strict=True))

    def crossed(self, precision: str) -> Confusion:
        """The folds' confusion matrices added up: each picture judged by the training that never saw it."""
        return added([fold[precision] for fold in self.folds])


def added(found: Sequence[Confusion]) -> Confusion:
    """Return several confusion matrices added up."""
    tables = [one.counts for one in found]
    sides = range(len(tables[0]))
    return Confusion(tuple(tuple(sum(t[row][column] for t in tables) for column in sides) for row in sides))
