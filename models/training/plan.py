"""What the shelf's classifiers of small pictures are trained by: the network, its tasks and exits, the schedule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import keras
import numpy as np

from models.choices import Colour
from models.manifest import Exit, InputSpec
from models.pictures import centred, in_colour
from models.tasks import Task
from models.training.batches import Change
from models.training.fit import Schedule

MID_GREY: Final = np.uint8(128)
"""What `centred` makes 0 of."""


@dataclass(frozen=True)
class Plan:
    """One classifier of the shelf before it is trained."""

    name: str
    description: str
    network: str
    """The network in words, for the card and the manifest."""
    build: Callable[[], keras.Model]
    task: Task
    input: InputSpec
    schedule: Schedule
    exits: tuple[Exit, ...] = ()
    cut_points: tuple[str, ...] = ()
    change: Change | None = None
    changes: str = "none"
    """The changed copies in words."""
    document: str = ""
    """Whose network it is, and what that document reached."""
    limits: tuple[str, ...] = field(default=())

    @property
    def outputs(self) -> Mapping[str, str]:
        """The outputs by what gives them: each exit's name, and `final`."""
        return {**{found.name: found.outputs[self.task.name] for found in self.exits}, "final": self.task.output}


def prepared(pictures: np.ndarray, colour: Colour) -> np.ndarray:
    """Return (n, H, W, 3) uint8 RGB pictures as float32 from LOW to HIGH, in the network's channels as on a device."""
    return centred(in_colour(pictures, colour))


def mirrored_and_shifted(pictures: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return each picture shifted by up to 2 pixels each way, its border mirrored, and every second one mirrored."""
    return _shifted(pictures, rng, 2, mirror=True)


def shifted(pictures: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return each picture shifted by up to 2 pixels each way: digits may not be mirrored."""
    return _shifted(pictures, rng, 2, mirror=False)


def with_blank(plan: Plan, side: int) -> Plan:
    """Return a plan that blanks a square of `side` pixels in every changed copy, its middle anywhere in the picture.

    Source: DeVries and Taylor 2017, Improved Regularization of Convolutional Neural Networks with Cutout.
    """

    def change(pictures: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return blanked(pictures if plan.change is None else plan.change(pictures, rng), side, rng)

    before = "" if plan.change is None else f"{plan.changes}, "
    return replace(plan, change=change, changes=f"{before}a square of {side} pixels blanked")


def blanked(pictures: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """Return the pictures, each with a mid-grey square of `side` pixels; what lies over the border is cut off."""
    height, width = pictures.shape[1:3]
    top, left = (rng.integers(0, most, (len(pictures), 1)) - side // 2 for most in (height, width))
    rows, columns = np.arange(height), np.arange(width)
    down = (rows >= top) & (rows < top + side)
    across = (columns >= left) & (columns < left + side)
    return np.where((down[:, :, None] & across[:, None, :])[..., None], MID_GREY, pictures)


def _shifted(pictures: np.ndarray, rng: np.random.Generator, most: int, *, mirror: bool) -> np.ndarray:
    height, width = pictures.shape[1:3]
    wide = np.pad(pictures, ((0, 0), (most, most), (most, most), (0, 0)), mode="reflect")
    places = rng.integers(0, 2 * most + 1, (len(pictures), 2))
    flips = rng.random(len(pictures)) < (0.5 if mirror else 0.0)
    changed = np.empty_like(pictures)
    for number, ((top, left), flip) in enumerate(zip(places, flips, strict=True)):
        part = wide[number, top : top + height, left : left + width]
        changed[number] = part[:, ::-1] if flip else part
    return changed
