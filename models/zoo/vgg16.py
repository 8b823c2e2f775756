"""VGG16 in 37 layers, as torchvision has it without its two dropouts. Source: Simonyan 2014; Luger 2023, table 5.3.

The document gives it pictures of 256 pixels, with which layer 32 averages 8x8 to 7x7; at 224 it would change nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from models.zoo.chain import Chain, Layer

if TYPE_CHECKING:
    import keras

CLASSES = 1000
BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
_MEAN_BGR = np.array([103.939, 116.779, 123.68])  # Source: Caffe's VGG16, the mean of ImageNet


def _features() -> Iterator[Layer]:
    for channels, convolutions in BLOCKS:
        for _ in range(convolutions):
            yield Layer("conv", channels, 3, padding=1)
            yield Layer("relu")
        yield Layer("pool", kernel=2, stride=2)


def _classifier() -> Iterator[Layer]:
    yield Layer("average", 7)
    for _ in range(2):
        yield Layer("dense", 4096)
        yield Layer("relu")
    yield Layer("dense", CLASSES)


VGG16 = Chain("vgg16", 256, 3, (*_features(), *_classifier()))


def convolution_names() -> list[str]:
    """Return Keras's names of the 13 convolutions, in order."""
    return [f"block{b}_conv{c}" for b, (_, count) in enumerate(BLOCKS, 1) for c in range(1, count + 1)]


def expected_arrays() -> dict[str, tuple[int, ...]]:
    """Return the names of Keras's arrays that a file of its weights must hold, with their shapes."""
    sizes = [channels for channels, count in BLOCKS for _ in range(count)]
    shapes: dict[str, tuple[int, ...]] = {}
    for name, before, after in zip(convolution_names(), (VGG16.channels, *sizes), sizes, strict=False):
        shapes |= {f"{name}/kernel": (3, 3, before, after), f"{name}/bias": (after,)}
    return shapes


def load_imagenet(model: keras.Model, weights: Mapping[str, np.ndarray]) -> None:
    """Fill all convolutions of a network with those of Keras's VGG16."""
    load_convolutions([layer for layer in model.layers if type(layer).__name__ == "Conv2D"], weights)


def load_convolutions(layers: Sequence[keras.layers.Layer], weights: Mapping[str, np.ndarray]) -> None:
    """Fill the 13 convolutions with those of Keras's VGG16; its colours and means go into the first.

    Keras's weights want blue, green, red from 0 to 255 less ImageNet's mean, the network takes RGB from LOW to HIGH
    (models/pictures.py). Only the padded border of the first layer differs: it holds pixel value 128 instead of
    ImageNet's mean colour.
    """
    for place, (layer, name) in enumerate(zip(layers, convolution_names(), strict=True)):
        kernel, bias = (weights[f"{name}/{part}"].astype(np.float64) for part in ("kernel", "bias"))
        if place == 0:
            bias = bias + np.einsum("hwio,i->o", kernel, 128 - _MEAN_BGR)
            kernel = kernel[:, :, ::-1] * 128
        layer.set_weights([kernel.astype(np.float32), bias.astype(np.float32)])
