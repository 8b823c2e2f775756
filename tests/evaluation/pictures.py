"""Small made-up pictures, sorted into folders by what a bundle says of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from models.bundle import Bundle, predictions
from models.engine import Engine
from models.pictures import encode_png, fit, to_input


def gradient(rng: np.random.Generator, side: int) -> np.ndarray:
    """Return a picture of two random colours that blend along a random direction, with a bright spot."""
    one, other = rng.integers(0, 256, (2, 3))
    angle, (down, across) = rng.uniform(0, 2 * np.pi), np.mgrid[0:side, 0:side] / (side - 1)
    along = np.clip((np.cos(angle) * (across - 0.5) + np.sin(angle) * (down - 0.5)) + 0.5, 0, 1)
    spot = np.exp(-((across - rng.random()) ** 2 + (down - rng.random()) ** 2) * 20)
    blend = one + (other - one) * along[..., None] + 120 * spot[..., None]
    return np.asarray(np.clip(blend, 0, 255), np.uint8)


def said(bundle: Bundle, engine: Engine, pixels: np.ndarray) -> str:
    """Return the label that the whole model gives a picture."""
    whole, wanted = engine.whole(), bundle.input
    small = fit(pixels, wanted.width, wanted.height)
    outputs = whole.run(to_input(small, whole.inputs[0], wanted.low, wanted.high, wanted.colour))
    return str(predictions(bundle, outputs, whole.outputs)[0].label)


def write_labelled(folder: Path, bundle: Bundle, count: int, *, wrong: int = 0, side: int | None = None) -> Path:
    """Write pictures into a folder per label: as the bundle answers, but for the first `wrong` of them."""
    rng, engine, labels = (
        np.random.default_rng(7),
        Engine(bundle.model_path, outputs=bundle.finals),
        bundle.tasks[0].labels,
    )
    for number in range(count):
        pixels = gradient(rng, side or bundle.input.width)
        label = labels.index(said(bundle, engine, pixels))
        inside = folder / labels[(label + (number < wrong)) % len(labels)]
        inside.mkdir(parents=True, exist_ok=True)
        (inside / f"{number:03d}.png").write_bytes(encode_png(pixels))
    return folder
