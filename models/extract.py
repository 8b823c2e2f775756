"""Take the part between some tensors out of a model and lay it out as a model of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from models.errors import CutError
from models.flatbuffer import Table
from models.structure import Operator, Tensor

# What these say stays true of a part; other metadata describes the whole model's inputs and outputs or places in it.
METADATA_KEPT = frozenset({"min_runtime_version", "CONVERSION_METADATA", "reduced_precision_support"})


def operators_between(
    tensors: Sequence[Tensor], operators: Sequence[Operator], from_: Sequence[int], to: Sequence[int], origin: str
) -> list[Operator]:
    """Return the operators that compute `to` from `from_` and constants, in execution order.

    Raises:
        CutError: `to` also depends on something that is neither in `from_` nor constant.
    """
    given, needed, part = set(from_), set(to), []
    for operator in reversed(operators):
        if not any(index in needed and index not in given for index in operator.outputs):
            continue
        both = given.intersection(operator.outputs)
        if both:
            raise _not_separable(tensors, min(both), origin)
        part.append(operator)
        needed.update(index for index in operator.inputs if index >= 0)
    written = {index for operator in part for index in operator.outputs}
    for index in sorted(needed - given - written):
        if not tensors[index].constant and 0 not in tensors[index].shape:
            raise _not_separable(tensors, index, origin)
    return part[::-1]


def _not_separable(tensors: Sequence[Tensor], index: int, origin: str) -> CutError:
    return CutError(
        origin,
        f"what is asked also needs #{index} {tensors[index].name!r}",
        "give that tensor too, or pick a cut point",
    )


class _Numbers(dict[int, int]):
    """Old number to new number, in the order of the old ones; -1 stays."""

    def __init__(self, old: Iterable[int]) -> None:
        super().__init__((number, place) for place, number in enumerate(sorted(set(old))))
        self[-1] = -1

    def of(self, old: Iterable[int]) -> tuple[int, ...]:
        return tuple(self[number] for number in old)


def part_model(
    model: Table,
    subgraph: Table,
    part: Sequence[Operator],
    *,
    from_: Sequence[int],
    to: Sequence[int],
    signature: tuple[str, Mapping[int, str]],
) -> Table:
    """Return the Model table of a part; `signature` is its key ("" for none) and the names of inputs and outputs."""
    sources = [subgraph["operators"][operator.index] for operator in part]
    used = {*from_, *to}
    for source in sources:
        used.update(source.get("inputs", ()), source.get("outputs", ()), source.get("intermediates", ()))
    tensors = _Numbers(used - {-1})
    codes = _Numbers(source.get("opcode_index", 0) for source in sources)
    kept = [subgraph["tensors"][index] for index in sorted(used - {-1})]
    metadata = [entry for entry in model.get("metadata", ()) if _is_kept(entry, model)]
    buffers = _Numbers({0, *_filled(kept, model), *(entry.get("buffer", 0) for entry in metadata)})
    graph = {
        "tensors": tuple(_tensor(table, buffers) for table in kept),
        "inputs": tensors.of(from_),
        "outputs": tensors.of(to),
        "operators": tuple(_operator(source, tensors, codes) for source in sources),
        "name": subgraph.get("name", "main"),
    }
    result = {
        "version": model.get("version", 3),
        "operator_codes": tuple(model["operator_codes"][code] for code in codes if code >= 0),
        "subgraphs": (graph,),
        "description": model.get("description", ""),
        "buffers": tuple(_buffer(model, number) for number in buffers if number >= 0),
    }
    if metadata:
        result["metadata"] = tuple({**entry, "buffer": buffers[entry.get("buffer", 0)]} for entry in metadata)
    if signature[0]:
        result["signature_defs"] = (_signature(signature, from_, to, tensors),)
    return result


def _is_kept(entry: Table, model: Table) -> bool:
    return entry.get("name") in METADATA_KEPT and 0 <= entry.get("buffer", 0) < len(model.get("buffers", ()))


def _filled(tables: Iterable[Table], model: Table) -> set[int]:
    numbers = {table.get("buffer", 0) for table in tables}
    return {number for number in numbers if len(model["buffers"][number].get("data", b""))}


def _buffer(model: Table, number: int) -> Table:
    data = model["buffers"][number].get("data", b"") if number else b""
    return {"data": data} if len(data) else {}


def _tensor(table: Table, buffers: _Numbers) -> Table:
    return {**table, "buffer": buffers.get(table.get("buffer", 0), 0)}


def _operator(table: Table, tensors: _Numbers, codes: _Numbers) -> Table:
    moved = {**table, "opcode_index": codes[table.get("opcode_index", 0)]}
    for field in ("inputs", "outputs", "intermediates"):
        if field in table:
            moved[field] = tensors.of(table[field])
    for field in ("debug_metadata_index", "large_custom_options_offset", "large_custom_options_size"):
        moved.pop(field, None)
    return moved


def _signature(
    signature: tuple[str, Mapping[int, str]], from_: Sequence[int], to: Sequence[int], tensors: _Numbers
) -> Table:
    key, names = signature
    inputs = tuple({"name": names[index], "tensor_index": tensors[index]} for index in dict.fromkeys(from_))
    outputs = tuple({"name": names[index], "tensor_index": tensors[index]} for index in dict.fromkeys(to))
    return {"inputs": inputs, "outputs": outputs, "signature_key": key, "subgraph_index": 0}
