"""The part of a model between some tensors as TensorFlow operations, for any number of pictures at once.

Activations of whole numbers are rounded to their steps behind every operator, as LiteRT rounds them; weights of whole
numbers under real activations are taken as what they stand for, where LiteRT also rounds the activations to 8 bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import tensorflow as tf

from models.errors import NotInTensorFlow
from models.graph import INTEGERS, Graph
from models.structure import Operator
from models.tensorflow_engine.operators import ACTIVATIONS, KINDS, integers
from models.tensorflow_engine.values import Value, constant, is_stepped

REMEDY: Final = "use --engine litert"
_NAMED: Final = {"SUM": "axes", "MEAN": "axes", "REDUCE_MAX": "axes", "TRANSPOSE": "order", "PAD": "padding"}
_WEIGHTED: Final = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"})


class Computation:
    """A part of a model; called with its inputs, which begin with the number of pictures, it returns its outputs."""

    def __init__(
        self,
        graph: Graph,
        first: Sequence[int],
        last: Sequence[int],
        *,
        rounds: bool = True,
        remedy: str = REMEDY,
    ) -> None:
        """Read the part between the tensors of these numbers.

        Without `rounds` all is real numbers, inputs and outputs too, and can be differentiated. `remedy` says what else
        can be done with a part that cannot be had. Raises: NotInTensorFlow, CutError.
        """
        self._graph, self._first, self._last = graph, tuple(first), tuple(last)
        self._rounds, self._remedy = rounds, remedy
        path = graph.path(first, last)
        self._check(path)
        self._constants = self._folded(path)
        self._path = [operator for operator in path if self._is_active(operator) and not self._is_shape(operator)]

    def __call__(self, *inputs: Any) -> list[Any]:
        """Return the outputs of some pictures, in the types of the file."""
        known = dict(self._constants)
        known |= {index: self._read(index, values) for index, values in zip(self._first, inputs, strict=True)}
        for operator in self._path:
            known[operator.outputs[0]] = self._stored(operator.outputs[0], self._real(operator, known))
        return [self._written(index, known[index]) for index in self._last]

    def _is_active(self, operator: Operator) -> bool:
        """Tell whether an operator depends on the picture."""
        return not self._graph.activations.isdisjoint(operator.outputs)

    def _is_shape(self, operator: Operator) -> bool:
        """Tell whether it only computes shapes, as Keras has it to keep a batch open; they are known without."""
        return all(self._graph.tensors[index].dtype in INTEGERS for index in operator.outputs)

    def _folded(self, path: Sequence[Operator]) -> dict[int, Value]:
        """Return the constants, also those computed from others, as float16 weights behind DEQUANTIZE are."""
        read = {index for operator in path for index in operator.inputs if index >= 0}
        known = {
            index: self._constant(index) for index in read if self._graph.tensors[index].constant
        }  # fmt: skip
        for operator in path:
            if not self._is_active(operator):
                known[operator.outputs[0]] = Value(np.asarray(self._real(operator, known)))
        return known

    def _constant(self, index: int) -> Value:
        value = constant(self._graph, index, self._remedy)
        return value if self._rounds else Value(value.real)

    def _real(self, operator: Operator, known: dict[int, Value]) -> Any:
        inputs = [known.get(index) for index in operator.inputs]
        return KINDS[operator.kind](inputs, operator, self._graph.tensors[operator.outputs[0]].shape)

    def _read(self, index: int, values: Any) -> Value:
        tensor = self._graph.tensors[index]
        if not (self._rounds and is_stepped(tensor)):
            return Value(values)
        return Value(tf.cast(values, tf.float32) - np.float32(tensor.zero_point), np.float32(tensor.scale))

    def _stored(self, index: int, real: Any) -> Value:
        """Return what an operator gives, rounded to the steps of its output."""
        tensor = self._graph.tensors[index]
        if not (self._rounds and is_stepped(tensor)):
            return Value(real)
        limits, step = np.iinfo(tensor.dtype), np.float32(tensor.scale)
        low, high = (float(limit - tensor.zero_point) for limit in (limits.min, limits.max))
        return Value(tf.clip_by_value(tf.round(real / step), low, high), step)

    def _written(self, index: int, value: Value) -> Any:
        tensor = self._graph.tensors[index]
        if not (self._rounds and is_stepped(tensor)):
            return value.real
        return tf.cast(value.steps + np.float32(tensor.zero_point), tensor.dtype)

    def _check(self, path: Sequence[Operator]) -> None:
        """Raises: NotInTensorFlow, unless every operator is known here and takes many pictures at once."""
        graph, active = self._graph, [operator for operator in path if self._is_active(operator)]
        shapes = {index: operator.kind for operator in active if self._is_shape(operator) for index in operator.outputs}
        for operator in path:
            if operator.outputs[0] not in shapes and (lacking := next(_lacking(graph, operator, shapes), None)):
                raise NotInTensorFlow(graph.origin, f"operator {operator.index} is {lacking}", self._remedy)
        for index in (*self._first, *(index for operator in active for index in operator.outputs), *self._last):
            if index in shapes and index in self._last:
                raise NotInTensorFlow(graph.origin, f"its output is what {shapes[index]} computes", self._remedy)
            if index not in shapes and (lacking := _rowless(graph, index, index in self._first)):
                raise NotInTensorFlow(graph.origin, lacking, self._remedy)


def _lacking(graph: Graph, operator: Operator, shapes: dict[int, str]) -> Iterator[str]:
    """Yield what an operator is that cannot be had here; `shapes` says who computes which shape."""
    kind, inputs, options = operator.kind, operator.inputs, operator.options
    if kind not in KINDS:
        yield f"{kind}, which is not among the kinds that are known"
    for place, index in enumerate(inputs):
        if index in shapes and (kind, place) != ("RESHAPE", 1):
            yield f"{kind} over what {shapes[index]} computes"
    if kind in _NAMED and not graph.tensors[inputs[1]].constant:
        yield f"{kind} with computed {_NAMED[kind]}"
    if kind in _WEIGHTED and inputs[1] in graph.activations:
        yield f"{kind} with computed weights"
    if options.get("fused_activation_function", 0) not in ACTIVATIONS:
        yield f"{kind} with activation {options['fused_activation_function']}"
    if options.get("weights_format", 0):
        yield f"{kind} with shuffled weights"
    if _mixes_rows(graph, operator):
        yield f"{kind}, which mixes the pictures of a batch"


def _mixes_rows(graph: Graph, operator: Operator) -> bool:
    rank = max(1, len(graph.tensors[operator.inputs[0]].shape))
    if operator.kind == "SOFTMAX":
        return rank < 2
    if operator.kind not in _NAMED or operator.kind == "PAD" or operator.inputs[0] not in graph.activations:
        return False
    numbers = [number % rank for number in integers(constant(graph, operator.inputs[1], REMEDY))]
    return numbers[0] != 0 if operator.kind == "TRANSPOSE" else 0 in numbers


def _rowless(graph: Graph, index: int, is_input: bool) -> str | None:
    """Return why a tensor cannot hold a row for each picture, None when it can."""
    tensor = graph.tensors[index]
    if tensor.shape[:1] != (1,):
        return f"{graph.tensor_name(index)} is {tensor.shape}, which does not begin with the number of pictures"
    if is_input and -1 in tensor.shape_signature[1:]:
        return f"its input {graph.tensor_name(index)} may have any size"
    return None
