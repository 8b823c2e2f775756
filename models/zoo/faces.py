"""A light network for faces with two early exits: gender, age in years, age group. Its trunk is MobileNetV2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import keras

from models.tasks import Task
from models.zoo.mobilenet_v2 import mobilenet_v2

TASKS: Final = (
    Task("gender", "classification", "gender", ("male", "female")),
    Task("age", "regression", "age", unit="years"),
    Task("age-group", "classification", "age-group", ("0-2", "3-9", "10-19", "20-59", "60+")),
)
EXITS: Final[Mapping[str, str]] = {"exit1": "block_5_add", "exit2": "block_9_add"}
"""Behind which layer each exit stands: at about two and three fifths of the multiply-adds."""
BRANCHES: Final[Mapping[str, str]] = {after: f"{name}_point_1" for name, after in EXITS.items()}
"""By the layer behind which an exit stands, the 1x1 convolution with which its branch begins."""
_MEAN_AGE: Final = 33.0  # of UTKFace: where the age's output starts


def faces(size: int, dropout: float = 0.2) -> keras.Model:
    """Return the network from a (size, size, 3) face in [LOW, HIGH] to its tasks at both exits and the end."""
    trunk = mobilenet_v2(size)
    outputs: dict[str, keras.KerasTensor] = {}
    for name, after in EXITS.items():
        outputs |= answers(_branch(trunk.get_layer(after).output, name), f"{name}/", dropout)
    outputs |= answers(trunk.output, "", dropout)
    return keras.Model(trunk.input, outputs, name="faces")


def _branch(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Return 256 features of an activation: two separable convolutions with stride 2, and the mean of what is found."""
    for step, channels in enumerate((128, 256), 1):
        x = keras.layers.Conv2D(channels, 1, activation="relu", name=f"{name}_point_{step}")(x)
        x = keras.layers.DepthwiseConv2D(3, 2, "same", activation="relu", name=f"{name}_depthwise_{step}")(x)
    x = keras.layers.Conv2D(256, 1, activation="relu", name=f"{name}_point_3")(x)
    return keras.layers.GlobalAveragePooling2D(name=f"{name}_features")(x)


def answers(features: keras.KerasTensor, prefix: str, dropout: float) -> dict[str, keras.KerasTensor]:
    """Return what features say of every task, by output: the prefix and the name of the task."""
    kept = keras.layers.Dropout(dropout)(features)
    found = {}
    for task in TASKS:
        layer = prefix.replace("/", "_") + task.name.replace("-", "_")
        if task.kind == "regression":
            start = keras.initializers.Constant(_MEAN_AGE)
            dense = keras.layers.Dense(1, bias_initializer=start, name=layer)
        else:
            dense = keras.layers.Dense(len(task.labels), activation="softmax", name=layer)
        found[prefix + task.name] = dense(kept)
    return found
