"""MobileNetV2 with ImageNet weights of torchvision. Source: Sandler et al. 2018, table 2.

Each convolution carries its bias: batch normalisation is folded into the weights when they are read, so that what is
trained is what is exported. torchvision pads both sides alike where Keras's "same" pads the end first; the strided
convolutions therefore stand behind an explicit ZeroPadding2D.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import keras
import numpy as np

from models.pictures import HIGH, LOW

Arrays = Mapping[str, np.ndarray]
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
FEATURES = 1280
_MEAN, _STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])  # Source: torchvision's ImageNet
_EPSILON = 1e-5
_NORM = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True)
class Unit:
    """One convolution with its activation: its Keras name and where torchvision keeps its weights."""

    name: str
    kind: Literal["full", "depthwise", "point"]
    channels: int
    stride: int
    active: bool
    convolution: str
    norm: str


@dataclass(frozen=True)
class Block:
    """An inverted residual: its units, and whether its input is added to its output."""

    name: str
    units: tuple[Unit, ...]
    adds: bool


def blocks() -> Iterator[Block]:
    """Yield the 17 inverted residuals, named as Keras names them."""
    channels, index = 32, 0
    for expansion, out, repeats, stride in STAGES:
        for repeat in range(repeats):
            step = stride if repeat == 0 else 1
            yield _block(index, channels, expansion, out, step)
            channels, index = out, index + 1


def _block(index: int, channels: int, expansion: int, out: int, stride: int) -> Block:
    name, source = f"block_{index}", f"features.{index + 1}.conv"
    inner, units, place = channels * expansion, [], 0
    if expansion > 1:
        units.append(Unit(f"{name}_expand", "point", inner, 1, True, f"{source}.0.0", f"{source}.0.1"))
        place = 1
    dw = f"{source}.{place}"
    units.append(Unit(f"{name}_depthwise", "depthwise", inner, stride, True, f"{dw}.0", f"{dw}.1"))
    units.append(
        Unit(f"{name}_project", "point", out, 1, False, f"{source}.{place + 1}", f"{source}.{place + 2}"),
    )
    return Block(name, tuple(units), stride == 1 and channels == out)


FIRST = Unit("conv_1", "full", 32, 2, True, "features.0.0", "features.0.1")
LAST = Unit("conv_last", "point", FEATURES, 1, True, "features.18.0", "features.18.1")


def units() -> list[Unit]:
    """Return every convolution in the order of execution."""
    return [FIRST, *(unit for block in blocks() for unit in block.units), LAST]


def expected_arrays() -> dict[str, tuple[int, ...]]:
    """Return the names of torchvision's arrays that a file of its weights must hold, with their shapes."""
    shapes: dict[str, tuple[int, ...]] = {}
    before = 3
    for unit in units():
        each, side = (1 if unit.kind == "depthwise" else before), (1 if unit.kind == "point" else 3)
        shapes[f"{unit.convolution}.weight"] = (unit.channels, each, side, side)
        shapes |= {f"{unit.norm}.{part}": (unit.channels,) for part in _NORM}
        before = unit.channels
    return shapes


def mobilenet_v2(size: int) -> keras.Model:
    """Return the network from a (size, size, 3) picture in [LOW, HIGH] to its 1280 mean features, without weights."""
    image = x = keras.Input((size, size, 3), name="image")
    x = _convolve(x, FIRST)
    for block in blocks():
        start = x
        for unit in block.units:
            x = _convolve(x, unit)
        if block.adds:
            x = keras.layers.Add(name=f"{block.name}_add")([start, x])
    x = _convolve(x, LAST)
    x = keras.layers.GlobalAveragePooling2D(name="features")(x)
    return keras.Model(image, x, name="mobilenet_v2")


def _convolve(x: keras.KerasTensor, unit: Unit) -> keras.KerasTensor:
    padding = "same"
    if unit.stride == 2:
        x, padding = keras.layers.ZeroPadding2D(1, name=f"{unit.name}_pad")(x), "valid"
    if unit.kind == "depthwise":
        layer = keras.layers.DepthwiseConv2D(3, unit.stride, padding, name=unit.name)
    else:
        layer = keras.layers.Conv2D(
            unit.channels, 3 if unit.kind == "full" else 1, unit.stride, padding, name=unit.name
        )
    x = layer(x)
    return keras.layers.ReLU(6.0, name=f"{unit.name}_relu")(x) if unit.active else x


def load_imagenet(model: keras.Model, weights: Arrays) -> None:
    """Fill the network with torchvision's weights: batch normalisation and the scaling of pixels are folded in."""
    for unit in units():
        kernel, bias = fold_norm(weights, unit)
        if unit is FIRST:
            kernel, bias = fold_scaling(kernel, bias)
        model.get_layer(unit.name).set_weights([kernel, bias])


def imagenet_scores(features: np.ndarray, weights: Arrays) -> np.ndarray:
    """Return the 1000 ImageNet logits of (n, 1280) features: torchvision's classifier, to check the port."""
    return np.asarray(features @ weights["classifier.1.weight"].T + weights["classifier.1.bias"])


def fold_norm(weights: Arrays, unit: Unit) -> tuple[np.ndarray, np.ndarray]:
    """Return kernel (Keras's layout) and bias of a convolution with the batch normalisation behind it."""
    norm = {part: weights[f"{unit.norm}.{part}"] for part in _NORM}
    factor = norm["weight"] / np.sqrt(norm["running_var"] + _EPSILON)
    kernel = weights[f"{unit.convolution}.weight"] * factor[:, None, None, None]
    order = (2, 3, 0, 1) if unit.kind == "depthwise" else (2, 3, 1, 0)
    return kernel.transpose(order), norm["bias"] - norm["running_mean"] * factor


def fold_scaling(kernel: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first convolution for pixels in [LOW, HIGH] instead of torchvision's mean 0, deviation 1.

    With x the pixel in [LOW, HIGH], torchvision's value is x * gain + offset. Only the padded border differs: it
    holds pixel value 128 instead of ImageNet's mean colour.
    """
    gain = 255 / (HIGH - LOW) / 255 / _STD
    offset = (-LOW / (HIGH - LOW) - _MEAN) / _STD
    shift = np.einsum("hwio,i->o", kernel, offset)
    return kernel * gain[None, None, :, None], bias + shift
