"""Check the compressed form of sparse weights before LiteRT unpacks them: it follows the indices without looking."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelFileError
from models.flatbuffer import Table

_DENSE, _COMPRESSED = 0, 1


def check_sparsity(index: int, table: Table, value_count: int, origin: str) -> None:
    """Raise ModelFileError unless a sparse tensor's indices stay inside its shape and match its values.

    Source: the TensorFlow Lite schema, SparsityParameters: the dimensions in the order of traversal, blocks as further
    dimensions behind the tensor's own, each either dense or as compressed rows (segments and indices).
    """
    sparsity, shape = table["sparsity"], table.get("shape", ())
    order, dimensions = sparsity.get("traversal_order", ()), sparsity.get("dim_metadata", ())
    sizes = _sizes(shape, sparsity.get("block_map", ()), order, dimensions)
    if sizes is None:
        raise ModelFileError(
            origin, f"tensor #{index} of shape {list(shape)} has no consistent list of sparse dimensions"
        )
    places = 1
    for number, dimension in zip(order, dimensions, strict=True):
        if dimension.get("format", _DENSE) == _DENSE:
            matches, places = dimension.get("dense_size", 0) == sizes[number], places * sizes[number]
        else:
            matches, places = _compressed(dimension, places, sizes[number])
        if not matches:
            raise ModelFileError(origin, f"tensor #{index} has sparse indices outside of its shape {list(shape)}")
    if places != value_count:
        raise ModelFileError(origin, f"tensor #{index} has sparse indices for {places} values and {value_count} values")


def _sizes(
    shape: Sequence[int], block_map: Sequence[int], order: Sequence[int], dimensions: Sequence[Table]
) -> list[int] | None:
    """Return the size of each dimension, those of the blocks behind the tensor's own; None where that fails."""
    count = len(shape) + len(block_map)
    if sorted(order) != list(range(count)) or len(dimensions) != count:
        return None
    sizes = list(shape)
    for place, dimension in enumerate(block_map):
        block = dimensions[order.index(len(shape) + place)].get("dense_size", 0)
        if not 0 <= dimension < len(shape) or block < 1 or sizes[dimension] % block:
            return None
        sizes[dimension] //= block
        sizes.append(block)
    return sizes


def _compressed(dimension: Table, rows: int, size: int) -> tuple[bool, int]:
    """Return whether a compressed dimension is consistent, and how many places it leads to."""
    segments, indices = _values(dimension, "array_segments"), _values(dimension, "array_indices")
    if dimension.get("format") != _COMPRESSED or len(segments) != rows + 1:
        return False, 0
    rising = segments[0] == 0 and bool((np.diff(segments) >= 0).all()) and segments[-1] == len(indices)
    inside = bool(((indices >= 0) & (indices < size)).all())
    return rising and inside, len(indices)


def _values(dimension: Table, field: str) -> NDArray[np.int64]:
    values = dimension.get(field, {}).get("values", ())
    if isinstance(values, memoryview):
        return np.frombuffer(values, np.uint8).astype(np.int64)
    return np.array(values, np.int64)
