"""Checks of single operators that LiteRT leaves out and then crashes on, found by flipping bytes of small models."""

from __future__ import annotations

from collections.abc import Sequence

from models.errors import ModelFileError
from models.structure import Operator, Tensor

_COUNTED_OUTPUTS = {"SPLIT": "num_splits", "SPLIT_V": "num_splits", "UNPACK": "num"}
_COUNTED_INPUTS = {"PACK": "values_count"}
_UNPACKED_AT_ONCE = frozenset({"DEQUANTIZE", "DENSIFY"})


def check_operator(operator: Operator, tensors: Sequence[Tensor], origin: str) -> None:
    """Raise ModelFileError where an operator's options contradict its tensors."""
    for counted, ends in ((_COUNTED_OUTPUTS, operator.outputs), (_COUNTED_INPUTS, operator.inputs)):
        field = counted.get(operator.kind)
        announced = operator.options.get(field, 0) if field else len(ends)
        if announced != len(ends):
            raise ModelFileError(
                origin, f"operator {operator.index} ({operator.kind}) announces {announced} tensors and has {len(ends)}"
            )
    if operator.kind in _UNPACKED_AT_ONCE and operator.inputs and operator.outputs:
        source, target = tensors[operator.inputs[0]], tensors[operator.outputs[0]]
        if source.constant and source.shape != target.shape:
            raise ModelFileError(
                origin,
                f"operator {operator.index} ({operator.kind}) turns {list(source.shape)} into {list(target.shape)}",
            )
