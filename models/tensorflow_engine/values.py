"""Numbers of a .tflite file as they are computed with: whole steps, and what one step is worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from models.errors import NotInTensorFlow
from models.graph import Graph
from models.structure import Tensor

STEPPED: Final = frozenset({"int8", "uint8", "int16"})
"""The types whose activations are rounded to the steps of their quantisation."""


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor or a constant: real numbers, or steps from its zero point and what a step is worth.

    Steps are whole float32 numbers: sums of products of 8-bit ones come out exact, also where a GPU rounds what it
    multiplies to the 10 bits of TF32.
    """

    steps: Any
    step: Any = None
    """A number, or one for each channel, broadcasting against the steps; None: the steps are the numbers themselves."""

    @property
    def real(self) -> Any:
        """The numbers that it stands for."""
        return self.steps if self.step is None else self.steps * self.step

    @property
    def unit(self) -> Any:
        """What a step is worth along the last dimension of what is computed with it."""
        return np.float32(1) if self.step is None else np.ravel(self.step)


def constant(graph: Graph, index: int, remedy: str) -> Value:
    """Return a constant of the file, weights of whole numbers in steps, each channel with its own.

    Raises: NotInTensorFlow, with the remedy, for numbers that numpy has not, or that are laid out otherwise.
    """
    found = graph.constant(index)
    if found is None:
        laid_out = f"the {graph.tensors[index].dtype} weights #{index} are sparse, in blocks or of few bits"
        raise NotInTensorFlow(graph.origin, laid_out, remedy)
    numbers, quantisation = found
    scales = np.array(quantisation.get("scale", ()), np.float32)
    if not scales.size:
        return Value(numbers.astype(np.float32) if numbers.dtype == np.float16 else numbers)
    along = [1] * numbers.ndim
    if scales.size > 1:
        along[quantisation.get("quantized_dimension", 0)] = -1
    zeros = np.array(quantisation.get("zero_point", ()) or [0], np.float32)
    steps = numbers.astype(np.float32) - zeros.reshape(along if zeros.size > 1 else ())
    return Value(steps, scales.reshape(along if scales.size > 1 else ()))


def is_stepped(tensor: Tensor) -> bool:
    """Tell whether an activation is kept in whole steps."""
    return tensor.scale != 0.0 and tensor.dtype in STEPPED
