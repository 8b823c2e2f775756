"""The layers of a bottleneck as plain arrays: what a training ends with and a file is written from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Convolution:
    """A convolution with "same" padding, and what follows it.

    `kernel` is (height, width, in, out) float32. With `doubles`, a block of four output channels becomes a square of
    two by two places. `top` is the largest output seen, needed where a file holds integers.
    """

    kernel: np.ndarray
    bias: np.ndarray
    stride: int = 1
    relu: bool = False
    doubles: bool = False
    top: float = 0.0


@dataclass(frozen=True)
class Bottleneck:
    """What is laid into a model at a cut point: the encoder ends in the code, whole numbers of -128 to 127."""

    encoder: tuple[Convolution, ...]
    decoder: tuple[Convolution, ...]
