"""What is asked of a training: its settings, its pictures, and where the result goes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from models.training.augment import Changes


@dataclass(frozen=True)
class Recipe:
    """The settings of one training; rates are per step, epochs see every picture `repeats` times."""

    size: int = 160
    epochs_head: int = 20
    epochs_fine: int = 10
    seed: int = 0
    batch: int = 16
    repeats: int = 2
    variants: int = 3
    head_rate: float = 1e-3
    fine_rate: float = 1e-4
    weight_decay: float = 1e-4
    dropout: float = 0.3
    smoothing: float = 0.05
    patches: int = 4
    sure: float = 0.9
    exit_after: str = "block_7_add"
    exit_threshold: float = 0.9
    exit_copies: int = 8
    changes: Changes = field(default_factory=Changes)

    def steps(self, pictures: int) -> float:
        """Return how often `tick` counts in one training, in pictures seen forward."""
        return pictures * (self.repeats * (self.variants + 3 * self.epochs_fine) + self.patches)


@dataclass(frozen=True)
class Request:
    """What to train, on what, and where to put it."""

    data: Path
    output: Path
    weights: Path | None = None
    folds: int = 5
    source: str = "not stated"
    licence: str = "not stated"
    elsewhere: Path | None = None
    recipe: Recipe = field(default_factory=Recipe)
