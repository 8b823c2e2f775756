"""The layers of a bottleneck while they are trained, and how many bits their code takes.

Source: Ballé et al. 2017, End-to-end Optimized Image Compression (noise instead of rounding in the rate); Minnen and
Singh 2020 (rounding with a straight gradient before the decoder); Shi et al. 2016 (channels to places).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf

from models.training.bottleneck.layers import Bottleneck, Convolution

CODE_LIMIT: Final = 127.0
_LEAST_LIKELY: Final = 2.0**-24


@dataclass(frozen=True)
class Shape:
    """How large a bottleneck is: halvings of the picture's sides, channels of the code and of the layers between."""

    halvings: int = 1
    channels: int = 16
    width: int = 64


@dataclass(frozen=True)
class _Layer:
    convolution: keras.layers.Conv2D
    relu: bool
    doubles: bool

    def __call__(self, values: Any) -> Any:
        values = self.convolution(values)
        values = tf.nn.depth_to_space(values, 2) if self.doubles else values
        return tf.nn.relu(values) if self.relu else values


class Network:
    """Encoder, decoder, and the distribution of the code; all work on activations divided by `unit`."""

    def __init__(self, shape: Shape, channels: int, unit: float) -> None:
        self.unit = unit
        self._encoder = [_layer(shape.width, 3, stride=2, relu=True) for _ in range(shape.halvings)]
        if not shape.halvings:
            self._encoder.append(_layer(shape.width, 3, relu=True))
        self._encoder.append(_layer(shape.channels, 1))
        self._decoder = [_layer(shape.width, 3, relu=True)]
        self._decoder += [_layer(4 * shape.width, 3, relu=True, doubles=True) for _ in range(shape.halvings)]
        self._decoder.append(_layer(channels, 3))
        self.spread = tf.Variable(0.0, name="spread")
        self.encode(tf.zeros((1, 2**shape.halvings, 2**shape.halvings, channels)))
        self.decode(tf.zeros((1, 1, 1, shape.channels)))

    @property
    def variables(self) -> list[Any]:
        """Everything that is trained."""
        layers = [layer.convolution for layer in (*self._encoder, *self._decoder)]
        return [v.value for layer in layers for v in layer.trainable_variables] + [self.spread]

    def encode(self, values: Any) -> Any:
        """Return the code before it is rounded."""
        for layer in self._encoder:
            values = layer(values)
        return values

    def decode(self, code: Any, sides: Sequence[int] | None = None) -> Any:
        """Return the activation that a code stands for, of (height, width) where the halved sides were odd."""
        for layer in self._decoder:
            code = layer(code)
        return code if sides is None else code[:, : sides[0], : sides[1]]

    def bits(self, code: Any) -> Any:
        """Return the bits of each picture's code under one logistic distribution; differentiable."""
        noisy = code + tf.random.uniform(tf.shape(code), -0.5, 0.5)
        scale = tf.nn.softplus(self.spread) + 1e-2
        upper, lower = (noisy + 0.5) / scale, (noisy - 0.5) / scale
        side = -tf.sign(upper + lower)  # computed in the tail where numbers are small, so that nothing cancels
        likelihood = tf.abs(tf.sigmoid(side * upper) - tf.sigmoid(side * lower))
        bits = -tf.math.log(tf.maximum(likelihood, _LEAST_LIKELY)) / np.log(2)
        return tf.reduce_sum(bits, axis=(1, 2, 3))

    def layers(self, values: np.ndarray) -> Bottleneck:
        """Return the layers for activations as they are, their largest outputs measured on `values`."""
        scaled: Any = tf.constant(values / self.unit, tf.float32)
        encoder, scaled = self._measured(self._encoder, scaled, first=1 / self.unit, last=1.0)
        decoder, _ = self._measured(self._decoder, rounded(scaled), first=1.0, last=self.unit)
        return Bottleneck(encoder, decoder)

    @staticmethod
    def _measured(layers: list[_Layer], values: Any, first: float, last: float) -> tuple[tuple[Convolution, ...], Any]:
        found = []
        for number, layer in enumerate(layers):
            kernel, bias = (np.asarray(array, np.float32) for array in layer.convolution.get_weights())
            factor = last if number == len(layers) - 1 else 1.0
            kernel = kernel * factor * (first if number == 0 else 1.0)
            values = layer(values)
            top, stride = float(tf.reduce_max(values)) * factor, layer.convolution.strides[0]
            found.append(Convolution(kernel, bias * factor, stride, layer.relu, layer.doubles, top))
        return tuple(found), values


def rounded(code: Any) -> Any:
    """Return the code as whole numbers of an int8, with the gradient of the code itself."""
    whole = tf.clip_by_value(tf.round(code), -CODE_LIMIT, CODE_LIMIT)
    return code + tf.stop_gradient(whole - code)


def _layer(channels: int, side: int, stride: int = 1, relu: bool = False, doubles: bool = False) -> _Layer:
    convolution = keras.layers.Conv2D(channels, side, stride, "same", kernel_initializer="he_uniform")
    return _Layer(convolution, relu, doubles)
