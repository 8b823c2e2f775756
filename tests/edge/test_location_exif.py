"""EXIF: the place and time of taking, and nonsense that must say nothing."""

import io
import struct
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from edge.location.exif import Taken, read_exif
from headwater.messages import Position
from tests.edge.data import shared

GPS = {1: "N", 2: (43.0, 28.0, 2.814), 3: "E", 4: (11.0, 53.0, 6.45599999)}


def exif_of(gps: dict[int, Any], camera: dict[int, Any] | None = None) -> bytes:
    """Return an EXIF block as Pillow writes it."""
    exif = Image.Exif()
    exif.get_ifd(0x8825).update(gps)
    exif.get_ifd(0x8769).update(camera or {})
    return exif.tobytes()


def unix_ns(*moment: int, zone: timezone = UTC) -> int:
    """Return the nanoseconds since 1970 of a moment."""
    return int(datetime(*moment, tzinfo=zone).timestamp()) * 1_000_000_000


def test_degrees_minutes_and_seconds_become_signed_degrees() -> None:
    """North and east are positive."""
    position = read_exif(exif_of(GPS)).position
    assert position == Position(pytest.approx(43.467448, abs=1e-6), pytest.approx(11.885127, abs=1e-6), "exif")


def test_south_and_west_are_negative() -> None:
    """The side turns the sign."""
    position = read_exif(exif_of({**GPS, 1: "S", 3: "W"})).position
    assert position is not None
    assert (position.latitude < 0, position.longitude < 0) == (True, True)


def test_the_error_of_the_receiver_is_the_accuracy() -> None:
    """GPSHPositioningError is taken as metres."""
    position = read_exif(exif_of({**GPS, 31: 4.5})).position
    assert position is not None
    assert position.accuracy_m == 4.5


@pytest.mark.parametrize(
    "gps",
    [
        {},
        {2: GPS[2], 4: GPS[4]},
        {**GPS, 1: "X"},
        {**GPS, 1: ""},
        {**GPS, 2: (91.0, 0.0, 0.0)},
        {**GPS, 2: (90.0, 59.0, 0.0)},
        {**GPS, 4: (11.0, 60.0, 0.0)},
        {**GPS, 4: (11.0, 0.0, 61.0)},
        {**GPS, 4: (11.0, 53.0)},
        {**GPS, 2: (IFDRational(43, 0), 1.0, 1.0)},
        {**GPS, 9: "V"},
    ],
)
def test_nonsense_is_no_position(gps: dict[int, Any]) -> None:
    """Missing sides, zero denominators, places off the Earth and void fixes are None."""
    assert read_exif(exif_of(gps)).position is None


BOTH = {29: "2008:10:23", 7: (14.0, 27.0, 7.25)}


@pytest.mark.parametrize(
    ("gps", "camera", "taken_ns"),
    [
        ({}, {0x9003: "2024:04:26 14:53:30", 0x9011: "-04:00"}, unix_ns(2024, 4, 26, 18, 53, 30)),
        (BOTH, {0x9003: "2008:10:22 16:28:39"}, unix_ns(2008, 10, 23, 14, 27, 7) + 250_000_000),
        ({}, {0x9003: "2008:10:22 16:28:39"}, unix_ns(2008, 10, 22, 14, 28, 39)),
        ({}, {0x9003: "0000:00:00 00:00:00"}, None),
        ({}, {0x9003: "soon", 0x9011: "late"}, None),
        ({29: "2008:10:23", 7: (25.0, 0.0, 0.0)}, {}, None),
        ({}, {}, None),
    ],
)
def test_the_surest_time_of_taking_is_chosen(gps: dict[int, Any], camera: dict[int, Any], taken_ns: int | None) -> None:
    """Camera time with offset, then GPS time, then camera time in the given zone."""
    assert read_exif(exif_of(gps, camera), timezone(timedelta(hours=2))).taken_ns == taken_ns


def test_the_block_may_be_big_endian() -> None:
    """A Motorola-order block is read like an Intel-order one."""
    gps_at, values_at = 26, 26 + 2 + 4 * 12 + 4
    block = (
        b"MM\0*" + struct.pack(">I", 8) + struct.pack(">H", 1) + struct.pack(">HHII", 0x8825, 4, 1, gps_at) + bytes(4)
    )
    entries = struct.pack(">HHI4s", 1, 2, 2, b"S\0") + struct.pack(">HHII", 2, 5, 3, values_at)
    entries += struct.pack(">HHI4s", 3, 2, 2, b"W\0") + struct.pack(">HHII", 4, 5, 3, values_at + 24)
    values = struct.pack(">12I", 33, 1, 27, 1, 169, 10, 70, 1, 39, 1, 209, 10)
    taken = read_exif(block + struct.pack(">H", 4) + entries + bytes(4) + values)
    degrees = [
        -float(33 + Fraction(27, 60) + Fraction(169, 36000)),
        -float(70 + Fraction(39, 60) + Fraction(209, 36000)),
    ]
    assert taken.position == Position(*degrees, "exif")


WHOLE = exif_of({**GPS, **BOTH, 31: 4.5}, {0x9003: "2008:10:22 16:28:39", 0x9011: "+02:00"})


@given(st.integers(0, len(WHOLE)))
def test_every_truncation_is_read_without_an_error(length: int) -> None:
    """A block that is cut short says less, and raises nothing."""
    assert isinstance(read_exif(WHOLE[:length], UTC), Taken)


@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=30))
def test_damaged_blocks_are_read_without_an_error(damage: list[tuple[int, int]]) -> None:
    """Whatever bytes are changed, the result is a valid position or none."""
    block = bytearray(WHOLE)
    for at, value in damage:
        block[at] = value
    taken = read_exif(bytes(block), UTC)
    assert taken.position is None or abs(taken.position.latitude) <= 90


@given(st.binary(max_size=300))
def test_any_bytes_are_read_without_an_error(data: bytes) -> None:
    """Bytes of any kind after a good beginning raise nothing."""
    assert isinstance(read_exif(b"Exif\0\0II*\0\x08\0\0\0" + data), Taken)
    assert isinstance(read_exif(data), Taken)


def test_real_cameras_are_read() -> None:
    """All 14 street photographs have a position, in Arezzo or near Santiago."""
    for path in sorted(shared("street").glob("*.jpg")):
        with Image.open(io.BytesIO(path.read_bytes())) as picture:
            position = read_exif(picture.info["exif"]).position
        assert position is not None
        place = (round(position.latitude), round(position.longitude))
        assert place == ((43, 12) if path.name.startswith("DSCN") else (-33, -71))
