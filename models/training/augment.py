"""Changed copies of training pictures: another crop, light, sharpness, and litter where there was none."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

Rng = np.random.Generator


@dataclass(frozen=True)
class Changes:
    """How far pictures are changed; the probabilities of pasting keep the classes about even."""

    smallest_crop: float = 0.6
    brightness: float = 0.3
    contrast: float = 0.3
    colour: float = 0.15
    blur: float = 0.25
    paste: float = 0.25


@dataclass(frozen=True)
class Patch:
    """A part of a training picture that can be laid into another, and the label of what it shows."""

    pixels: np.ndarray
    label: int


def augment(
    base: np.ndarray, label: int, size: int, changes: Changes, rng: Rng, patches: Sequence[Sequence[Patch]] = ()
) -> tuple[np.ndarray, int]:
    """Return a changed copy of a picture as (size, size, 3) uint8, and its label.

    Litter teaches best where the scene gives no hint: with probability `paste` one of the `patches` (a list per label)
    is laid on the ground with a soft edge. A littered patch makes a clean picture dirty; a clean patch, as often,
    changes no label, so that the edge of a patch says nothing.
    """
    picture = crop(base, size, changes.smallest_crop, rng)
    laid = patches[int(rng.integers(len(patches)))] if patches and rng.random() < changes.paste else ()
    if laid:
        patch = laid[int(rng.integers(len(laid)))]
        picture, label = paste(picture, patch.pixels, rng), max(label, patch.label)
    if rng.random() < 0.5:
        picture = picture[:, ::-1]
    picture = change_light(picture, changes, rng)
    if rng.random() < changes.blur:
        picture = soften(picture, rng)
    return picture, label


def cut_patch(base: np.ndarray, size: int, rng: Rng) -> np.ndarray:
    """Return a quarter to half of a picture's sides from below its sky as (size, size, 3) uint8."""
    return crop(base[len(base) // 4 :], size, 0.25, rng, largest=0.5)


def crop(base: np.ndarray, size: int, smallest: float, rng: Rng, largest: float = 1.0) -> np.ndarray:
    """Return a random part of a picture, `smallest` to `largest` of each side, as (size, size, 3)."""
    height, width = base.shape[:2]
    across, down = rng.uniform(smallest, largest, 2)
    left, top = rng.uniform(0, 1 - across) * width, rng.uniform(0, 1 - down) * height
    box = (left, top, left + across * width, top + down * height)
    image = Image.fromarray(base).resize((size, size), Image.Resampling.BILINEAR, box=box)
    return np.asarray(image)


def paste(ground: np.ndarray, patch: np.ndarray, rng: Rng) -> np.ndarray:
    """Return the ground with a blob of the patch, shrunk, laid into its lower two thirds."""
    size = len(ground)
    side = int(size * rng.uniform(0.1, 0.45))
    shrunk = Image.fromarray(patch).resize((side, side), Image.Resampling.BILINEAR)
    noise = Image.fromarray(rng.integers(0, 256, (5, 5), dtype=np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
    ramp = np.linspace(-1, 1, side)
    round_off = 1.4 - 1.7 * np.hypot(ramp[:, None], ramp[None, :])
    blob = np.clip((np.asarray(noise) / 255 - 0.45 + round_off) * 4, 0, 1)
    top = int(rng.uniform(0.3, 1.0) * (size - side))
    left = int(rng.uniform(0, 1) * (size - side))
    mixed = ground.copy()
    place = (slice(top, top + side), slice(left, left + side))
    mask = blob[..., None]
    mixed[place] = (ground[place] * (1 - mask) + np.asarray(shrunk) * mask).round().astype(np.uint8)
    return mixed


def change_light(picture: np.ndarray, changes: Changes, rng: Rng) -> np.ndarray:
    """Return the picture under another light: brightness, contrast, saturation, and the colour of the light."""
    values = picture.astype(np.float32)
    grey = values.mean(axis=2, keepdims=True)
    values = grey + (values - grey) * rng.uniform(1 - 2 * changes.colour, 1 + 2 * changes.colour)
    values *= rng.uniform(1 - changes.colour, 1 + changes.colour, 3).astype(np.float32)
    mean = values.mean()
    values = mean + (values - mean) * rng.uniform(1 - changes.contrast, 1 + changes.contrast)
    values *= rng.uniform(1 - changes.brightness, 1 + changes.brightness)
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def soften(picture: np.ndarray, rng: Rng) -> np.ndarray:
    """Return the picture slightly out of focus, or after a coarse JPEG."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    if rng.random() < 0.5:
        return np.asarray(image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.4, 1.2)))))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=int(rng.integers(25, 75)))
    return np.asarray(Image.open(out))
