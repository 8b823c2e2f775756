"""Write one architecture of keras.applications, without trained weights, as .tflite files of several kinds.

Run as a program, so that the tests' own process stays free of TensorFlow:
    python tests/models/zoo_export.py MobileNetV2 96 FOLDER float32 float16 dynamic int8
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import keras
import numpy as np
import tensorflow as tf

CLASSES = 10
SMALLEST_SHARE = {"float32": 0.9, "float16": 0.45, "dynamic": 0.2, "int8": 0.2}


def build(name: str, size: int) -> keras.Model:
    """Return the architecture with random weights whose activations neither vanish nor explode."""
    keras.utils.set_random_seed(7)
    include_top = name != "VGG16"
    options = {"classes": CLASSES, "include_top": True} if include_top else {"include_top": False, "pooling": "avg"}
    model = getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3), **options)
    if not include_top:
        model = keras.Model(model.input, keras.layers.Dense(CLASSES, activation="softmax", name="scores")(model.output))
    random = np.random.default_rng(7)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D) and not include_top:  # no BatchNorm keeps VGG's numbers in range
            shape = layer.kernel.shape
            layer.kernel.assign(random.normal(0.0, np.sqrt(2 / np.prod(shape[:3])), shape))
        if isinstance(layer, keras.layers.BatchNormalization):
            shape = layer.moving_mean.shape
            layer.moving_mean.assign(random.normal(0.0, 0.2, shape))
            layer.moving_variance.assign(random.uniform(0.5, 1.5, shape))
            if layer.gamma is not None:
                layer.gamma.assign(random.uniform(0.7, 1.3, shape))
            layer.beta.assign(random.normal(0.0, 0.2, shape))
    return model


def pictures(size: int, count: int) -> np.ndarray:
    """Return `(count, size, size, 3)` float32 noise in [-1, 1]."""
    return np.random.default_rng(3).uniform(-1, 1, (count, size, size, 3)).astype(np.float32)


def converter_options(kind: str, size: int) -> dict:
    """Return the TFLiteConverter attributes of one kind of file."""
    if kind == "float32":
        return {}
    if kind == "float16":
        return {"optimizations": [tf.lite.Optimize.DEFAULT], "target_spec": {"supported_types": [tf.float16]}}
    if kind == "dynamic":
        return {"optimizations": [tf.lite.Optimize.DEFAULT]}
    return {
        "optimizations": [tf.lite.Optimize.DEFAULT],
        "representative_dataset": lambda: ([picture[None]] for picture in pictures(size, 4)),
        "target_spec": {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]},
        "inference_input_type": tf.int8,
        "inference_output_type": tf.int8,
    }


def check(model: keras.Model, path: Path, kind: str, size: int) -> None:
    """Stop when the file lacks the weights, or a float file answers otherwise than Keras."""
    smallest = SMALLEST_SHARE[kind] * 4 * model.count_params()
    if path.stat().st_size < smallest:
        raise SystemExit(f"{path}: {path.stat().st_size} B, expected over {smallest:.0f} B: the weights are missing")
    if kind != "float32":
        return
    interpreter = tf.lite.Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    picture = pictures(size, 1)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture)
    interpreter.invoke()
    got = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    expected = np.asarray(model(picture, training=False))
    if not np.allclose(got, expected, atol=1e-3):
        raise SystemExit(f"{path}: differs from Keras by {np.abs(got - expected).max()}")


def main() -> None:
    """Convert one architecture to each kind of file that was asked for."""
    name, size, folder, kinds = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:]
    model = build(name, size)
    for kind in kinds:
        unfinished = folder / f"{name}-{size}-{kind}.part.tflite"
        model.export(str(unfinished), format="litert", verbose=False, **converter_options(kind, size))
        check(model, unfinished, kind, size)
        unfinished.rename(folder / f"{name}-{size}-{kind}.tflite")


if __name__ == "__main__":
    main()
