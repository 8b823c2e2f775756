"""What a training of faces is given: the order, and the network with the way in which it learns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from models.samples import Sample
from models.training.fit import Schedule
from models.training.progress import Progress

Trained = tuple[keras.Model, tuple[float, ...]]
"""A network, and its losses epoch by epoch."""


@dataclass(frozen=True)
class FaceNet:
    """A network for faces: what it is, and how it learns."""

    name: str
    """Of its bundles, at its usual size."""
    size: int
    schedule: Schedule
    network: str
    start: str
    """The weights that it begins with, in words."""
    exits: Mapping[str, str]
    """By name, the cut point behind which it stands."""
    offered: Callable[[bytes], tuple[str, ...]]
    """The cut points that a file of it offers."""
    passes: Callable[[FaceOrder], float]
    """How often a training sees every picture."""
    train: Callable[[FaceOrder, Sequence[np.ndarray], Sequence[Sample], Path, Progress], Trained]
    """Learns from faces with a margin and what is known of them; the folder keeps what was begun."""
    settle: Callable[[keras.Model, np.ndarray], None]
    """What is done to a trained network before it is converted; the inputs show its ranges."""
    told: Callable[[FaceOrder], str]
    """The training in words, for the card."""
    licence: str
    """Of the weights that it begins with."""


@dataclass(frozen=True)
class FaceOrder:
    """What to train on, how long, and where to put it."""

    net: FaceNet
    data: tuple[Path, ...]
    output: Path
    work: Path
    """Folder for cut faces and unfinished trainings."""
    size: int
    schedule: Schedule
    weights: Path | None = None
    max_loss: float = 0.01
    confidence: float = 0.95
    source: str = "not stated"
    licence: str = "not stated"
