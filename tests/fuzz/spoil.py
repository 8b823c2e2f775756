"""Ways to spoil bytes. Pure: the same bytes and the same numbers drawn give the same bytes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from tests.fuzz.target import Rebuilt, Target

ODD = (
    0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1, 2**63,
    2**64 - 1,
)  # fmt: skip
"""Numbers at which types end."""
WORDS = (
    b"-1", b"0", b"1e999", b"-1e999", b"NaN", b"nan", b"inf", b"Infinity", b"9" * 5000, b"1" + b"0" * 400, b"0.5",
    b"18446744073709551616", b"\\ud800", b'""', b"null", b"true", b"[]", b"{}", b"\xff\xfe", b"\xed\xa0\x80",
    b"\xef\xbb\xbf", b"\0", b"\n",
)  # fmt: skip
_NUMBER = re.compile(rb"[0-9]+")


@dataclass(frozen=True)
class Pool:
    """What spoilt bytes are made of, beside themselves."""

    samples: Sequence[bytes]
    words: Sequence[bytes] = WORDS
    rebuilt: Rebuilt | None = None
    most_bytes: int = 8192


def pool_of(target: Target, samples: Sequence[bytes]) -> Pool:
    """Return what inputs for a target are made of."""
    return Pool(samples, WORDS + target.tokens, target.rebuilt, target.most_bytes)


def _below(draw: Random, size: int) -> int:
    return int(draw.random() * size)


def flipped(data: bytes, draw: Random, _: Pool) -> bytes:
    """Return the bytes with one to four bits turned."""
    out = bytearray(data or b"\0")
    for _time in range(1 + _below(draw, 4)):
        out[_below(draw, len(out))] ^= 1 << _below(draw, 8)
    return bytes(out)


def changed(data: bytes, draw: Random, _: Pool) -> bytes:
    """Return the bytes with one of them another."""
    out = bytearray(data or b"\0")
    out[_below(draw, len(out))] = _below(draw, 256)
    return bytes(out)


def cut(data: bytes, draw: Random, _: Pool) -> bytes:
    """Return a beginning of the bytes."""
    return data[: _below(draw, len(data) + 1)]


def shortened(data: bytes, draw: Random, _: Pool) -> bytes:
    """Return the bytes without some in the middle."""
    start = _below(draw, len(data) + 1)
    return data[:start] + data[start + 1 + _below(draw, 16) :]


def lengthened(data: bytes, draw: Random, _: Pool) -> bytes:
    """Return the bytes with some put in."""
    at = _below(draw, len(data) + 1)
    return data[:at] + draw.randbytes(1 + _below(draw, 8)) + data[at:]


def moved(data: bytes, draw: Random, _: Pool) -> bytes:
    """Return the bytes with a piece of them written over another."""
    start, at, size = _below(draw, len(data) + 1), _below(draw, len(data) + 1), 1 + _below(draw, 32)
    piece = data[start : start + size]
    return data[:at] + piece + data[at + len(piece) :]


def spliced(data: bytes, draw: Random, pool: Pool) -> bytes:
    """Return the beginning of the bytes and the end of a sample."""
    other = pool.samples[_below(draw, len(pool.samples))]
    return data[: _below(draw, len(data) + 1)] + other[_below(draw, len(other) + 1) :]


def numbered(data: bytes, draw: Random, _: Pool) -> bytes:
    """Return the bytes with a number at which types end, in one to eight of them: a length, an offset, a count."""
    size = 1 << _below(draw, 4)
    number = (ODD[_below(draw, len(ODD))] + _below(draw, 3) - 1) % (1 << 8 * size)
    at = _below(draw, max(1, len(data) - size + 1))
    return data[:at] + number.to_bytes(size, "little" if draw.random() < 0.5 else "big") + data[at + size :]


def worded(data: bytes, draw: Random, pool: Pool) -> bytes:
    """Return the bytes with a word put in, or in the place of a number."""
    word = pool.words[_below(draw, len(pool.words))]
    start = end = _below(draw, len(data) + 1)
    if draw.random() < 0.5 and (found := _NUMBER.search(data, start)):
        start, end = found.span()
    return data[:start] + word + data[end:]


def repeated(data: bytes, draw: Random, pool: Pool) -> bytes:
    """Return the bytes with a piece of them many times over."""
    start = _below(draw, len(data) + 1)
    piece = data[start : start + 1 + _below(draw, 32)]
    times = _below(draw, 1 << _below(draw, 12) + 1)
    return (data[:start] + piece * times + data[start:])[: pool.most_bytes]


def rebuilt(data: bytes, draw: Random, pool: Pool) -> bytes:
    """Return the message with another meaning, where its kind can be taken apart."""
    return flipped(data, draw, pool) if pool.rebuilt is None else pool.rebuilt(data, draw)


Operation = Callable[[bytes, Random, Pool], bytes]
OPERATIONS: tuple[Operation, ...] = (
    flipped, changed, cut, shortened, lengthened, moved, spliced, numbered, worded, repeated, rebuilt, rebuilt,
)  # fmt: skip


def spoilt(data: bytes, draw: Random, pool: Pool) -> bytes:
    """Return the bytes spoilt in one to four ways, one after the other."""
    for _ in range(1 + _below(draw, 4)):
        data = OPERATIONS[_below(draw, len(OPERATIONS))](data, draw, pool)[: pool.most_bytes]
    return data
