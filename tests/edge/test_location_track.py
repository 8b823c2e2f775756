"""Tracks: GPX files read, timed, interpolated and replayed."""

import contextlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.location import open_location
from edge.location.gpx import parse_gpx
from edge.location.track import Replay, TrackPoint, Waypoint, along, distance_m, made_up_walk, timed
from headwater.errors import LocationError
from tests.edge.data import shared

HEAD = '<?xml version="1.0"?><gpx version="1.1" xmlns="http://www.topografix.com/GPX/1/1">'
TIMED = (
    HEAD + "<trk><trkseg>"
    '<trkpt lat="10" lon="20"><ele>3</ele><time>2020-12-18T06:00:00Z</time></trkpt>'
    '<trkpt lat="11" lon="22"><time>2020-12-18T06:00:10Z</time><extensions><x>9</x></extensions></trkpt>'
    "</trkseg></trk></gpx>"
).encode()


def test_points_and_their_times_are_read() -> None:
    """A track's points come with their times, text outside <time> left out."""
    start_s = datetime(2020, 12, 18, 6, tzinfo=UTC).timestamp()
    assert parse_gpx(TIMED) == [[TrackPoint(10, 20, start_s), TrackPoint(11, 22, start_s + 10)]]


def test_a_route_serves_where_there_is_no_track() -> None:
    """The points of <rte> are taken when the file has no <trk>."""
    assert parse_gpx((HEAD + '<rte><rtept lat="1" lon="2"/></rte></gpx>').encode()) == [[TrackPoint(1, 2)]]


@pytest.mark.parametrize("lat", ["nan", "91", "", "1e999", "0x10", "١"])
def test_a_point_that_is_nowhere_is_left_out(lat: str) -> None:
    """Points without a place on Earth are skipped, the others stay."""
    points = f'<trkpt lat="{lat}" lon="2"/><trkpt lat="5" lon="6"/>'
    assert parse_gpx(f"{HEAD}<trk><trkseg>{points}</trkseg></trk></gpx>".encode()) == [[TrackPoint(5, 6)]]


BOMB = '<!DOCTYPE gpx [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><gpx>&b;</gpx>'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-8-sig"])
def test_an_entity_bomb_is_refused_in_every_encoding(encoding: str) -> None:
    """A document type is refused before any entity of it is looked at."""
    with pytest.raises(LocationError, match="document type"):
        parse_gpx(BOMB.encode(encoding))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is not XML"),
        (b"no track", "is not XML"),
        (TIMED[:-20], "is not XML"),
        (b"<gpx/>", "has no track points"),
        (b'<?xml version="1.0" encoding="klingon"?><gpx/>', "encoding"),
        (b"<gpx>&bomb;</gpx>", "is not XML"),
    ],
)
def test_a_file_without_a_track_is_one_clear_error(data: bytes, says: str) -> None:
    """Whatever is no GPX track is a LocationError that says why."""
    with pytest.raises(LocationError, match=says):
        parse_gpx(data)


@given(st.binary(max_size=400) | st.text(alphabet='<>&!?/= "gpxtrkselaon0123456789.-Z:T', max_size=200).map(str.encode))
def test_no_bytes_do_anything_but_a_location_error(data: bytes) -> None:
    """Hostile bytes are tracks or a LocationError, nothing else."""
    for file in (data, TIMED[: len(data) * 2] + data):
        with contextlib.suppress(LocationError):
            assert all(parse_gpx(file))


@given(st.integers(0, len(TIMED)))
def test_every_truncation_is_a_location_error(length: int) -> None:
    """A file that is cut short is refused wherever the cut is."""
    if length < len(TIMED):
        with pytest.raises(LocationError):
            parse_gpx(TIMED[:length])


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """A file over the limit is a LocationError that names the limit."""
    path = tmp_path / "huge.gpx"
    with path.open("wb") as file:
        file.truncate(40 * 1024 * 1024)
    with pytest.raises(LocationError, match="over the limit of 33554432 B"):
        open_location(f"gpx:{path}")


def test_times_of_the_track_are_kept_and_pauses_between_segments_left_out() -> None:
    """Each segment lasts as recorded and begins where the one before ended."""
    first = [TrackPoint(0, 0, 100), TrackPoint(0, 1, 110)]
    second = [TrackPoint(5, 5, 90_000), TrackPoint(5, 6, 90_020)]
    assert [w.elapsed_s for w in timed([first, second])] == [0, 10, 10, 30]


