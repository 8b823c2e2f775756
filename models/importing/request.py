"""What is asked of an import, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from models.answers import Outcome
from models.branches.add import Row, Wish
from models.choices import Colour, CropName, Scores
from models.importing.ranges import Tried
from models.manifest import Accuracy, Manifest


@dataclass(frozen=True)
class Request:
    """One import; what is None is found out."""

    file: Path
    name: str | None = None
    labels: str | None = None
    tasks: tuple[str, ...] = ()
    value_range: tuple[float, float] | None = None
    colour: Colour | None = None
    crop: CropName = "none"
    scores: Scores | None = None
    data: Path | None = None
    exits: Wish | None = None
    int8: bool = False
    output: Path | None = None
    threads: int = 1
    seed: int = 0
    description: str = ""
    licence: str = "not stated"
    source: str = "not stated"


@dataclass(frozen=True)
class Measured:
    """What a bundle was found to do on pictures that its exits were not trained on."""

    part: str
    pictures: int
    accuracy: tuple[Accuracy, ...]
    outcome: Outcome | None
    """With the thresholds that were written; None without exits."""


@dataclass(frozen=True)
class Imported:
    """A bundle that was written."""

    folder: Path
    manifest: Manifest
    model_bytes: int
    rows: tuple[Row, ...] = ()
    tried: tuple[Tried, ...] = ()
    measured: Measured | None = None
    notes: tuple[str, ...] = field(default=())
