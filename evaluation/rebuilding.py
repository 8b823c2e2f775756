"""A decoder that rebuilds pictures from an activation: a small convolutional network that grows the picture back.

Source: Dosovitskiy & Brox 2016, Inverting Visual Representations with Convolutional Networks (the way, not the sizes).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import keras
import numpy as np
from keras import ops

_SSIM_WINDOW = 7
_C1, _C2 = 0.01**2, 0.03**2  # Source: Wang et al. 2004, for values of 0 to 1


@dataclass(frozen=True)
class Recipe:
    """How a decoder is trained; `width` is the channels of its first layers, `similarity` the weight of 1 - SSIM."""

    epochs: int = 30
    batch: int = 16
    rate: float = 2e-3
    width: int = 64
    seed: int = 0
    gradient: float = 1.0
    similarity: float = 0.5


class Source(Protocol):
    """Gives activations and the pictures they were computed from, in batches."""

    def __len__(self) -> int: ...
    def batch(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return activations as real numbers and pictures as (n, height, width, 3) uint8."""


def train_decoder(
    source: Source, recipe: Recipe, tick: Callable[[int], None] = lambda count: None
) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from activations to pictures, (n, height, width, 3) uint8, trained on all of `source`."""
    keras.utils.set_random_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    values, pictures = source.batch(np.arange(min(256, len(source))))
    mean, deviation = _moments(values)
    model = decoder(values.shape[1:], (pictures.shape[1], pictures.shape[2]), recipe.width)
    steps = max(1, len(source) // recipe.batch) * recipe.epochs
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(recipe.rate, steps)),
        lambda wanted, found: picture_loss(wanted, found, recipe),
    )
    size = min(recipe.batch, len(source))
    for _ in range(recipe.epochs):
        order = rng.permutation(len(source))
        for start in range(0, len(order) - size + 1, size):
            values, pictures = source.batch(np.sort(order[start : start + size]))
            model.train_on_batch((values - mean) / deviation, pictures.astype(np.float32) / 255)
            tick(len(values))

    def rebuild(values: np.ndarray) -> np.ndarray:
        found = ops.convert_to_numpy(model((values - mean) / deviation, training=False))
        return np.asarray(np.rint(np.clip(found, 0, 1) * 255), np.uint8)

    return rebuild


def _moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and deviation per channel; a channel that never moves is left as it is."""
    axes = tuple(range(values.ndim - 1))
    deviation = values.std(axis=axes)
    return values.mean(axis=axes), np.where(deviation > 1e-6, deviation, 1.0)


def decoder(shape: tuple[int, ...], size: tuple[int, int], width: int) -> keras.Model:
    """Return an untrained network from an activation of this shape to a picture of (height, width) in 0 to 1."""
    source = x = keras.Input(shape)
    if len(shape) != 3:
        side = (max(1, size[0] // 16), max(1, size[1] // 16))
        x = keras.layers.Dense(side[0] * side[1] * width, activation="relu")(keras.layers.Flatten()(x))
        x = keras.layers.Reshape((*side, width))(x)
    x = _block(x, _channels(x.shape[1], size[0], width))
    while x.shape[1] * 4 <= size[0] and x.shape[2] * 4 <= size[1]:
        x = keras.layers.UpSampling2D(2, interpolation="bilinear")(x)
        x = _block(x, _channels(x.shape[1], size[0], width))
    if x.shape[1] * 2 <= size[0] and x.shape[2] * 2 <= size[1]:
        x = keras.layers.Conv2DTranspose(3, 4, 2, padding="same")(x)
    else:
        x = keras.layers.Conv2D(3, 3, padding="same")(x)
    if tuple(x.shape[1:3]) != size:
        x = keras.layers.Resizing(*size)(x)
    return keras.Model(source, keras.layers.Activation("sigmoid")(x))


def _channels(rows: int, all_rows: int, width: int) -> int:
    """Return fewer channels where there are more places, so that every step costs about as much."""
    return max(16, min(width, width * all_rows // rows // 6))


def _block(x: Any, channels: int) -> Any:
    x = keras.layers.Conv2D(channels, 3, padding="same", use_bias=False)(x)
    return keras.layers.LeakyReLU(0.1)(keras.layers.BatchNormalization(momentum=0.9)(x))


def picture_loss(wanted: Any, found: Any, recipe: Recipe) -> Any:
    """Return the mean difference of pixels and of their gradients, and what is missing to full similarity."""
    loss = ops.mean(ops.abs(wanted - found))
    for axis in (1, 2):
        loss += recipe.gradient * ops.mean(ops.abs(ops.diff(wanted, axis=axis) - ops.diff(found, axis=axis)))
    return loss + recipe.similarity * (1 - similarity(wanted, found))


def similarity(one: Any, other: Any) -> Any:
    """Return the mean SSIM over square windows, differentiable. Source: Wang et al. 2004, eq. 13."""

    def blur(values: Any) -> Any:
        return ops.average_pool(values, _SSIM_WINDOW, strides=1, padding="valid")

    mean_one, mean_other = blur(one), blur(other)
    variances = blur(one * one) - mean_one**2 + blur(other * other) - mean_other**2
    covariance = blur(one * other) - mean_one * mean_other
    top = (2 * mean_one * mean_other + _C1) * (2 * covariance + _C2)
    return ops.mean(top / ((mean_one**2 + mean_other**2 + _C1) * (variances + _C2)))
