"""Read a .tflite file into plain tables with every access checked, and write such tables as a new file.

A table is a dict of the fields that are present: scalars as int, float or bool, strings as str, vectors as tuples
(vectors of bytes as views into the file, not copied), tables as dicts. Nothing of the layout that was read reaches what
is written, so whatever LiteRT is given to load was laid out here. Source: https://flatbuffers.dev/internals/.
"""

from __future__ import annotations

import struct
from typing import Any

from models.errors import ModelFileError, UnsupportedModel
from models.tflite_schema import FILE_IDENTIFIER, TABLES, UNIONS

Table = dict[str, Any]

SMALLEST_FILE_BYTES = 16
LARGEST_FILE_BYTES = 2**31 - 1
MOST_TABLES = 2**17
"""Networks for pictures have some thousands; each takes up to a kilobyte when it is read."""
MOST_NUMBER_BYTES = 2**25
"""Of names, shapes, scales and indices together; weights, which are not copied, are not among them."""
_MOST_VTABLE_BYTES = 516
"""A list of 256 fields; no table of the schema has 25. A long one that all tables share would be read for each."""
_BLOB_ALIGNMENT = 16
_I32, _U32, _U16X2 = struct.Struct("<i"), struct.Struct("<I"), struct.Struct("<HH")
_SCALAR_BYTES = {code: struct.calcsize("<" + code) for code in "?bBhHiIqQfd"}


def decode(data: bytes, origin: str) -> Table:
    """Return the Model table of a .tflite file.

    Raises:
        ModelFileError: whatever else the bytes are.
        UnsupportedModel: the file has fields of a newer schema.
    """
    if len(data) < SMALLEST_FILE_BYTES:
        raise ModelFileError(origin, f"it holds {len(data)} B, expected at least {SMALLEST_FILE_BYTES}")
    if data[4:8] != FILE_IDENTIFIER:
        raise ModelFileError(origin, f"its identifier is {data[4:8]!r}, expected {FILE_IDENTIFIER!r}")
    return _Reader(data, origin).table(_U32.unpack_from(data)[0], "Model")


