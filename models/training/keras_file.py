"""Keras models from files that a user has, converted to .tflite."""

from __future__ import annotations

import itertools
import zipfile
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np

from models.importing.wishes import ImportFailed
from models.training.convert import to_float, to_int8, with_limits

_REFUSALS: Final = (
    ValueError, TypeError, KeyError, AttributeError, ImportError, OSError, zipfile.BadZipFile,
)  # fmt: skip
_COMPARED: Final = 4
_HALVES: Final = frozenset({"float16", "bfloat16"})


class KerasFile:
    """A Keras model of one picture, as read from a .keras or .h5 file; what is not in the file's format is not run."""

    def __init__(self, path: Path) -> None:
        """Read it. Raises: ImportFailed for a file that Keras cannot read, or that takes something else."""
        if path.suffix == ".keras" and not zipfile.is_zipfile(path):
            raise ImportFailed(
                f"{path} is no .keras file: got {path.stat().st_size} B that are no whole zip archive; "
                "copy it again, or save it with model.save()"
            )
        try:
            loaded = keras.saving.load_model(path, compile=False)
            names = _names(loaded)
        except _REFUSALS as error:
            raise ImportFailed(f"Keras cannot read {path}: {_first_line(error)}; save it with model.save()") from error
        shapes = [tuple(tensor.shape) for tensor in loaded.inputs]
        if len(shapes) != 1 or len(shapes[0]) != 4 or None in shapes[0][1:] or shapes[0][3] not in {1, 3}:
            raise ImportFailed(
                f"{path} takes {', '.join(map(str, shapes))}, expected one picture (None, height, width, 3 or 1); "
                "build it with that input"
            )
        half = next((weight for weight in loaded.weights if weight.dtype in _HALVES), None)
        if half is not None:
            raise ImportFailed(
                f"{path} holds {half.path} in {half.dtype}, expected weights in float32; build it with the policy "
                "float32 or mixed_float16, set these weights and save it"
            )
        image, said = _in_float32(loaded)
        outputs = said if isinstance(said, dict) else dict(zip(names, keras.tree.flatten(said), strict=True))
        self._model = keras.Model(image, outputs)
        self._shape = shapes[0][1:]

    def as_float(self) -> bytes:
        """Return the model as a float32 .tflite file. Raises: ConversionError."""
        pictures = np.random.default_rng(0).random((_COMPARED, *self._shape), np.float32)
        return to_float(self._model, pictures)

    def as_int8(self, pictures: np.ndarray, low: float, high: float) -> bytes:
        """Return the model in full-integer form; (n, height, width, channels) float32 inputs show the ranges.

        The input's own range is `low` to `high`, what black and white become, however dark the pictures are.
        Raises: ConversionError.
        """
        return to_int8(self._model, with_limits(pictures, low, high))


def _names(model: keras.Model) -> list[str]:
    """Return a name for each output; of several from one layer the later ones are numbered."""
    if isinstance(model, keras.Sequential):
        model = keras.Model(model.inputs, model.outputs)
    if isinstance(model.output, dict):
        return list(model.output)
    given, names = list(model.output_names), list[str]()
    for name in given:
        number = itertools.count(2)
        free = name
        while free in names or (free != name and free in given):
            free = f"{name}_{next(number)}"
        names.append(free)
    return names


def _in_float32(model: keras.Model) -> tuple[keras.KerasTensor, Any]:
    """Return the input and the outputs of a model that computes in float32 throughout, whatever it was trained in."""
    halves = [layer for layer in model._flatten_layers() if layer.compute_dtype in _HALVES]
    if not halves:
        return model.inputs[0], model.outputs if isinstance(model, keras.Sequential) else model.output
    for layer in halves:
        layer.dtype_policy = "float32"
    image = keras.Input(model.inputs[0].shape[1:], name=model.inputs[0].name)
    return image, model(image)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
