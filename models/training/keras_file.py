"""Keras models from files that a user has, converted to .tflite."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Final

import keras
import numpy as np

from models.importing.wishes import ImportFailed
from models.training.convert import to_float, to_int8

_REFUSALS: Final = (
    ValueError, TypeError, KeyError, AttributeError, ImportError, OSError, zipfile.BadZipFile,
)  # fmt: skip
_COMPARED: Final = 4


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
            outputs = _named_outputs(loaded)
        except _REFUSALS as error:
            raise ImportFailed(f"Keras cannot read {path}: {_first_line(error)}; save it with model.save()") from error
        shapes = [tuple(tensor.shape) for tensor in loaded.inputs]
        if len(shapes) != 1 or len(shapes[0]) != 4 or None in shapes[0][1:] or shapes[0][3] not in {1, 3}:
            raise ImportFailed(
                f"{path} takes {', '.join(map(str, shapes))}, expected one picture (None, height, width, 3 or 1); "
                "build it with that input"
            )
        self._model = keras.Model(loaded.inputs[0], outputs)
        self._shape = shapes[0][1:]

    def as_float(self) -> bytes:
        """Return the model as a float32 .tflite file. Raises: ConversionError."""
        pictures = np.random.default_rng(0).random((_COMPARED, *self._shape), np.float32)
        return to_float(self._model, pictures)

    def as_int8(self, pictures: np.ndarray) -> bytes:
        """Return the model in full-integer form; (n, height, width, channels) float32 inputs show the ranges.

        Raises: ConversionError.
        """
        return to_int8(self._model, pictures)


def _named_outputs(model: keras.Model) -> dict[str, keras.KerasTensor]:
    if isinstance(model, keras.Sequential):
        model = keras.Model(model.inputs, model.outputs)
    if isinstance(model.output, dict):
        return dict(model.output)
    return dict(zip(model.output_names, model.outputs, strict=True))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
