"""A training's state after each whole epoch, in one file, so that an interruption costs no more than an epoch.

The file holds everything that the next epoch depends on: weights, the optimiser's variables, the state of all random
number generators of the layers (dropout), and the losses so far.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np

from models.pictures import DataError

History = dict[str, list[float]]
"""One value an epoch, by Keras's names."""
_HISTORY: Final = "history"
_DAMAGE: Final = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile)


class Checkpoint(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes the file anew after every epoch; whoever asked for the training removes it when it is not needed."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path, self.history = path, History()

    @property
    def epochs(self) -> int:
        """How many epochs are done."""
        return max(map(len, self.history.values()), default=0)

    def restore(self, model: keras.Model) -> None:
        """Give a compiled model with a built optimiser the state in the file, where there is one.

        Raises: DataError when the file is damaged or of another network.
        """
        if not self._path.is_file():
            return
        try:
            with self._path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                history = json.loads(str(arrays[_HISTORY]))
                values = [arrays[str(number)] for number in range(len(arrays.files) - 1)]
        except _DAMAGE as error:
            raise DataError(f"{self._path} cannot be read: {error}; remove it to train from the start") from error
        variables = _variables(model)
        if [value.shape for value in values] != [tuple(variable.shape) for variable in variables]:
            raise DataError(f"{self._path} is of another network; remove it to train from the start")
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        self.history = history

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Add the epoch's losses, and write the file in one step: a kill leaves the one of the epoch before."""
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(float(value))
        arrays = {str(n): keras.ops.convert_to_numpy(v) for n, v in enumerate(_variables(self.model))}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_name(f"{self._path.name}.partial")
        with partial.open("wb") as file:
            np.savez(file, allow_pickle=False, **{_HISTORY: np.array(json.dumps(self.history))}, **arrays)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self._path)


def digest_of(parts: Sequence[object]) -> str:
    """Return 16 digits that stand for all of these values: another value is another training."""
    return hashlib.sha256(json.dumps(parts, default=repr).encode()).hexdigest()[:16]


def _variables(model: keras.Model) -> list[Any]:
    """Return all state of a model in a fixed order; `variables` has the layers' random generators, `weights` not."""
    return [*model.variables, *model.optimizer.variables]
