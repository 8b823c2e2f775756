"""Messages taken apart, changed at a few places and put together again: spoilt in meaning, right in spelling."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import msgspec

from models import flatbuffer
from tests.fuzz.spoil import ODD

INTS = (*ODD, *(-number for number in ODD), *range(-3, 20))
FLOATS = (0.0, -0.0, 0.5, 1.0, -1.0, 90.1, 1e-320, 1e30, 1e308, -1e308, math.nan, math.inf, -math.inf)
TEXTS = ("", "a", "image", "device", "a" * 257, "a" * 5000, "a/b", "+", "\0", "\n", "\ufeff", "é" * 40, "٣", "-", "1")
ANY = (None, True, False, 0, -1, 2**63, 1.5, "x", b"x", [], {}, [[]], {"x": {}})

Slot = tuple[Any, Any]
"""A list or dict, and a place in it."""


def messagepack(data: bytes, draw: Random) -> bytes:
    """Return a MessagePack message changed; as it is where it is none."""
    try:
        return msgspec.msgpack.encode(changed(msgspec.msgpack.decode(data), draw))
    except (msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError):
        return data


def json_text(data: bytes, draw: Random) -> bytes:
    """Return a JSON text changed; as it is where it is none."""
    try:
        return msgspec.json.encode(changed(msgspec.json.decode(data), draw))
    except (msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError):
        return data


def tflite(data: bytes, draw: Random) -> bytes:
    """Return a .tflite file with other tables; as it is where it cannot be read, or not be written so."""
    try:
        return flatbuffer.encode(changed(_opened(flatbuffer.decode(data, "x")), draw), "x")
    except Exception:
        return data


def changed(tree: Any, draw: Random) -> Any:
    """Return a tree of dicts, lists and values after changing one to three of its places."""
    slots = _slots(tree)
    for _ in range(1 + int(draw.random() * 3)):
        if slots:
            _change(*draw.choice(slots), slots, draw)
    return tree


def _opened(tree: Any) -> Any:
    """Return a copy of a tree, with lists for tuples."""
    if isinstance(tree, dict):
        return {key: _opened(value) for key, value in tree.items()}
    return [_opened(value) for value in tree] if isinstance(tree, list | tuple) else tree


def _slots(tree: Any) -> list[Slot]:
    found: list[Slot] = []
    left = [tree]
    while left:
        holder = left.pop()
        kind = type(holder)
        if kind is dict:
            found += [(holder, key) for key in holder]
            left += holder.values()
        elif kind is list:
            found += [(holder, place) for place in range(len(holder))]
            left += holder
    return found


def _change(holder: Any, key: Any, slots: list[Slot], draw: Random) -> None:
    if not (key in holder if isinstance(holder, dict) else key < len(holder)):
        return
    what = draw.random()
    if what < 0.1:
        del holder[key]
    elif what < 0.2:
        holder[key] = draw.choice(ANY)
    elif what < 0.35:
        other, place = draw.choice(slots)
        value = other.get(place) if isinstance(other, dict) else other[place] if place < len(other) else None
        holder[key] = _opened(value)
    else:
        holder[key] = _odd(holder[key], draw)


def _odd(value: Any, draw: Random) -> Any:
    """Return another value of the same kind, one that few have thought of."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return draw.choice(INTS) if draw.random() < 0.6 else value + draw.choice((-1, 1, 2, 255))
    if isinstance(value, float):
        return draw.choice(FLOATS)
    if isinstance(value, str):
        return draw.choice(TEXTS)
    if isinstance(value, bytes | memoryview):
        return _odd_bytes(bytes(value), draw)
    if isinstance(value, list):
        most = 20 if value and isinstance(value[0], dict | list) else 5000  # tables in tables grow by the product
        return draw.choice(([], value * 2, value[:1] * int(draw.random() * most), value[::-1], [value]))
    if isinstance(value, dict):
        return draw.choice(({}, {**value, "more": 1}, [value], {"x": value}))
    return draw.choice(ANY)


def _odd_bytes(data: bytes, draw: Random) -> bytes:
    at = int(draw.random() * (len(data) + 1))
    return draw.choice((b"", data[:at], data + data, data[:at] + draw.randbytes(4) + data[at + 4 :], bytes(len(data))))
