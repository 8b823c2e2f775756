"""Read a .tflite file, list the tensors through which it can be cut, and extract the part between any of them."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from models.errors import CutError, ModelFileError, NoCutPoint, TensorNotFound, UnsupportedModel
from models.extract import operators_between, part_model
from models.flatbuffer import Table, decode, encode
from models.madds import madds
from models.names import short_names
from models.semantics import check_operator
from models.structure import (
    TRAVELS,
    Operator,
    Tensor,
    check_indices,
    check_order,
    read_operators,
    read_tensors,
)

TensorName = str | int
INTEGERS = {"int32": "<i4", "int64": "<i8"}
MOST_SIZES = 64
"""More numbers than this are no shape, padding or size; the highest rank is 8."""
# Two runs of these give different numbers: they are sources of the graph like its inputs, never constants.
RANDOM = frozenset({"RANDOM_UNIFORM", "RANDOM_STANDARD_NORMAL", "MULTINOMIAL", "STABLEHLO_RNG_BIT_GENERATOR"})


@dataclass(frozen=True, slots=True)
class CutPoint:
    """A tensor that every path from the input to the final outputs passes through."""

    name: str
    tensor: str
    index: int
    shape: tuple[int, ...]
    dtype: str
    nbytes: int
    scale: float
    zero_point: int
    madds_head: int
    madds_tail: int


class Graph:
    """A read-only view of one .tflite file."""

    def __init__(self, model: Table, origin: str, signature: str | None = None) -> None:
        self.origin, self._model = origin, model
        number, self.signature, names = _select(model, origin, signature)
        self._subgraph = model["subgraphs"][number]
        self.tensors = read_tensors(model, self._subgraph, origin)
        self.operators = read_operators(model, self._subgraph, len(self.tensors), origin)
        self._input_indices = _ends(self._subgraph, "inputs", len(self.tensors), origin)
        self._output_indices = _ends(self._subgraph, "outputs", len(self.tensors), origin)
        check_indices(names, len(self.tensors), f"signature {self.signature!r}", origin)
        check_order(self.tensors, self.operators, self._input_indices, self._output_indices, origin)
        for operator in self.operators:
            check_operator(operator, self.tensors, self._integers, origin)
        ends = {*self._input_indices, *self._output_indices}
        self.signature_names = {index: name for index, name in names.items() if index in ends}

    @classmethod
    def read(
        cls, source: Path | bytes, *, signature: str | None = None, outputs: Sequence[TensorName] | None = None
    ) -> Graph:
        """Return the graph of a .tflite file; of one with several signatures the one named.

        `outputs` names the final outputs where they are not all of the file's: a model with early exits has more cut
        points towards those alone.

        Raises:
            ModelFileError: the bytes are not a usable .tflite file.
            TensorNotFound: an output that it has not.
            UnsupportedModel: control flow, states, or values outside of the file.
        """
        origin = "the model" if isinstance(source, bytes) else str(source)
        try:
            data = source if isinstance(source, bytes) else source.read_bytes()
        except OSError as error:
            raise ModelFileError(origin, f"it cannot be read ({error.strerror})") from error
        graph = cls(decode(data, origin), origin, signature)
        graph._output_indices = graph._indices(outputs, graph._output_indices)
        return graph

    def _integers(self, index: int) -> tuple[int, ...]:
        """Return the integers that a constant tensor holds (a shape, axes, …), none for other tensors."""
        tensor, table = self.tensors[index], self._subgraph["tensors"][index]
        if not tensor.constant or tensor.dtype not in INTEGERS or len(tensor.shape) > 2:
            return ()
        if math.prod(tensor.shape) > MOST_SIZES:
            raise ModelFileError(self.origin, f"#{index} is used as a shape and has {math.prod(tensor.shape)} sizes")
        data = self._model["buffers"][table.get("buffer", 0)]["data"]
        return tuple(np.frombuffer(data, INTEGERS[tensor.dtype]).tolist())

    def constant(self, index: int) -> tuple[np.ndarray, Table] | None:
        """Return the numbers of a constant tensor and its quantisation, as the file has them.

        None where numpy has no such numbers, or they do not lie one after the other: sparse ones, those in blocks.
        """
        tensor, table = self.tensors[index], self._subgraph["tensors"][index]
        quantisation: Table = table.get("quantization", {})
        if tensor.dtype not in TRAVELS or "sparsity" in table or quantisation.get("details_type"):
            return None
        data = self._model["buffers"][table.get("buffer", 0)]["data"]
        return np.frombuffer(data, np.dtype(tensor.dtype).newbyteorder("<")).reshape(tensor.shape), quantisation

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The model's own inputs."""
        return tuple(self.tensors[index] for index in self._input_indices)

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The final outputs."""
        return tuple(self.tensors[index] for index in self._output_indices)

    @cached_property
    def activations(self) -> frozenset[int]:
        """The tensors that depend on the input: not constants, nor computed from constants alone."""
        live = set(self._input_indices)
        for operator in self.operators:
            source = operator.kind in RANDOM or operator.kind.startswith("CUSTOM:")
            if source or any(index in live for index in operator.inputs):
                live.update(operator.outputs)
        return frozenset(live)

    @cached_property
    def names(self) -> dict[int, str]:
        """The short name of every activation, by tensor index."""
        full = {index: self.tensors[index].name for index in sorted(self.activations)}
        return short_names(full, {index: name for index, name in self.signature_names.items() if index in full})

    @cached_property
    def _by_name(self) -> dict[str, int]:
        full: dict[str, list[int]] = {}
        for index in sorted(self.activations):
            full.setdefault(self.tensors[index].name, []).append(index)
        found = {name: places[0] for name, places in full.items() if len(places) == 1}
        found |= {name: index for index, name in self.signature_names.items() if index in self.activations}
        return found | {name: index for index, name in self.names.items()}

    def index(self, name: TensorName) -> int:
        """Return the index of an activation given by its short, full or signature name, or as `#57`.

        Raises:
            TensorNotFound: with the nearest names.
        """
        if isinstance(name, str) and name in self._by_name:
            return self._by_name[name]
        digits = str(name).removeprefix("#")
        number = int(digits) if digits.isdecimal() and len(digits) < 10 else -1
        if number in self.activations or number in self._output_indices:
            return number
        nearest = difflib.get_close_matches(str(name), self.names.values(), n=3)
        raise TensorNotFound(str(name), self.origin, nearest)

    def _indices(self, names: Sequence[TensorName] | None, otherwise: tuple[int, ...]) -> tuple[int, ...]:
        if names is None:
            return otherwise
        given = (names,) if isinstance(names, (str, int)) else names
        return tuple(dict.fromkeys(self.index(name) for name in given))

    def ends(
        self, from_: Sequence[TensorName] | None, to: Sequence[TensorName] | None
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the tensor indices of both ends of a part; None stands for the model's own inputs or outputs."""
        return self._indices(from_, self._input_indices), self._indices(to, self._output_indices)

    def cut_points(self) -> tuple[CutPoint, ...]:
        """Return the cut points in execution order: every path from the inputs to the final outputs passes them.

        The input and the final outputs are no cut points, nor are tensors without numbers in them.
        """
        finals = self._output_indices
        path = [operator for operator in self._needed(finals) if self.activations.intersection(operator.outputs)]
        total, done, found = sum(madds(operator, self.tensors) for operator in path), 0, []
        for operator, live in _live_after(path, self.activations, self._input_indices, finals):
            done += madds(operator, self.tensors)
            for index in live.intersection(operator.outputs) if len(live) == 1 else ():
                if index not in finals and self.tensors[index].dtype in TRAVELS and self.tensors[index].nbytes:
                    found.append(self._cut_point(index, done, total))
        return tuple(found)

    def _needed(self, finals: Sequence[int]) -> list[Operator]:
        return operators_between(self.tensors, self.operators, self._input_indices, finals, self.origin)

    def _cut_point(self, index: int, madds_head: int, madds_whole: int) -> CutPoint:
        tensor = self.tensors[index]
        return CutPoint(
            self.names[index], tensor.name, index, tensor.shape, tensor.dtype, tensor.nbytes, tensor.scale,
            tensor.zero_point, madds_head, madds_whole - madds_head,
        )  # fmt: skip

    def cut_point(self, name: TensorName) -> CutPoint:
        """Return the cut point of that name.

        Raises:
            NoCutPoint: the model has none at all.
            TensorNotFound: there are others, the nearest are named.
        """
        points = self.cut_points()
        if not points:
            raise NoCutPoint(self.origin)
        index = self.index(name)
        for point in points:
            if point.index == index:
                return point
        nearest = sorted(points, key=lambda point: abs(point.index - index))[:3]
        raise TensorNotFound(str(name), self.origin, [point.name for point in nearest])

    def path(self, from_: Sequence[TensorName] | None = None, to: Sequence[TensorName] | None = None) -> list[Operator]:
        """Return the operators between some tensors in execution order; None: the model's own inputs or outputs.

        Raises: CutError, TensorNotFound.
        """
        first, last = self.ends(from_, to)
        return operators_between(self.tensors, self.operators, first, last, self.origin)

    def extract(self, from_: Sequence[TensorName] | None = None, to: Sequence[TensorName] | None = None) -> bytes:
        """Return the part between some tensors as a .tflite file; None stands for the model's own inputs or outputs.

        Raises:
            CutError: `to` also depends on an input that is not in `from_`.
            TensorNotFound: a name is no activation.
        """
        first, last = self.ends(from_, to)
        part = self.path(from_, to)
        if not part:
            raise CutError(self.origin, "nothing lies between what was given and what was asked", "pick another end")
        names = {index: self.tensor_name(index) for index in (*first, *last)}
        model = part_model(self._model, self._subgraph, part, from_=first, to=last, signature=(self.signature, names))
        return encode(model, self.origin)

    def tensor_name(self, index: int) -> str:
        """Return the name by which a tensor is known outside: the signature's, else the short name."""
        return self.signature_names.get(index) or self.names.get(index) or f"t{index}"


