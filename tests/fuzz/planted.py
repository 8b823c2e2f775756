"""Decoders with faults put in, which the fuzzer has to find."""

from __future__ import annotations

import os
import signal
import threading

from headwater.errors import Malformed
from tests.fuzz.target import Target

WORD = b"cut"
LATE_S = 2.0


def stepwise(data: bytes) -> str:
    """Fail at a word that is only found letter by letter."""
    length = next((size for size in range(len(WORD), 0, -1) if data.startswith(WORD[:size])), 0)
    if length == len(WORD):
        raise ZeroDivisionError("as planted")
    if not data:
        raise Malformed("nothing")
    return str(length)


def silent(data: bytes) -> str:
    """Fail at the same word, and say the same of all others: only lines tell how far one gets."""
    if data[:1] != WORD[:1]:
        return ""
    if data[:2] != WORD[:2]:
        return ""
    if data[:3] != WORD:
        return ""
    raise ZeroDivisionError("as planted")


def late() -> list[bytes]:
    """Take long to load."""
    threading.Event().wait(LATE_S)
    return [b"x"]


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
SILENT = Target("silent", "a word", lambda: [b"xyz"], silent, most_bytes=8, watch_every=2)
LATE = Target("late", "bytes", late, lambda data: str(len(data)))
LENGTHY = Target("lengthy", "bytes", lambda: [b""], lengthy)
