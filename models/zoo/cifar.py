"""The network of convolution blocks with exits for CIFAR-10. Source: Lee et al. 2021, figures 1 to 3.

A block is twice a convolution, a normalisation and a ReLU; some blocks end in an average pooling. Behind each of the
first eight blocks an exit may stand: mean of the features, one dense layer. SEM-n has exit n alone, the MEM all eight.
The document names no channels: these are chosen so that one net trains on a processor. A block whose input has the
shape of its output adds it (He et al. 2015), as the document's do not: few epochs go further with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import keras

SIDE: Final = 32
TASK: Final = "object"
LABELS: Final = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


class Block(NamedTuple):
    """The channels of a block's two convolutions, and whether its end halves the sides."""

    channels: int
    pools: bool


BLOCKS: Final = (
    Block(24, True),
    Block(48, False),
    Block(48, True),
    Block(96, False),
    Block(96, True),
    *(Block(128, False) for _ in range(4)),
)
EXITS: Final = tuple(range(1, len(BLOCKS)))


def cifar(exits: Iterable[int], blocks: tuple[Block, ...] = BLOCKS) -> keras.Model:
    """Return the network from a (32, 32, 3) picture to {"exitN/object": …, "object": …}, its weights random.

    What a block gives is called after it: `block3` is the tensor behind which exit 3 stands.
    """
    image = x = keras.Input((SIDE, SIDE, 3), name="image")
    chosen, outputs = set(exits), {}
    for number, block in enumerate(blocks, 1):
        x = _block(x, f"block{number}", block)
        if number in chosen:
            outputs[f"exit{number}/{TASK}"] = _answer(x, f"exit{number}")
    outputs[TASK] = _answer(x, "final")
    return keras.Model(image, outputs, name="cifar")


def _block(x: keras.KerasTensor, name: str, block: Block) -> keras.KerasTensor:
    start, adds = x, x.shape[-1] == block.channels
    x = keras.layers.ReLU(name=f"{name}_relu1")(_convolve(x, f"{name}_conv1", block.channels))
    x = _convolve(x, f"{name}_conv2", block.channels, gamma="zeros" if adds else "ones")
    if adds:
        x = keras.layers.Add(name=f"{name}_sum")([start, x])
    x = keras.layers.ReLU(name=f"{name}_relu2" if block.pools else name)(x)
    return keras.layers.AveragePooling2D(2, name=name)(x) if block.pools else x


def _convolve(x: keras.KerasTensor, name: str, channels: int, gamma: str = "ones") -> keras.KerasTensor:
    convolution = keras.layers.Conv2D(
        channels, 3, padding="same", use_bias=False, kernel_initializer="he_normal", name=name
    )
    norm = keras.layers.BatchNormalization(momentum=0.95, epsilon=1e-5, gamma_initializer=gamma, name=f"{name}_norm")
    return norm(convolution(x))


def _answer(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    x = keras.layers.GlobalAveragePooling2D(name=f"{name}_features")(x)
    return keras.layers.Dense(len(LABELS), activation="softmax", name=f"{name}_scores")(x)
