"""The network of convolution blocks with exits for CIFAR-10. Source: Lee et al. 2021, figures 1 to 3.

A block is twice a convolution, a normalisation and a ReLU. Behind each of the first eight blocks an exit may stand:
mean of the features, one dense layer. SEM-n has exit n alone, the MEM all eight.

The document names no channels: these are chosen so that one net trains on a processor. Few epochs go further with four
things that the document does not have: a fixed first layer that whitens patches of 2x2 pixels and convolutions that
begin as the identity (both after Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU"), a maximum between a
block's convolutions where the document has a mean behind them, and a sum with the block's input where it has the shape
of the output (He et al. 2015).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import keras
import numpy as np

SIDE: Final = 32
TASK: Final = "object"
LABELS: Final = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


class Block(NamedTuple):
    """The channels of a block's two convolutions, and whether it halves the sides between them."""

    channels: int
    pools: bool


BLOCKS: Final = (
    Block(32, True),
    Block(32, False),
    Block(96, True),
    Block(96, False),
    Block(128, True),
    *(Block(128, False) for _ in range(4)),
)
EXITS: Final = tuple(range(1, len(BLOCKS)))
_PATCHES: Final = np.array([[[1, 1], [1, 1]], [[1, -1], [1, -1]], [[1, 1], [-1, -1]], [[1, -1], [-1, 1]]]) / 2
"""Light, two slopes and a saddle over 2x2 pixels."""
_COLOURS: Final = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])
"""Grey, red against blue, green against both."""
_SPREAD: Final = np.array([[1.546, 0.413, 0.221], [0.296, 0.033, 0.021], [0.313, 0.037, 0.023], [0.123, 0.008, 0.006]])
"""Standard deviation of each patch in each colour over CIFAR-10's training pictures from -1 to 1."""
_LEAST_SPREAD: Final = 0.03
"""Below it lies what JPEG leaves of colour from pixel to pixel; more than this is not made of it."""


class Identity(keras.initializers.Initializer):  # type: ignore[misc]
    """A convolution's start: what comes in goes on unchanged in the first channels, the others are drawn."""

    def __call__(self, shape: tuple[int, ...], dtype: str | None = None) -> keras.KerasTensor:
        """Return a kernel of (height, width, channels in, channels out)."""
        most = float(np.prod(shape[:-1])) ** -0.5
        kernel = np.array(keras.random.uniform(shape, -most, most))
        height, width, *channels = shape
        same = np.arange(min(channels))
        kernel[:, :, :, same] = 0
        kernel[height // 2, width // 2, same, same] = 1
        return keras.ops.convert_to_tensor(kernel, dtype)


def cifar(exits: Iterable[int], blocks: tuple[Block, ...] = BLOCKS) -> keras.Model:
    """Return the network from a (32, 32, 3) picture to {"exitN/object": …, "object": …}, its weights random.

    What a block gives is called after it: `block3` is the tensor behind which exit 3 stands.
    """
    image = keras.Input((SIDE, SIDE, 3), name="image")
    x = keras.layers.ReLU(name="stem_relu")(_whiten(image))
    chosen, outputs = set(exits), {}
    for number, block in enumerate(blocks, 1):
        x = _block(x, f"block{number}", block)
        if number in chosen:
            outputs[f"exit{number}/{TASK}"] = _answer(x, f"exit{number}")
    outputs[TASK] = _answer(x, "final")
    return keras.Model(image, outputs, name="cifar")


def _whiten(image: keras.KerasTensor) -> keras.KerasTensor:
    """Return every patch in every colour, each with both signs for the ReLU; nothing of it learns.

    What remains are 31 pixels a side, so 15, 7 and 3 behind the blocks that halve: a quarter less to compute.
    """
    kernel = np.einsum("ahw,bc->hwcab", _PATCHES, _COLOURS) / np.hypot(_SPREAD, _LEAST_SPREAD)
    kernel = kernel.reshape(2, 2, 3, -1)
    filters = np.concatenate([kernel, -kernel], axis=-1)
    return keras.layers.Conv2D(
        filters.shape[-1],
        2,
        use_bias=False,
        kernel_initializer=lambda shape, dtype=None: keras.ops.convert_to_tensor(filters, dtype),
        trainable=False,
        name="stem",
    )(image)


def _block(x: keras.KerasTensor, name: str, block: Block) -> keras.KerasTensor:
    start, adds = x, x.shape[-1] == block.channels and not block.pools
    x = _normalise(_convolve(x, f"{name}_conv1", block.channels), f"{name}_norm1")
    x = keras.layers.ReLU(name=f"{name}_relu")(x)
    x = keras.layers.MaxPooling2D(2, name=f"{name}_pool")(x) if block.pools else x
    x = _convolve(x, f"{name}_conv2", block.channels)
    x = _normalise(x, f"{name}_norm2", gamma="zeros" if adds else "ones")
    return keras.layers.ReLU(name=name)(keras.layers.Add(name=f"{name}_sum")([start, x]) if adds else x)


def _convolve(x: keras.KerasTensor, name: str, channels: int) -> keras.KerasTensor:
    return keras.layers.Conv2D(
        channels, 3, padding="same", use_bias=False, kernel_initializer=Identity(), name=name
    )(x)  # fmt: skip


def _normalise(x: keras.KerasTensor, name: str, gamma: str = "ones") -> keras.KerasTensor:
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, gamma_initializer=gamma, name=name)(x)


def _answer(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    x = keras.layers.GlobalAveragePooling2D(name=f"{name}_features")(x)
    return keras.layers.Dense(len(LABELS), activation="softmax", name=f"{name}_scores")(x)
