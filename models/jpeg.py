"""In how many passes a JPEG is decoded, told from its markers alone. Source: ITU-T T.81, annex B."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

MOST_SCANS: Final = 100
"""Encoders write 1 to 12; each one more costs a pass over the whole picture, and fits in 75 bytes."""
_MARKER: Final = re.compile(rb"(?:[^\xff]*+\xff++[\x00\xd0-\xd7])*+[^\xff]*+\xff++([^\x00\xd0-\xd7])")
"""Within a scan, FF 00 is a byte of data and D0 to D7 are its restarts. Matched from where one is, never going back: a
search would begin anew at each of a million FF bytes, and take hours for a megabyte."""
_MOST_SEGMENTS: Final = 5000
_MOST_FILL: Final = 1000
_START_OF_SCAN, _END = 0xDA, 0xD9
_FRAMES: Final = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_PROGRESSIVE: Final = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_ALONE: Final = frozenset({*range(0x01, 0xC0), 0xD8})
"""Markers that no length follows; the reserved ones among them are taken so, which skips nothing that may be a scan."""


def scans(data: bytes, most: int = MOST_SCANS) -> int:
    """Return in how many passes a JPEG is decoded: 1 where its first scan has all of it, else at least 2.

    No more than `most` + 1 are counted. Raises: ValueError for more segments, or fill between them, than any encoder
    writes: reading only the header of such a file takes seconds.
    """
    components = found = 0
    for marker, place in _segments(data):
        if marker in _PROGRESSIVE:
            components = 256
        elif marker in _FRAMES:
            components = data[place + 7] if place + 7 < len(data) else 0
        elif marker == _START_OF_SCAN:
            if not found and place + 2 < len(data) and data[place + 2] >= components:
                return 1
            found += 1
            if found > most:
                break
    return max(2, found) if components else 1


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield each marker up to the picture's end, and where its length is. Raises: ValueError for an absurd header."""
    place, found, in_header = 2, 0, True
    while True:
        match = _MARKER.match(data, place)
        if in_header and (match.end() if match else len(data)) - place > _MOST_FILL:
            raise ValueError(f"over {_MOST_FILL} bytes between two segments of a JPEG's header")
        if match is None:
            return
        marker, place, found = match[1][0], match.end(), found + 1
        if marker == _END:
            return
        if found > _MOST_SEGMENTS:
            raise ValueError(f"over {_MOST_SEGMENTS} segments in a JPEG")
        in_header = in_header and marker != _START_OF_SCAN
        yield marker, place
        if marker not in _ALONE:
            place += max(2, int.from_bytes(data[place : place + 2], "big"))
