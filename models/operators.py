"""What the operators of a part of a model have to do: multiply-adds, and bytes to move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from models.graph import INTEGERS, Graph, TensorName
from models.madds import madds
from models.structure import Operator

_SAME_BYTES: Final = frozenset({"RESHAPE", "SQUEEZE", "EXPAND_DIMS"})


@dataclass(frozen=True, slots=True)
class OperatorWork:
    """One operator: its kind with the numbers it reads, such as `CONV_2D float32`, and how much it has to do."""

    kind: str
    madds: int
    bytes: int
    """Of all that it reads, weights too, and writes."""


def works(
    graph: Graph, from_: Sequence[TensorName] | None = None, to: Sequence[TensorName] | None = None
) -> tuple[OperatorWork, ...]:
    """Return the work of every operator between some tensors that moves activations, in execution order.

    Left out are those on constants, and those that only compute shapes or give a tensor another one: next to nothing
    for themselves, they always stand beside the same larger ones, and a regression would charge them for those. None
    stands for the model's own inputs or outputs. Raises: CutError, TensorNotFound.
    """
    path = (one for one in graph.path(from_, to) if _moves(graph, one))
    return tuple(
        OperatorWork(
            f"{one.kind} {graph.tensors[one.inputs[0]].dtype}" if one.inputs else one.kind,
            madds(one, graph.tensors),
            sum(graph.tensors[index].nbytes for index in (*one.inputs, *one.outputs) if index >= 0),
        )
        for one in path
    )


def _moves(graph: Graph, operator: Operator) -> bool:
    if operator.kind in _SAME_BYTES or not graph.activations.intersection(operator.outputs):
        return False
    return graph.tensors[operator.outputs[0]].dtype not in INTEGERS