class _Reader:
    """Walks one flatbuffer; every position is checked before it is read."""

    def __init__(self, data: bytes, origin: str) -> None:
        self._data, self._view, self._origin = data, memoryview(data), origin
        # Shared tables and vectors are allowed, but must not multiply a small file into a huge one.
        self._tables_left, self._vector_bytes_left = min(len(data) // 4, MOST_TABLES), 4 * len(data)
        self._number_bytes_left = MOST_NUMBER_BYTES

    def _broken(self, what: str, position: int) -> ModelFileError:
        return ModelFileError(
            self._origin, f"{what} at byte {position} does not fit its {len(self._data)} B (cut short or overwritten)"
        )

    def _check(self, position: int, size_bytes: int, what: str) -> None:
        if position < 0 or position + size_bytes > len(self._data):
            raise self._broken(what, position)

    def table(self, position: int, name: str) -> Table:
        """Return the fields of the table at `position`."""
        self._tables_left -= 1
        self._check(position, 4, name)
        vtable = position - _I32.unpack_from(self._data, position)[0]
        self._check(vtable, 4, f"the field list of {name}")
        vtable_bytes, table_bytes = _U16X2.unpack_from(self._data, vtable)
        self._check(vtable, vtable_bytes, f"the field list of {name}")
        self._check(position, table_bytes, name)
        if not 4 <= vtable_bytes <= _MOST_VTABLE_BYTES or vtable_bytes % 2 or table_bytes < 4 or self._tables_left < 0:
            raise self._broken(f"the field list of {name}", vtable)
        offsets = struct.unpack_from(f"<{vtable_bytes // 2 - 2}H", self._data, vtable + 4)
        fields = TABLES[name]
        if any(offsets[len(fields) :]):
            raise UnsupportedModel(
                self._origin, f"its {name} has fields of a newer schema", "update headwater or convert for LiteRT 2.3"
            )
        found: Table = {}
        for (field, kind), offset in zip(fields, offsets, strict=False):
            if offset and kind:
                if offset < 4 or offset + _SCALAR_BYTES.get(kind, 4) > table_bytes:
                    raise self._broken(f"{name}.{field}", position)
                found[field] = self._value(position + offset, kind, field, found)
        return found

    def _value(self, position: int, kind: str, field: str, found: Table) -> Any:
        if kind in _SCALAR_BYTES:
            return struct.unpack_from("<" + kind, self._data, position)[0]
        target = position + _U32.unpack_from(self._data, position)[0]
        if kind == "union":
            return self.table(target, self._union_table(field, found.get(field + "_type", 0), position))
        if kind == "string":
            return self._string(target, field)
        if kind[0] == "[":
            return self._vector(target, kind[1:-1], field)
        return self.table(target, kind)

    def _union_table(self, field: str, tag: int, position: int) -> str:
        names = UNIONS[field]
        if tag == 0:
            raise self._broken(f"{field} of no type", position)
        if tag >= len(names):
            raise UnsupportedModel(
                self._origin, f"its {field} are of unknown type {tag}", "update headwater or convert for LiteRT 2.3"
            )
        return names[tag]

    def _copied(self, elements: memoryview, field: str) -> memoryview:
        """Return elements that become objects of many times their size, as long as all such are few."""
        self._number_bytes_left -= len(elements)
        if self._number_bytes_left < 0:
            raise ModelFileError(self._origin, f"with {field} it has over {MOST_NUMBER_BYTES} B beside its weights")
        return elements

    def _elements(self, position: int, element_bytes: int, field: str) -> memoryview:
        self._check(position, 4, field)
        size_bytes = _U32.unpack_from(self._data, position)[0] * element_bytes
        self._check(position + 4, size_bytes, f"{field} of {size_bytes} B")
        self._vector_bytes_left -= size_bytes
        if self._vector_bytes_left < 0:
            raise self._broken(f"{field} of {size_bytes} B", position)
        return self._view[position + 4 : position + 4 + size_bytes]

    def _string(self, position: int, field: str) -> str:
        try:
            return str(self._copied(self._elements(position, 1, field), field), "utf-8")
        except UnicodeDecodeError as error:
            raise ModelFileError(self._origin, f"{field} at byte {position} is not UTF-8 text") from error

    def _vector(self, position: int, kind: str, field: str) -> tuple[Any, ...] | memoryview:
        element_bytes = _SCALAR_BYTES.get(kind, 4)
        elements = self._elements(position, element_bytes, field)
        if kind == "B":
            return elements
        self._copied(elements, field)
        if kind in _SCALAR_BYTES:
            return struct.unpack(f"<{len(elements) // element_bytes}{kind}", elements)
        places = struct.iter_unpack("<I", elements)
        return tuple(self.table(position + 4 + 4 * index + offset, kind) for index, (offset,) in enumerate(places))


def encode(model: Table, origin: str) -> bytes:
    """Return a .tflite file with the fields of `model`; buffers are copied once.

    Raises:
        UnsupportedModel: it would be larger than a flatbuffer can be.
    """
    writer = _Writer()
    writer.header()
    writer.table(model, "Model")
    if writer.size_bytes > LARGEST_FILE_BYTES:
        raise UnsupportedModel(
            origin, f"the part needs {writer.size_bytes} B, a .tflite file holds {LARGEST_FILE_BYTES}", "cut it smaller"
        )
    return writer.joined()


class _Layout:
    """Where the fields of one set of present fields lie inside their table."""

    def __init__(self, name: str, present: tuple[str, ...]) -> None:
        fields = TABLES[name]
        kinds = {field: kind for field, kind in fields if field in present}
        self.inline = sorted(kinds.items(), key=lambda item: -_SCALAR_BYTES.get(item[1], 4))
        places, end, codes = {}, 4, "<i"
        for field, kind in self.inline:
            code = kind if kind in _SCALAR_BYTES else "I"
            padding = -end % _SCALAR_BYTES[code]
            places[field] = end + padding
            end += padding + _SCALAR_BYTES[code]
            codes += f"{padding}x{code}" if padding else code
        last = max((index for index, (field, _) in enumerate(fields) if field in present), default=-1)
        offsets = [places.get(field, 0) for field, _ in fields[: last + 1]]
        self.vtable = struct.pack(f"<{len(offsets) + 2}H", 4 + 2 * len(offsets), end, *offsets)
        self.struct, self.alignment = struct.Struct(codes), 8 if "q" in codes.lower() or "d" in codes else 4
        self.children = [(field, kind, places[field]) for field, kind in self.inline if kind not in _SCALAR_BYTES]
        self.scalars = [kind in _SCALAR_BYTES for _, kind in self.inline]


class _Writer:
    """Writes tables front to back; what they point to follows them, the large vectors at the very end."""

    def __init__(self) -> None:
        self._out = bytearray()
        self._blobs: list[tuple[int, memoryview]] = []
        self._layouts: dict[tuple[str, tuple[str, ...]], _Layout] = {}
        self._vtables: dict[bytes, int] = {}

    @property
    def size_bytes(self) -> int:
        """The size of the file written so far."""
        return len(self._out) + sum(len(blob) + 4 + _BLOB_ALIGNMENT for _, blob in self._blobs)

    def header(self) -> None:
        """Write the root offset and the file identifier; the vtable of the root follows them."""
        self._out += bytes(4) + FILE_IDENTIFIER

    def _align(self, alignment: int, ahead_bytes: int = 0) -> None:
        self._out += bytes(-(len(self._out) + ahead_bytes) % alignment)

    def table(self, values: Table, name: str) -> int:
        """Write a table and all it holds; return its position."""
        key = (name, tuple(values))
        layout = self._layouts.get(key)
        if layout is None:
            layout = self._layouts[key] = _Layout(*key)
        vtable = self._vtables.get(layout.vtable)
        if vtable is None:
            self._align(2)
            vtable = self._vtables[layout.vtable] = len(self._out)
            self._out += layout.vtable
        self._align(layout.alignment)
        position = len(self._out)
        scalars = zip(layout.inline, layout.scalars, strict=True)
        self._out += layout.struct.pack(
            position - vtable, *(values[field] if scalar else 0 for (field, _), scalar in scalars)
        )
        if name == "Model":
            _U32.pack_into(self._out, 0, position)
        for field, kind, place in layout.children:
            if name == "Buffer":
                self._blobs.append((position + place, values[field]))
            else:
                self._point(position + place, self._child(values[field], kind, field, values))
        return position

    def _point(self, place: int, target: int) -> None:
        _U32.pack_into(self._out, place, target - place)

    def _child(self, value: Any, kind: str, field: str, owner: Table) -> int:
        if kind == "union":
            return self.table(value, UNIONS[field][owner[field + "_type"]])
        if kind == "string":
            text = value.encode()
            return self._vector(len(text), text + b"\0", 4)
        if kind == "[B]":
            return self._vector(len(value), value, _BLOB_ALIGNMENT)
        if kind[0] != "[":
            return self.table(value, kind)
        code = kind[1:-1]
        if code in _SCALAR_BYTES:
            return self._vector(len(value), struct.pack(f"<{len(value)}{code}", *value), max(4, _SCALAR_BYTES[code]))
        position = self._vector(len(value), bytes(4 * len(value)), 4)
        for index, item in enumerate(value):
            self._point(position + 4 + 4 * index, self.table(item, code))
        return position

    def _vector(self, length: int, elements: bytes | memoryview, alignment: int) -> int:
        self._align(alignment, ahead_bytes=4)
        position = len(self._out)
        self._out += _U32.pack(length)
        self._out += elements
        return position

    def joined(self) -> bytes:
        """Return the file: the tables, then each large vector behind its length."""
        self._align(4)
        end, pieces = len(self._out), list[bytes | bytearray | memoryview]()
        for place, blob in self._blobs:
            padding = -(end + 4) % _BLOB_ALIGNMENT
            self._point(place, end + padding)
            pieces += [bytes(padding) + _U32.pack(len(blob)), blob]
            end += padding + 4 + len(blob)
        return b"".join([self._out, *pieces])
