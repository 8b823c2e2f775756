"""The age and gender network of the thesis: VGG16's convolutions, one dense layer, two early exits.

Source: the thesis at TU Munich (papers/000), sections 3.1.3 and 3.3.2, tables 3.2 and 3.3. It names no channels of the
branches: those here keep each exit below what lies behind it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import keras
import numpy as np

from models.zoo.faces import answers
from models.zoo.vgg16 import BLOCKS, convolution_names, load_convolutions

EXITS: Final[Mapping[str, str]] = {"exit1": "block2_pool", "exit2": "block4_pool"}
SPLIT: Final = "block4_pool"
"""Where the document cuts the network."""
SIZE: Final = 224
"""Side of the document's pictures."""
OFFERED: Final = tuple(f"block{block}_pool" for block in range(1, len(BLOCKS) + 1))
"""Its cut points: behind each block, where few values remain."""
_BRANCHES: Final[Mapping[str, tuple[int, ...]]] = {"exit1": (64, 64), "exit2": (128,)}
_DENSE: Final = 128


def faces_vgg16(size: int = SIZE, dropout: float = 0.5) -> keras.Model:
    """Return the network from a (size, size, 3) face in [LOW, HIGH] to its tasks at both exits and the end."""
    image = x = keras.Input((size, size, 3), name="image")
    outputs: dict[str, keras.KerasTensor] = {}
    exits = {after: name for name, after in EXITS.items()}
    for block, (channels, convolutions) in enumerate(BLOCKS, 1):
        for number in range(1, convolutions + 1):
            x = keras.layers.Conv2D(channels, 3, padding="same", activation="relu", name=f"block{block}_conv{number}")(
                x
            )
        x = keras.layers.MaxPooling2D(2, name=f"block{block}_pool")(x)
        if name := exits.get(f"block{block}_pool"):
            outputs |= _branch(x, name, dropout)
    x = keras.layers.Dense(_DENSE, activation="relu", name="dense128")(keras.layers.Flatten(name="flatten")(x))
    return keras.Model(image, outputs | answers(x, "", dropout), name="faces_vgg16")


def load_imagenet(model: keras.Model, weights: Mapping[str, np.ndarray]) -> None:
    """Fill the convolutions before the dense layer with those of Keras's VGG16; the branches keep theirs."""
    load_convolutions([model.get_layer(name) for name in convolution_names()], weights)


def _branch(x: keras.KerasTensor, name: str, dropout: float) -> dict[str, keras.KerasTensor]:
    """Return an exit's answers; VGG16's activations reach into the hundreds, so its branch normalises them."""
    for number, channels in enumerate(_BRANCHES[name], 1):
        layer = keras.layers.Conv2D(channels, 3, padding="same", use_bias=False, name=f"{name}_conv{number}")
        x = keras.layers.BatchNormalization(momentum=0.95, name=f"{name}_norm{number}")(layer(x))
        x = keras.layers.ReLU(name=f"{name}_relu{number}")(x)
    x = keras.layers.GlobalAveragePooling2D(name=f"{name}_mean")(keras.layers.MaxPooling2D(2, name=f"{name}_pool")(x))
    return answers(keras.layers.Dense(_DENSE, activation="relu", name=f"{name}_dense")(x), f"{name}/", dropout)
