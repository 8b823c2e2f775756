"""Which position a picture gets, and what the user may write."""

import pytest

from edge.location import open_location, place
from edge.location.place import Fixed, Unknown
from headwater.errors import LocationError
from headwater.messages import Position

HERE = Position(48.137, 11.575, "fixed")
PICTURE = Position(43.46, 11.88, "exif")


def test_a_given_location_wins_over_the_picture() -> None:
    """A position given explicitly is taken before the picture's own."""
    assert place(Fixed(HERE), PICTURE, 0.0) == HERE


def test_the_picture_speaks_where_no_location_is_known() -> None:
    """Without a location, or without a fix, the picture's own position is taken."""
    assert place(Unknown(), PICTURE, 0.0) == PICTURE
    assert place(Unknown(), None, 0.0) is None


@pytest.mark.parametrize("address", [None, "", "exif"])
def test_the_default_is_what_pictures_carry(address: str | None) -> None:
    """None and exif know no position of their own."""
    location = open_location(address)
    assert location.at(1.0) is None
    location.close()


@pytest.mark.parametrize("address", ["48.137,11.575", " 48.137 , 11.575 ", "+48.137,11.575"])
def test_two_numbers_are_a_fixed_place(address: str) -> None:
    """LATITUDE,LONGITUDE stays where it is."""
    location = open_location(address)
    assert location.at(0.0) == location.at(1e6) == HERE
    location.close()


def test_a_walk_is_marked_as_made_up_and_moves() -> None:
    """walk: starts at the place given, moves, and says that it is made up."""
    location = open_location("walk:43.46,11.88?speed=10")
    start, later = location.at(100.0), location.at(110.0)
    assert start == Position(43.46, 11.88, "made-up")
    assert later is not None
    assert later.source == "made-up"
    assert later != start


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("91,0", "within -90..90"),
        ("0,181", "within -90..90"),
        ("48.1", "expected exif, gpx:FILE"),
        ("nan,0", "is not one"),
        ("48.1,11.5,3", "is not one"),
        ("moon:1,2", "is not one"),
        ("walk:", "is not one"),
        ("walk:43,11?speed=0", "expected a number over 0"),
        ("walk:43,11?speed=fast", "'fast'"),
        ("walk:43,11?sped=2", "'sped' is unknown; expected speed"),
        ("walk:43,11?speed", "expected a number over 0"),
        ("gpx:/nowhere/track.gpx", "cannot be read"),
        ("gpsd:host:99999", "expected gpsd, gpsd:HOST or gpsd:HOST:PORT"),
        ("gpsd:2947", "expected gpsd, gpsd:HOST or gpsd:HOST:PORT"),
        ("gpsd:a b", "expected gpsd, gpsd:HOST or gpsd:HOST:PORT"),
    ],
)
def test_a_bad_address_is_one_clear_error(address: str, says: str) -> None:
    """What cannot be a source of positions is a LocationError that says what was expected."""
    with pytest.raises(LocationError, match=says.replace("?", r"\?")):
        open_location(address)


@pytest.mark.parametrize(
    "address", ["gpsd", "gpsd:", "gpsd:?max_age=5", "gpsd:localhost", "gpsd:[::1]", "gpsd:[::1]:1"]
)
def test_every_way_to_write_gpsd_is_understood(address: str) -> None:
    """Host, port and age may be left out; whether gpsd runs does not matter yet."""
    location = open_location(address)
    assert location.at(0.0) is None
    location.close()
