"""Whether a PNG has as many chunks as a program writes: to read a million empty ones takes seconds."""

from __future__ import annotations

from typing import Final

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
MOST_CHUNKS: Final = 20_000
"""libpng puts 8 KB of a picture into each: that is 160 MB."""
_AROUND: Final = 12
"""Bytes of a chunk beside its content: length, name and checksum. Source: PNG, third edition, section 5.3."""


def check_chunks(data: bytes) -> None:
    """Pass for a PNG of at most `MOST_CHUNKS`, whole or cut short. Raises: ValueError."""
    place = len(SIGNATURE)
    for _ in range(MOST_CHUNKS):
        if place + _AROUND > len(data):
            return
        place += _AROUND + int.from_bytes(data[place : place + 4], "big")
    raise ValueError(f"over {MOST_CHUNKS} chunks in a PNG")
