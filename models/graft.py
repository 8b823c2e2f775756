"""Add a branch to a .tflite file: its operators behind one of the file's tensors, its answers as more outputs.

What the file held stays as it is, in its order and under its names, so that its own outputs keep their bits; the
operators of the branch follow them. A float branch on an int8 tensor reads it through a DEQUANTIZE operator.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from models.errors import ModelError, TensorNotFound
from models.flatbuffer import Table, decode, encode
from models.graph import Graph
from models.structure import Tensor
from models.tflite_schema import OPERATORS, TENSOR_TYPES, UNIONS

DEFAULT_SIGNATURE = "serving_default"
DESCRIBES_THE_ENDS = "TFLITE_METADATA"  # lists the outputs one by one, and would miss the new ones
MIN_RUNTIME = "min_runtime_version"
_DEQUANTIZE = OPERATORS.index("DEQUANTIZE")
_UNSAFE = re.compile(r"[^A-Za-z0-9_]+")


class GraftError(ModelError):
    """A branch does not fit a model."""


def graft(model: bytes, branch: bytes, at: str, outputs: Mapping[str, str]) -> bytes:
    """Return the model with a branch that reads its tensor `at`; the outputs it had stay the same, bit for bit.

    `branch` is a .tflite file of one input, `outputs` says by which new name the model gives each of its outputs, such
    as {"exit1/litter": "litter"}. A model without a signature gets one, with the names that it had.

    Raises:
        GraftError: a name is taken, or the branch does not take what `at` holds.
        TensorNotFound: `at`, or an output of the branch, is not there.
    """
    host_model, guest_model = decode(model, "the model"), decode(branch, "the branch")
    host, guest = Graph(host_model, "the model"), Graph(guest_model, "the branch")
    source = host.tensors[host.index(at)]
    _check_names(host, outputs)
    _check_fit(source, guest)
    ends = {name: _output_of(guest, output) for name, output in outputs.items()}
    grown = _Grown(host_model, host, next(iter(outputs)).partition("/")[0])
    grown.add(guest_model, guest, source)
    grown.name_outputs(ends)
    result = encode(grown.model(), "the model")
    _check_kept(host, result)
    return result


def _check_names(host: Graph, outputs: Mapping[str, str]) -> None:
    if not outputs:
        raise GraftError("no output is named, expected one or more such as exit1/litter; name them")
    for name in outputs:
        try:
            taken = not name or bool(host.index(name))
        except TensorNotFound:
            taken = False
        if taken or name in host.signature_names.values():
            raise GraftError(f"the model has a tensor {name!r} already, expected a new name; choose another")


def _check_fit(source: Tensor, guest: Graph) -> None:
    """Raise GraftError unless the branch takes exactly what the tensor holds, or its real numbers."""
    if len(guest.inputs) != 1:
        raise GraftError(f"the branch has {len(guest.inputs)} inputs, expected one; convert it with one")
    wanted = guest.inputs[0]
    if wanted.shape != source.shape:
        raise GraftError(
            f"the branch takes {list(wanted.shape)}, {source.name!r} is {list(source.shape)}; make it for that shape"
        )
    if wanted.dtype == "float32" and source.dtype != "float32" and source.scale:
        return
    got, expected = (f"{t.dtype} of scale {t.scale:g}, zero point {t.zero_point}" for t in (wanted, source))
    if got != expected or wanted.scale != source.scale:
        raise GraftError(f"the branch takes {got}, {source.name!r} is {expected}; make it for that, or for float32")


def _output_of(guest: Graph, name: str) -> int:
    index = guest.index(name)
    if index == guest.inputs[0].index:
        raise GraftError(f"output {name!r} of the branch is its input, expected something computed; name another")
    return index


class _Grown:
    """The tables of a model to which those of a branch are added."""

    def __init__(self, model: Table, host: Graph, prefix: str) -> None:
        self._model, self._host, self._prefix = model, host, _UNSAFE.sub("_", prefix)
        self._number = _graph_number(model, host)
        subgraph = model["subgraphs"][self._number]
        self._codes, self._buffers = list(model.get("operator_codes", ())), list(model.get("buffers", ({},)))
        self._tensors, self._operators = list(subgraph["tensors"]), list(subgraph.get("operators", ()))
        self._metadata = [entry for entry in model.get("metadata", ()) if entry.get("name") != DESCRIBES_THE_ENDS]
        self._names = {table.get("name", "") for table in self._tensors}
        self._places: dict[int, int] = {}
        self._outputs: dict[str, int] = {}

    def add(self, model: Table, guest: Graph, source: Tensor) -> None:
        """Add tensors and operators of the branch; its input becomes `source`, or that tensor's real numbers."""
        subgraph = model["subgraphs"][_graph_number(model, guest)]
        wanted = guest.inputs[0]
        self._places = {-1: -1, wanted.index: source.index}
        if wanted.dtype != source.dtype:
            self._places[wanted.index] = self._dequantised(subgraph["tensors"][wanted.index], source)
        for index, table in enumerate(subgraph["tensors"]):
            if index != wanted.index:
                self._places[index] = self._add_tensor(table, model, guest.names.get(index) or _last_part(table))
        for table in subgraph["operators"]:
            moved = {**table, "opcode_index": self._code(model["operator_codes"][table.get("opcode_index", 0)])}
            for field in ("inputs", "outputs", "intermediates"):
                if field in table:
                    moved[field] = tuple(self._places[index] for index in table[field])
            moved.pop("debug_metadata_index", None)
            self._operators.append(moved)
        self._raise_runtime(model)

    def _dequantised(self, wanted: Table, source: Tensor) -> int:
        """Add the real numbers of a quantised tensor; return their place."""
        shape = {"shape": source.shape, "shape_signature": source.shape_signature}
        table = {**wanted, **shape, "name": self._fresh("real"), "buffer": 0}
        table.pop("quantization", None)
        self._tensors.append(table)
        version = 1 if source.dtype == "uint8" else 2  # Source: TensorFlow Lite, GetBuiltinOperatorVersion
        code = self._code({"deprecated_builtin_code": _DEQUANTIZE, "version": version, "builtin_code": _DEQUANTIZE})
        place = len(self._tensors) - 1
        options = {"builtin_options_type": UNIONS["builtin_options"].index("DequantizeOptions"), "builtin_options": {}}
        self._operators.append({"opcode_index": code, "inputs": (source.index,), "outputs": (place,), **options})
        return place

    def _add_tensor(self, table: Table, model: Table, name: str) -> int:
        data = model["buffers"][table.get("buffer", 0)].get("data", b"")
        number = 0
        if len(data):
            self._buffers.append({"data": data})
            number = len(self._buffers) - 1
        self._tensors.append({**table, "name": self._fresh(name), "buffer": number})
        return len(self._tensors) - 1

    def _fresh(self, name: str) -> str:
        """Return a tensor's name that no other has; without a slash, it changes no other's short name."""
        base = name = f"{self._prefix}.{_UNSAFE.sub('_', name).strip('_')}"
        number = 1
        while name in self._names:
            number += 1
            name = f"{base}_{number}"
        self._names.add(name)
        return name

    def _code(self, wanted: Table) -> int:
        """Return the place of an operator's kind and version; another version of one that is there is added."""
        for place, code in enumerate(self._codes):
            if _kind(code) == _kind(wanted):
                return place
        self._codes.append(wanted)
        return len(self._codes) - 1

    def _raise_runtime(self, model: Table) -> None:
        """Where both files say which runtime they need, keep the later one."""
        needed = _runtime(model)
        for place, entry in enumerate(self._metadata):
            if entry.get("name") == MIN_RUNTIME and _version(needed) > _version(_runtime(self._model)):
                self._buffers.append({"data": needed})
                self._metadata[place] = {**entry, "buffer": len(self._buffers) - 1}

    def name_outputs(self, ends: Mapping[str, int]) -> None:
        """Say which tensors of the branch are the model's new outputs."""
        self._outputs = {name: self._places[index] for name, index in ends.items()}

    def model(self) -> Table:
        """Return the Model table of the whole."""
        subgraphs = list(self._model["subgraphs"])
        old = subgraphs[self._number]
        subgraphs[self._number] = {
            **old,
            "tensors": tuple(self._tensors),
            "operators": tuple(self._operators),
            "outputs": (*old["outputs"], *self._outputs.values()),
        }
        grown = {
            **self._model,
            "operator_codes": tuple(self._codes),
            "subgraphs": tuple(subgraphs),
            "buffers": tuple(self._buffers),
            "signature_defs": self._signatures(),
        }
        if "metadata" in grown:
            grown["metadata"] = tuple(self._metadata)
        return grown

    def _signatures(self) -> tuple[Table, ...]:
        """Return the signatures, the model's own with the new outputs."""
        added = tuple({"name": name, "tensor_index": place} for name, place in self._outputs.items())
        given = self._model.get("signature_defs", ())
        signatures = given or (self._new_signature(),)
        own = [entry.get("signature_key", "") for entry in signatures].index(
            self._host.signature if given else DEFAULT_SIGNATURE
        )
        return tuple(
            {**entry, "outputs": (*entry.get("outputs", ()), *added)} if place == own else entry
            for place, entry in enumerate(signatures)
        )

    def _new_signature(self) -> Table:
        host = self._host
        inputs, outputs = (
            tuple({"name": host.tensor_name(tensor.index), "tensor_index": tensor.index} for tensor in ends)
            for ends in (host.inputs, host.outputs)
        )
        key = {"signature_key": DEFAULT_SIGNATURE, "subgraph_index": self._number}
        return {"inputs": inputs, "outputs": outputs, **key}


