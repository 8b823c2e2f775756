"""What one subgraph of a .tflite file says, checked: its tensors, its operators, and that they fit together."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from models.errors import ModelFileError, UnsupportedModel
from models.flatbuffer import Table
from models.sparsity import check_sparsity
from models.tflite_schema import OPERATORS, TENSOR_TYPES

HIGHEST_RANK = 8
LARGEST_TENSOR_BYTES = 2**31
DTYPE_BITS = {
    "float32": 32, "float16": 16, "int32": 32, "uint8": 8, "int64": 64, "bool": 8, "int16": 16, "complex64": 64,
    "int8": 8, "float64": 64, "complex128": 128, "uint64": 64, "uint32": 32, "uint16": 16, "int4": 4, "bfloat16": 16,
    "int2": 2, "uint4": 4, "float8_e4m3fn": 8, "float8_e5m2": 8,
}  # fmt: skip
TRAVELS = frozenset(DTYPE_BITS) - {"int4", "uint4", "int2", "bfloat16", "float8_e4m3fn", "float8_e5m2"}
"""The element types that numpy can hold: only such tensors can be handed from a head to a tail."""
_OTHER_GRAPHS = """
IF WHILE CALL CALL_ONCE STABLEHLO_WHILE STABLEHLO_CASE STABLEHLO_REDUCE STABLEHLO_REDUCE_WINDOW STABLEHLO_SORT
STABLEHLO_SCATTER STABLEHLO_COMPOSITE STABLEHLO_CUSTOM_CALL
"""
_STATEFUL = """
VAR_HANDLE READ_VARIABLE ASSIGN_VARIABLE HASHTABLE HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_SIZE
"""
OTHER_GRAPHS, STATEFUL = frozenset(_OTHER_GRAPHS.split()), frozenset(_STATEFUL.split())


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of the graph; `scale` 0.0 means that it is not quantised as a whole."""

    index: int
    name: str
    shape: tuple[int, ...]
    shape_signature: tuple[int, ...]
    dtype: str
    nbytes: int
    scale: float
    zero_point: int
    constant: bool


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator: its name (`CUSTOM:name` when it is not built in) and its tensors, -1 for one left out."""

    index: int
    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Table


def read_tensors(model: Table, subgraph: Table, origin: str) -> tuple[Tensor, ...]:
    """Return the tensors of a subgraph, each checked by itself."""
    buffers = model.get("buffers", ())
    return tuple(_tensor(index, table, buffers, origin) for index, table in enumerate(subgraph.get("tensors", ())))


def _tensor(index: int, table: Table, buffers: tuple[Table, ...], origin: str) -> Tensor:
    name, shape, code = table.get("name", ""), table.get("shape", ()), table.get("type", 0)
    signature = table.get("shape_signature", ()) or shape
    if not 0 <= code < len(TENSOR_TYPES):
        raise ModelFileError(origin, f"tensor #{index} has element type {code}, known are 0 to {len(TENSOR_TYPES) - 1}")
    if len(shape) > HIGHEST_RANK or any(size < 0 for size in shape):
        raise ModelFileError(origin, f"tensor #{index} has shape {list(shape[:9])}")
    if len(signature) != len(shape) or any(s not in (-1, size) for s, size in zip(signature, shape, strict=True)):
        raise ModelFileError(
            origin, f"tensor #{index} has shape {list(shape)} and shape signature {list(signature[:9])}"
        )
    if table.get("is_variable") or TENSOR_TYPES[code] in ("resource", "variant"):
        raise UnsupportedModel(
            origin, f"tensor #{index} {name!r} keeps a state from run to run", "convert a stateless model"
        )
    dtype = TENSOR_TYPES[code]
    nbytes = math.ceil(math.prod(shape) * DTYPE_BITS.get(dtype, 0) / 8)
    if nbytes > LARGEST_TENSOR_BYTES:
        raise ModelFileError(origin, f"tensor #{index} of shape {list(shape)} would take {nbytes} B")
    constant = _check_data(index, table, dtype, nbytes, buffers, origin)
    scale, zero_point = _whole_tensor_quantisation(index, table, shape, origin)
    return Tensor(index, name, shape, signature, dtype, nbytes, scale, zero_point, constant)


def _check_data(index: int, table: Table, dtype: str, nbytes: int, buffers: tuple[Table, ...], origin: str) -> bool:
    """Return whether the tensor has its values in the file."""
    buffer = table.get("buffer", 0)
    if buffer >= len(buffers):
        raise ModelFileError(origin, f"tensor #{index} refers to buffer {buffer} of {len(buffers)}")
    outside = buffers[buffer].get("offset", 0) > 1 and buffers[buffer].get("size", 0) > 1
    if outside or table.get("external_buffer"):
        raise UnsupportedModel(
            origin, f"tensor #{index} keeps its values outside of the flatbuffer", "convert to a file below 2 GB"
        )
    data = buffers[buffer].get("data", b"")
    if "sparsity" in table:
        if DTYPE_BITS.get(dtype, 0) < 8:
            raise UnsupportedModel(origin, f"tensor #{index} is sparse and holds {dtype}", "convert without sparsity")
        check_sparsity(index, table, len(data) * 8 // DTYPE_BITS[dtype], origin)
    elif dtype == "string":
        check_strings(index, data, math.prod(table.get("shape", ())), origin)
    elif len(data) not in (0, nbytes):
        raise ModelFileError(origin, f"tensor #{index} of {nbytes} B has {len(data)} B of values")
    return len(data) > 0


def check_strings(index: int, data: bytes | memoryview, count: int, origin: str) -> None:
    """Raise ModelFileError unless constant strings lie inside their own buffer.

    Source: tensorflow/lite/string_util.h: the number of strings, the offset of each and of the end, then the text.
    """
    if not len(data):
        return
    words = memoryview(bytes(data[: len(data) // 4 * 4])).cast("i")
    end = words[0] + 2 if len(words) else 0
    offsets = list(words[1:end])
    valid = words[0] == count and len(offsets) == count + 1 if len(words) else False
    if not valid or offsets != sorted(offsets) or offsets[0] < 4 * end or offsets[-1] > len(data):
        raise ModelFileError(origin, f"tensor #{index} has strings outside of its {len(data)} B of values")


def _whole_tensor_quantisation(index: int, table: Table, shape: tuple[int, ...], origin: str) -> tuple[float, int]:
    """Return the scale and zero point of a tensor that has one of each, else (0.0, 0)."""
    quantisation = table.get("quantization", {})
    scales, zero_points = quantisation.get("scale", ()), quantisation.get("zero_point", ())
    if len(zero_points) not in (0, len(scales)):
        raise ModelFileError(origin, f"tensor #{index} has {len(scales)} scales and {len(zero_points)} zero points")
    dimension = quantisation.get("quantized_dimension", 0)
    if len(scales) > 1 and (not 0 <= dimension < len(shape) or shape[dimension] != len(scales)):
        raise ModelFileError(
            origin, f"tensor #{index} of shape {list(shape)} has {len(scales)} scales along dimension {dimension}"
        )
    if len(scales) != 1:
        return 0.0, 0
    return scales[0], zero_points[0] if zero_points else 0


def read_operators(model: Table, subgraph: Table, tensor_count: int, origin: str) -> tuple[Operator, ...]:
    """Return the operators of a subgraph in execution order, each checked by itself."""
    codes = tuple(_kind(index, code, origin) for index, code in enumerate(model.get("operator_codes", ())))
    operators = []
    for index, table in enumerate(subgraph.get("operators", ())):
        code = table.get("opcode_index", 0)
        if code >= len(codes):
            raise ModelFileError(origin, f"operator {index} is of kind {code} of {len(codes)}")
        inputs, outputs = table.get("inputs", ()), table.get("outputs", ())
        check_indices(inputs, tensor_count, f"operator {index}", origin, lowest=-1)
        check_indices(outputs, tensor_count, f"operator {index}", origin)
        check_indices(table.get("intermediates", ()), tensor_count, f"operator {index}", origin, lowest=-1)
        kind = codes[code]
        if kind in OTHER_GRAPHS:
            raise UnsupportedModel(origin, f"operator {index} is {kind}, control flow", "convert without control flow")
        if kind in STATEFUL:
            raise UnsupportedModel(origin, f"operator {index} is {kind}, which keeps a state", "convert without state")
        if table.get("large_custom_options_offset", 0) > 1:
            raise UnsupportedModel(origin, f"operator {index} keeps its options outside of the flatbuffer", "shrink it")
        operators.append(Operator(index, kind, inputs, outputs, table.get("builtin_options", {})))
    return tuple(operators)


def _kind(index: int, table: Table, origin: str) -> str:
    code = max(table.get("deprecated_builtin_code", 0), table.get("builtin_code", 0))
    if not 0 <= code < len(OPERATORS):
        raise UnsupportedModel(origin, f"operator kind {index} has the unknown code {code}", "update headwater")
    return f"CUSTOM:{table.get('custom_code', '')}" if OPERATORS[code] == "CUSTOM" else OPERATORS[code]


def check_indices(indices: Iterable[int], count: int, owner: str, origin: str, lowest: int = 0) -> None:
    """Raise ModelFileError unless every index names one of `count` tensors."""
    for index in indices:
        if not lowest <= index < count:
            raise ModelFileError(origin, f"{owner} refers to tensor {index} of {count}")


def check_order(
    tensors: tuple[Tensor, ...],
    operators: tuple[Operator, ...],
    inputs: tuple[int, ...],
    outputs: tuple[int, ...],
    origin: str,
) -> None:
    """Raise ModelFileError unless every tensor is written once, by something that comes before its readers."""
    known = {tensor.index for tensor in tensors if tensor.constant or 0 in tensor.shape}
    for index in inputs:
        if tensors[index].constant:
            raise ModelFileError(origin, f"its input #{index} is a constant")
    known.update(inputs)
    written = set(inputs)
    for operator in operators:
        for index in operator.inputs:
            if index >= 0 and index not in known:
                raise ModelFileError(origin, f"operator {operator.index} reads tensor #{index} before it is written")
        for index in operator.outputs:
            if index in written or tensors[index].constant:
                raise ModelFileError(origin, f"operator {operator.index} writes tensor #{index} a second time")
            written.add(index)
            known.add(index)
    for index in outputs:
        if index not in known:
            raise ModelFileError(origin, f"nothing writes its output #{index}")
