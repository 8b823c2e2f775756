"""What a picture's EXIF says of where and when it was taken; nonsense says nothing.

A reader of its own, because this comes from strangers' files: every offset is checked before it is followed, and
nothing is warned about or raised. Source of the tags and types: CIPA DC-008 (Exif 2.32), sections 4.6.2 to 4.6.6.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from fractions import Fraction
from typing import Final

from edge.location.place import on_earth
from headwater.messages import Position

_EXIF_IFD, _GPS_IFD = 0x8769, 0x8825
_TAKEN, _TAKEN_OFFSET = 0x9003, 0x9011
_LATITUDE_REF, _LATITUDE, _LONGITUDE_REF, _LONGITUDE = 1, 2, 3, 4
_GPS_TIME, _GPS_STATUS, _GPS_DATE, _GPS_ERROR_M = 7, 9, 29, 31

_SIZES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 9: 4, 10: 8, 13: 4}
"""Bytes of one value by type: byte, ASCII, short, long, rational, undefined, signed long and rational, directory."""
_MOST_ENTRIES = 512
_LONGEST_VALUE_BYTES = 256
_LARGEST_ERROR_M = 1e7

Value = str | int | list[Fraction]
Directory = dict[int, Value]


@dataclass(frozen=True)
class Taken:
    """Where a picture was taken, and when, in nanoseconds since 1970; None where the file does not say."""

    position: Position | None = None
    taken_ns: int | None = None


def read_exif(exif: bytes, zone: tzinfo | None = None) -> Taken:
    """Return place and time of taking from an EXIF block (TIFF, with or without `Exif\\0\\0` before it).

    A camera's time without an offset is taken for one of `zone` (None: this device's). Raises nothing.
    """
    tiff = exif[6:] if exif[:6] == b"Exif\0\0" else exif
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None or len(tiff) < 8:
        return Taken()
    main = _directory(tiff, order, struct.unpack_from(order + "I", tiff, 4)[0])
    taken, gps = (_directory(tiff, order, main.get(tag)) for tag in (_EXIF_IFD, _GPS_IFD))
    return Taken(_position(gps), _taken_ns(taken, gps, zone))


def _directory(tiff: bytes, order: str, offset: Value | None) -> Directory:
    """Return the readable entries of the directory at `offset`; an empty one where there is none."""
    if not isinstance(offset, int) or not 8 <= offset <= len(tiff) - 2:
        return {}
    count = min(struct.unpack_from(order + "H", tiff, offset)[0], _MOST_ENTRIES, (len(tiff) - offset - 2) // 12)
    entries: Directory = {}
    for at in range(offset + 2, offset + 2 + 12 * count, 12):
        tag = struct.unpack_from(order + "H", tiff, at)[0]
        value = _value(tiff, order, at)
        if value is not None:
            entries.setdefault(tag, value)
    return entries


def _value(tiff: bytes, order: str, at: int) -> Value | None:
    kind, count = struct.unpack_from(order + "HI", tiff, at + 2)
    size_bytes = _SIZES.get(kind, 0) * count
    if not 0 < size_bytes <= _LONGEST_VALUE_BYTES:
        return None
    start = at + 8 if size_bytes <= 4 else struct.unpack_from(order + "I", tiff, at + 8)[0]
    data = tiff[start : start + size_bytes]
    if len(data) < size_bytes:
        return None
    if kind in (2, 7):
        return data.split(b"\0")[0].decode("ascii", "replace").strip()
    if kind in (5, 10):
        return _fractions(struct.unpack(f"{order}{2 * count}{'I' if kind == 5 else 'i'}", data))
    if kind in (3, 4, 13) and count == 1:
        return int(struct.unpack(order + ("H" if kind == 3 else "I"), data)[0])
    return None


def _fractions(numbers: Sequence[int]) -> list[Fraction] | None:
    pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
    return [Fraction(*pair) for pair in pairs] if all(bottom for _, bottom in pairs) else None


def _position(gps: Directory) -> Position | None:
    latitude = _degrees(gps.get(_LATITUDE), gps.get(_LATITUDE_REF), "NS")
    longitude = _degrees(gps.get(_LONGITUDE), gps.get(_LONGITUDE_REF), "EW")
    if latitude is None or longitude is None or not on_earth(latitude, longitude) or gps.get(_GPS_STATUS) == "V":
        return None
    return Position(latitude, longitude, "exif", _error_m(gps.get(_GPS_ERROR_M)))


def _degrees(value: Value | None, side: Value | None, sides: str) -> float | None:
    """Return signed degrees of (degrees, minutes, seconds) and the side N, S, E or W."""
    if not isinstance(value, list) or not isinstance(side, str) or len(value) != 3 or side not in tuple(sides):
        return None
    degrees, minutes, seconds = value
    if degrees < 0 or not 0 <= minutes < 60 or not 0 <= seconds <= 60:
        return None
    whole = float(degrees + minutes / 60 + seconds / 3600)
    return -whole if side == sides[1] else whole


def _error_m(value: Value | None) -> float | None:
    if not isinstance(value, list) or len(value) != 1:
        return None
    error_m = float(value[0])
    return error_m if 0 <= error_m <= _LARGEST_ERROR_M else None


def _taken_ns(taken: Directory, gps: Directory, zone: tzinfo | None) -> int | None:
    """Return the time of taking: the camera's with its offset, else the GPS time, else the camera's in `zone`."""
    camera, offset = taken.get(_TAKEN), taken.get(_TAKEN_OFFSET)
    if isinstance(camera, str) and isinstance(offset, str):
        known_ns = _unix_ns(f"{camera} {offset.replace(':', '')}", "%Y:%m:%d %H:%M:%S %z", None)
        if known_ns is not None:
            return known_ns
    known_ns = _gps_ns(gps.get(_GPS_DATE), gps.get(_GPS_TIME))
    if known_ns is not None:
        return known_ns
    return _unix_ns(camera, "%Y:%m:%d %H:%M:%S", zone) if isinstance(camera, str) else None


def _gps_ns(date: Value | None, clock: Value | None) -> int | None:
    if not isinstance(date, str) or not isinstance(clock, list) or len(clock) != 3 or min(clock) < 0:
        return None
    midnight_ns = _unix_ns(date, "%Y:%m:%d", UTC)
    seconds = clock[0] * 3600 + clock[1] * 60 + clock[2]
    if midnight_ns is None or seconds > 86_400:
        return None
    return midnight_ns + math.floor(seconds * 1_000_000_000)


def _unix_ns(text: str, layout: str, zone: tzinfo | None) -> int | None:
    try:
        moment = datetime.strptime(text, layout)  # noqa: DTZ007 - the zone is added in the next line
        aware = moment if moment.tzinfo else moment.replace(tzinfo=zone) if zone else moment.astimezone()
        return int(aware.timestamp()) * 1_000_000_000
    except (ValueError, OverflowError, OSError):
        return None