def test_a_clock_set_back_counts_as_standing_still() -> None:
    """Time never runs backwards along a track."""
    points = [TrackPoint(0, 0, 100), TrackPoint(0, 1, 50), TrackPoint(0, 2, 60)]
    assert [w.elapsed_s for w in timed([points])] == [0, 0, 10]


@pytest.mark.parametrize("time_s", [None, 7.0])
def test_a_track_without_times_is_walked_by_distance(time_s: float | None) -> None:
    """Without times, or with only one time, points are reached at a walker's pace."""
    points = [TrackPoint(0, 0, time_s), TrackPoint(0, 0.001, time_s), TrackPoint(0, 0.003, time_s)]
    walk = timed([points], pace_m_per_s=2.0)
    assert walk[1].elapsed_s == pytest.approx(111.195 / 2, rel=1e-3)
    assert walk[2].elapsed_s == pytest.approx(3 * walk[1].elapsed_s)


def test_distance_is_that_of_the_globe() -> None:
    """Munich to Arezzo is 520.6 km (haversine on the mean radius)."""
    assert distance_m(TrackPoint(48.137, 11.575), TrackPoint(43.46, 11.88)) == pytest.approx(520_600, rel=2e-3)


def test_the_place_between_two_points_is_interpolated() -> None:
    """Half the time between two points is half the way."""
    walk = [Waypoint(0, 10, 20), Waypoint(10, 11, 22)]
    assert along(walk, 5) == pytest.approx((10.5, 21))
    assert along(walk, -1) == (10, 20)
    assert along(walk, 99) == (11, 22)


def test_the_date_line_is_crossed_the_short_way() -> None:
    """From 179.9 E to 179.9 W the way goes over 180, not around the globe."""
    _, longitude = along([Waypoint(0, 0, 179.9), Waypoint(10, 0, -179.9)], 7.5)
    assert longitude == pytest.approx(-179.95)


def test_speed_and_loop_change_the_replay() -> None:
    """A replay starts when first asked; speed multiplies time; loop begins again, otherwise the end is kept."""
    walk = [Waypoint(0, 0, 0), Waypoint(10, 0, 10)]
    once, again = Replay(walk, "gpx", speed=2), Replay(walk, "gpx", speed=2, loop=True)
    assert [once.at(1000 + s).longitude for s in (0, 1, 5, 6)] == pytest.approx([0, 2, 10, 10])
    assert [again.at(1000 + s).longitude for s in (0, 1, 6)] == pytest.approx([0, 2, 2])


@given(st.floats(-90, 90), st.floats(-180, 180), st.floats(0, 1e7))
def test_a_made_up_walk_stays_on_earth_and_near(latitude: float, longitude: float, at_s: float) -> None:
    """The walk is the same every time, a valid position, and within 400 m away from the poles."""
    walk = made_up_walk(latitude, longitude)
    walk.at(0.0)
    here = walk.at(at_s)
    again = made_up_walk(latitude, longitude)
    again.at(0.0)
    assert here == again.at(at_s)
    assert abs(here.latitude) <= 90
    assert abs(here.longitude) <= 180
    if abs(latitude) < 80:
        assert distance_m(TrackPoint(latitude, longitude), TrackPoint(here.latitude, here.longitude)) < 400


@pytest.mark.parametrize("name", ["around-visnjan-with-car.gpx", "cerknicko-jezero.gpx", "korita-zbevnica.gpx"])
def test_real_tracks_read_as_gpxpy_reads_them(name: str) -> None:
    """Three real tracks hold the points and times that gpxpy finds in them."""
    gpxpy = pytest.importorskip("gpxpy")
    path = shared("gpx") / name
    theirs = [
        [(p.latitude, p.longitude, p.time.timestamp() if p.time else None) for p in segment.points]
        for track in gpxpy.parse(path.read_text()).tracks
        for segment in track.segments
        if segment.points
    ]
    ours = [[(p.latitude, p.longitude, p.time_s) for p in segment] for segment in parse_gpx(path.read_bytes())]
    assert ours == theirs
    location = open_location(f"gpx:{path}?speed=10")
    start, later = location.at(0.0), location.at(60.0)
    assert start != later