def _select(model: Table, origin: str, wanted: str | None) -> tuple[int, str, Mapping[int, str]]:
    """Return the number of the subgraph to use, its signature's key ("" for none) and the names that this one gives."""
    signatures, count = model.get("signature_defs", ()), len(model.get("subgraphs", ()))
    keys = [signature.get("signature_key", "") for signature in signatures]
    if wanted is not None and wanted not in keys:
        raise CutError(origin, f"it has no signature {wanted!r}", f"it has {', '.join(keys) or 'none'}")
    if wanted is None and len({signature.get("subgraph_index", 0) for signature in signatures}) > 1:
        raise UnsupportedModel(origin, f"it holds {len(keys)} signatures", f"name one of them: {', '.join(keys)}")
    chosen = signatures[keys.index(wanted) if wanted is not None else 0] if signatures else {}
    number = chosen.get("subgraph_index", 0)
    if number >= count:
        raise ModelFileError(origin, f"it refers to graph {number} of {count}")
    maps = (*chosen.get("inputs", ()), *chosen.get("outputs", ()))
    names = {entry.get("tensor_index", 0): entry.get("name", "") for entry in maps}
    return number, chosen.get("signature_key", ""), names


def _ends(subgraph: Table, field: str, tensor_count: int, origin: str) -> tuple[int, ...]:
    """Return the inputs or outputs of a subgraph."""
    indices: tuple[int, ...] = subgraph.get(field, ())
    check_indices(indices, tensor_count, f"its list of {field}", origin)
    if not indices:
        raise ModelFileError(origin, f"it has no {field}")
    return indices


def _live_after(
    path: Sequence[Operator], activations: frozenset[int], inputs: Sequence[int], finals: Sequence[int]
) -> Iterator[tuple[Operator, set[int]]]:
    """Yield each operator with the activations that later operators or the caller still need after it."""
    last_use = {index: place for place, operator in enumerate(path) for index in operator.inputs}
    last_use |= dict.fromkeys(finals, len(path))
    last_used: dict[int, list[int]] = {}
    for index, place in last_use.items():
        last_used.setdefault(place, []).append(index)
    live = {index for index in inputs if index in last_use}
    for place, operator in enumerate(path):
        live.update(index for index in operator.outputs if index in activations and last_use.get(index, -1) > place)
        live.difference_update(last_used.get(place, ()))
        yield operator, live