def _graph_number(model: Table, graph: Graph) -> int:
    found: Iterable[Table] = model.get("signature_defs", ())
    return next((s.get("subgraph_index", 0) for s in found if s.get("signature_key", "") == graph.signature), 0)


def _kind(code: Table) -> tuple[Any, ...]:
    number = max(code.get("deprecated_builtin_code", 0), code.get("builtin_code", 0))
    return number, code.get("version", 1), code.get("custom_code", "")


def _last_part(table: Table) -> str:
    return str(table.get("name", "")).split(";", 1)[0].rpartition("/")[2] or TENSOR_TYPES[table.get("type", 0)]


def _runtime(model: Table) -> bytes:
    """Return the runtime that a file says it needs, such as b"1.14.0", empty where it says none."""
    for entry in model.get("metadata", ()):
        if entry.get("name") == MIN_RUNTIME and entry.get("buffer", 0) < len(model.get("buffers", ())):
            return bytes(model["buffers"][entry.get("buffer", 0)].get("data", b""))
    return b""


def _version(text: bytes) -> tuple[int, ...]:
    return tuple(int(part) for part in text.rstrip(b"\0").split(b".") if part.isdigit())


def _check_kept(host: Graph, result: bytes) -> None:
    """Raise GraftError where an activation of the model is no longer known by its name."""
    names = Graph.read(result, signature=host.signature or None).names
    for index, name in host.names.items():
        if names.get(index) != name:
            raise GraftError(f"with these outputs {name!r} would get another name, {names[index]!r}; choose others")
