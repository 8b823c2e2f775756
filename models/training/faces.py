"""The faces model: cut the faces out, train network and exits together, convert, judge, and write its bundle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from models.crop import NothingFound, read_cuts
from models.faces.crop import FaceCrop
from models.samples import Sample
from models.training.batches import Labelled, Rng, labelled
from models.training.plan import blanked
from models.zoo.faces import TASKS

MARGIN: Final = 0.1
"""What is kept around a face for training, on each side, so that copies can be shifted."""
_LEAST_SIDE: Final = 24


def cut_faces(
    samples: Sequence[Sample], size: int, folder: Path, tick: Callable[[], None] = lambda: None
) -> tuple[list[np.ndarray], list[Sample]]:
    """Return the largest face of each sample with its margin, and the samples that have one.

    `size` is that of the network: faces come as (size * 1.2, size * 1.2, 3) uint8, whose middle is what a device cuts.
    What was cut is kept in `folder` for the next time. Raises: NothingFound when no sample has a face.
    """
    side = round(size * (1 + 2 * MARGIN))
    key = hashlib.sha256(json.dumps([side, *(sample.digest for sample in samples)]).encode()).hexdigest()[:16]
    kept = folder / f"faces-{key}.npz"
    if kept.is_file():
        with np.load(kept) as arrays:
            pictures, places = arrays["pictures"], arrays["places"]
        return list(pictures), [samples[int(place)] for place in places]
    crop, found, places_found = FaceCrop(max_faces=1, margin=MARGIN), [], []
    for place, sample in enumerate(samples):
        with sample.opened() as content:
            cuts = read_cuts(content, crop, side, side)
        tick()
        if cuts:
            found.append(cuts[0].pixels)
            places_found.append(place)
    if not found:
        raise NothingFound("face", len(samples))
    folder.mkdir(parents=True, exist_ok=True)
    partial = kept.with_suffix(".partial.npz")
    np.savez(partial, pictures=np.stack(found), places=np.array(places_found))
    partial.replace(kept)
    return found, [samples[place] for place in places_found]


def middle(pictures: np.ndarray, size: int) -> np.ndarray:
    """Return the (n, size, size, 3) middle of faces with a margin."""
    start = (pictures.shape[1] - size) // 2
    return np.ascontiguousarray(pictures[:, start : start + size, start : start + size])


@dataclass(frozen=True)
class FaceChanges:
    """How far the copies of faces are changed."""

    light: float = 0.3
    contrast: float = 0.3
    colour: float = 0.1
    coarse: float = 0.25
    """Share of copies that lose detail, as if the face were further away."""
    grey: float = 0.05
    blank: float = 0.0
    """Side of a square that is blanked in every copy, as a share of the face's."""

    def __call__(self, pictures: np.ndarray, rng: Rng) -> np.ndarray:
        """Return shifted, mirrored copies under another light: (n, side, side, 3) uint8 in, network size out."""
        size = round(pictures.shape[1] / (1 + 2 * MARGIN))
        out = np.empty((len(pictures), size, size, 3), np.uint8)
        for number, picture in enumerate(pictures):
            out[number] = self._changed(picture, size, rng)
        values = out.astype(np.float32)
        gain = rng.uniform(1 - self.contrast, 1 + self.contrast, (len(out), 1, 1, 1))
        tint = rng.uniform(1 - self.colour, 1 + self.colour, (len(out), 1, 1, 3))
        shift = rng.uniform(-self.light, self.light, (len(out), 1, 1, 1)) * 128
        grey = (rng.random((len(out), 1, 1, 1)) < self.grey).astype(np.float32)
        values = values * (1 - grey) + values.mean(axis=3, keepdims=True) * grey
        lit = np.asarray(np.clip((values - 128) * gain * tint + 128 + shift, 0, 255), np.uint8)
        return blanked(lit, round(size * self.blank), rng) if self.blank else lit

    def _changed(self, picture: np.ndarray, size: int, rng: Rng) -> np.ndarray:
        """Return a random square of a face with its margin, mirrored half of the times."""
        side = len(picture)
        part = rng.uniform(size * 0.92, min(size * 1.08, side))
        left, top = rng.uniform(0, side - part, 2)
        image = Image.fromarray(picture)
        box = (left, top, left + part, top + part)
        if rng.random() < self.coarse:
            few = int(rng.integers(_LEAST_SIDE, size))
            image, box = image.resize((few, few), Image.Resampling.BILINEAR, box=box), (0, 0, few, few)
        changed = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, box=box))
        return changed[:, ::-1] if rng.random() < 0.5 else changed


def as_labelled(pictures: Sequence[np.ndarray], samples: Sequence[Sample]) -> Labelled:
    """Return faces with what is known of them."""
    return labelled(pictures, samples, TASKS)
