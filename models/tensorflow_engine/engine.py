"""Run parts of one model with TensorFlow, many pictures in one call; a part is built when it is first asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import tensorflow as tf

from models.engine import Array, Ends, Parts, TensorSpec, one_line
from models.errors import BadInput, RunError
from models.graph import Graph, TensorName
from models.tensorflow_engine.computation import REMEDY, Computation

VERSION: Final = str(tf.__version__)
"""Of TensorFlow, by whichever package it came."""
ROWS_AT_ONCE: Final = 32
MAX_CACHED_PARTS: Final = 4
"""Each holds its own weights in the memory of the GPU."""


class TensorFlowPart:
    """A piece of a model, ready to run with any number of pictures; for one thread at a time."""

    def __init__(
        self,
        label: str,
        computation: Computation,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        rows_at_once: int = ROWS_AT_ONCE,
    ) -> None:
        """Take what computes it; `rows_at_once` is how many rows one run should be given."""
        self.label, self.inputs, self.outputs, self.rows_at_once = label, tuple(inputs), tuple(outputs), rows_at_once
        signature = [tf.TensorSpec((None, *spec.shape[1:]), spec.dtype) for spec in inputs]
        self._function = tf.function(computation, input_signature=signature, autograph=False)

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        """Return the outputs for these inputs, in the order of the specs, as arrays of the caller's own.

        They may hold any number of rows, one for each picture. Of the rows that are computed there is always a power of
        two, for a GPU looks for its fastest way anew at each number. After a run that fails with several rows,
        `rows_at_once` is half of what was computed. Raises: BadInput, RunError.
        """
        rows = self._checked_rows(arrays)
        places = np.minimum(np.arange(filled_rows(rows)), rows - 1)
        try:
            with _refusals(self.label):  # a GPU may fail only when its answers are fetched
                outputs = self._function(*(array[places] for array in arrays))
                return tuple(output.numpy()[:rows] for output in outputs)
        except RunError:
            if rows > 1:
                self.rows_at_once = min(self.rows_at_once, filled_rows(rows) // 2)
            raise

    def warm_up(self) -> None:
        """Run on zeros, so that the first real run does not pay for what TensorFlow prepares late."""
        self.run(*(np.zeros(spec.shape, spec.dtype) for spec in self.inputs))

    def _checked_rows(self, arrays: Sequence[Array]) -> int:
        """Return how many rows the arrays have. Raises: BadInput unless they fit."""
        if len(arrays) != len(self.inputs):
            raise BadInput(self.label, "all", f"{len(arrays)} arrays", f"{len(self.inputs)}")
        rows = arrays[0].shape[0] if arrays[0].ndim else 0
        for array, spec in zip(arrays, self.inputs, strict=True):
            if rows == 0 or array.shape != (rows, *spec.shape[1:]) or array.dtype != np.dtype(spec.dtype):
                expected = f"{spec.dtype} ({', '.join(['rows', *map(str, spec.shape[1:])])})"
                raise BadInput(self.label, spec.name, f"{array.dtype} {array.shape}", expected)
        return rows


class TensorFlowEngine(Parts[TensorFlowPart]):
    """Parts of one model file that TensorFlow runs, on a GPU where it finds one."""

    def __init__(
        self,
        model: Path | bytes,
        *,
        rows_at_once: int = ROWS_AT_ONCE,
        max_cached_parts: int = MAX_CACHED_PARTS,
        outputs: Sequence[TensorName] | None = None,
    ) -> None:
        """Read the model; `outputs` names the final ones when they are not all (a model with early exits)."""
        prepare()
        super().__init__(Graph.read(model, outputs=outputs), max_cached_parts)
        self._rows_at_once = rows_at_once

    def new_part(self, first: Ends, last: Ends) -> TensorFlowPart:
        """Return the part between some tensors, warmed up. Raises: NotInTensorFlow, RunError."""
        label, inputs, outputs = self.label(first, last), self.specs(first), self.specs(last)
        with _refusals(label):
            computation = Computation(self.graph, first, last)
        part = TensorFlowPart(label, computation, inputs, outputs, self._rows_at_once)
        part.warm_up()
        return part


@contextlib.contextmanager
def _refusals(label: str) -> Iterator[None]:
    """Say of what TensorFlow refuses which part it is, and what to do. Raises: RunError."""
    try:
        yield
    except (ValueError, TypeError, tf.errors.OpError) as error:
        raise RunError(label, one_line(error), f"lower --batch, or {REMEDY}", "TensorFlow") from error


def filled_rows(rows: int) -> int:
    """Return how many rows are computed for so many: the next power of two."""
    return 1 << (rows - 1).bit_length()


@cache
def prepare() -> str | None:
    """Set TensorFlow up for this process, and return the name of its GPU; None where it finds none.

    It takes the GPU's memory as it needs it, so that other processes may use it too, and computes products of real
    numbers in full: the shorter ones of TF32 would change answers in the third digit.
    """
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        with contextlib.suppress(RuntimeError):  # it is in use already
            tf.config.experimental.set_memory_growth(gpu, True)
    tf.config.experimental.enable_tensor_float_32_execution(False)
    if not gpus:
        return None
    return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", gpus[0].name))
