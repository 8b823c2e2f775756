"""Keras models to .tflite files: float ones compared with the original by their numbers, of int8 ones that all is int8.

What int8 costs is for the caller to measure, on labelled pictures.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from models.engine import Engine, TensorSpec
from models.errors import ModelError
from models.graph import Graph
from models.pictures import HIGH, LOW
from models.tasks import dequantise

_RELATIVE = 1e-3  # of an output's largest value: what float32 may lose where that is far from 1


class ConversionError(ModelError):
    """A converted file does not answer as the network it was made of."""


def to_float(model: keras.Model, pictures: np.ndarray, tolerance: float = 1e-3) -> bytes:
    """Return the model as a float32 .tflite file.

    `pictures` are (n, height, width, 3) float32 inputs on which file and model are compared.
    Raises: ConversionError when an output differs by more than `tolerance` and more than a thousandth of its largest
    value, or the file lacks the weights.
    """
    content = _export(model)
    weights_bytes = 4 * sum(int(np.prod(weight.shape)) for weight in model.weights if len(weight.shape) > 1)
    if len(content) < weights_bytes:
        raise ConversionError(
            f"the file has {len(content)} B, expected over {weights_bytes} B of weights; do not use it"
        )
    got = run_all(content, pictures[:8])
    for name, answer in model(pictures[:8], training=False).items():
        expected = keras.ops.convert_to_numpy(answer).reshape(got[name].shape)
        worst = float(np.abs(got[name] - expected).max())
        allowed = max(tolerance, _RELATIVE * float(np.abs(expected).max()))
        if not worst <= allowed:
            raise ConversionError(
                f"output {name} differs by {worst:.3g}, expected at most {allowed:.3g}; do not use the file"
            )
    return content


def to_int8(model: keras.Model, pictures: np.ndarray) -> bytes:
    """Return the model as a full-integer .tflite file: int8 input, output, weights per channel.

    `pictures` are (n, height, width, 3) float32 inputs that show the ranges of all activations.
    Raises: ConversionError when an operator stayed in floating point.
    """

    def representative() -> Iterator[list[np.ndarray]]:
        for picture in pictures:
            yield [picture[None]]

    content = _export(
        model,
        optimizations=[tf.lite.Optimize.DEFAULT],
        representative_dataset=representative,
        target_spec={"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]},
        inference_input_type=tf.int8,
        inference_output_type=tf.int8,
    )
    floats = [tensor.name for tensor in Graph.read(content).tensors if tensor.dtype.startswith("float")]
    if floats:
        raise ConversionError(f"{floats[0]} stayed in floating point, expected int8 everywhere; change that layer")
    return content


def with_limits(inputs: np.ndarray, low: float = LOW, high: float = HIGH) -> np.ndarray:
    """Return inputs for `to_int8` whose first one also holds black and white, by default the limits of `centred`."""
    shown = inputs.copy()
    shown[0, 0, 0], shown[0, 0, 1] = low, high
    return shown


def _export(model: keras.Model, **options: Any) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        model.export(path, format="litert", verbose=False, **options)
        return path.read_bytes()


def run(content: bytes, pictures: np.ndarray) -> np.ndarray:
    """Return the first output of a .tflite file for (n, height, width, 3) float32 inputs, as real numbers."""
    return next(iter(run_all(content, pictures).values()))


def run_all(
    content: bytes, pictures: np.ndarray, tick: Callable[[float], None] = lambda n: None
) -> dict[str, np.ndarray]:
    """Return every output of a .tflite file by name, as real numbers, one row per float32 input picture."""
    part = Engine(content).whole()
    rows: dict[str, list[np.ndarray]] = {spec.name: [] for spec in part.outputs}
    for picture in pictures:
        for spec, answer in zip(part.outputs, part.run(_quantise(picture[None], part.inputs[0])), strict=True):
            rows[spec.name].append(dequantise(answer, spec))
        tick(1)
    return {name: np.stack(answers) for name, answers in rows.items()}


def _quantise(values: np.ndarray, spec: TensorSpec) -> np.ndarray:
    if spec.scale == 0.0:
        return values
    limits = np.iinfo(spec.dtype)
    return np.asarray(np.clip(np.rint(values / spec.scale) + spec.zero_point, limits.min, limits.max), spec.dtype)
