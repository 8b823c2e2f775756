"""Decoders with faults put in, which the fuzzer has to find."""

from __future__ import annotations

import os
import signal

from headwater.errors import Malformed
from tests.fuzz.target import Target

WORD = b"cut"


def stepwise(data: bytes) -> str:
    """Fail at a word that is only found letter by letter."""
    length = next((size for size in range(len(WORD), 0, -1) if data.startswith(WORD[:size])), 0)
    if length == len(WORD):
        raise ZeroDivisionError("as planted")
    if not data:
        raise Malformed("nothing")
    return str(length)


def deadly(data: bytes) -> str:
    """End the process at one byte."""
    if data[:1] == b"\x80":
        os.kill(os.getpid(), signal.SIGSEGV)
    return ""


def greedy(data: bytes) -> str:
    """Take a megabyte for each byte."""
    return str(len([bytearray(1_000_000) for _ in data]))


def lengthy(data: bytes) -> str:
    """Go on for as long as nobody ends it."""
    while data:
        pass
    return ""


STEPWISE = Target("stepwise", "a word", lambda: [b"xyz"], stepwise, most_bytes=8)
DEADLY = Target("deadly", "a byte", lambda: [b"x"], deadly, most_bytes=2)
GREEDY = Target("greedy", "bytes", lambda: [b"x"], greedy)
LENGTHY = Target("lengthy", "bytes", lambda: [b""], lengthy)
