"""Keras models to .tflite files, compared with the original after every conversion."""

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


class ConversionError(ModelError):
    """A converted file does not answer as the network it was made of."""


def to_float(model: keras.Model, pictures: np.ndarray, tolerance: float = 1e-3) -> bytes:
    """Return the model as a float32 .tflite file.

    `pictures` are (n, height, width, 3) float32 inputs on which file and model are compared.
    Raises: ConversionError when an output differs by more than `tolerance`, or the file lacks the weights.
    """
    content = _export(model)
    weights_bytes = 4 * sum(int(np.prod(weight.shape)) for weight in model.weights if len(weight.shape) > 1)
    if len(content) < weights_bytes:
        raise ConversionError(
            f"the file has {len(content)} B, expected over {weights_bytes} B of weights; do not use it"
        )
    got = run_all(content, pictures[:8])
    expected = {name: keras.ops.convert_to_numpy(y) for name, y in model(pictures[:8], training=False).items()}
    worst = max(float(np.abs(got[name] - expected[name]).max()) for name in expected)
    if worst > tolerance:
        raise ConversionError(f"an output differs by {worst:.3g}, expected at most {tolerance:g}; do not use the file")
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


def with_limits(inputs: np.ndarray) -> np.ndarray:
    """Return inputs for `to_int8` whose first one also holds black and white, the limits of what `centred` gives."""
    shown = inputs.copy()
    shown[0, 0, 0], shown[0, 0, 1] = LOW, HIGH
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
