"""gpsd's reports: what a line says, how long it holds, and lines that are not gpsd's."""

import json
import socket
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.backoff import backoff_s
from edge.location.gpsd import MAX_LINE_BYTES, Fix, Gpsd, NoFix, fresh, lines, read_report
from headwater.messages import Position

TPV = {
    "class": "TPV",
    "device": "/dev/pts/1",
    "mode": 3,
    "lat": 48.1,
    "lon": 11.5,
    "eph": 7.5,
    "epx": 4.0,
    "speed": 0.1,
}


def report(**changes: object) -> bytes:
    """Return one line of gpsd with some fields changed."""
    return json.dumps({key: value for key, value in {**TPV, **changes}.items() if value is not None}).encode()


def test_a_fix_is_a_position_with_its_error() -> None:
    """A TPV of mode 2 or 3 is a position; eph is its accuracy."""
    assert read_report(report()) == Position(48.1, 11.5, "gpsd", 7.5)
    assert read_report(report(mode=2, eph=None, epy=6)) == Position(48.1, 11.5, "gpsd", 6)
    assert read_report(report(eph=None, epx=None)) == Position(48.1, 11.5, "gpsd", None)


@pytest.mark.parametrize("changes", [{"mode": 1}, {"mode": 0}, {"lat": None}, {"lon": 181}, {"lat": -90.5}])
def test_a_report_without_a_place_is_no_fix(changes: dict[str, object]) -> None:
    """A receiver that does not know, or that says nonsense, has no fix."""
    assert isinstance(read_report(report(**changes)), NoFix)


@pytest.mark.parametrize(
    "line",
    [b"", b"[]", b'{"class":"SKY"}', b'{"class":"TPV","mode":"3"}', b"[" * 60_000, b"{\xff", b'{"lat":' + b"9" * 5000],
)
def test_other_and_damaged_lines_say_nothing(line: bytes) -> None:
    """What is no position report is ignored."""
    assert read_report(line) is None


@given(st.binary(max_size=200) | st.integers(0, 100).map(lambda n: report()[:n]))
def test_any_line_is_a_position_no_fix_or_nothing(line: bytes) -> None:
    """Hostile lines raise nothing."""
    assert read_report(line) is None or isinstance(read_report(line), Position | NoFix)


def test_an_old_fix_is_none() -> None:
    """A fix holds for the age given and no longer."""
    fix = Fix(Position(1, 2, "gpsd"), heard_s=100)
    assert fresh(fix, 110, 10) == fix.position
    assert fresh(fix, 110.1, 10) is None
    assert fresh(None, 0, 10) is None


def test_an_endless_line_is_given_up() -> None:
    """More bytes without an end of line than gpsd ever sends end the connection, in bounded memory."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        writer = threading.Thread(target=theirs.sendall, args=(b"one\ntwo\n" + b"x" * (MAX_LINE_BYTES + 8192),))
        writer.start()
        found = lines(ours)
        assert [next(found), next(found)] == [b"one", b"two"]
        with pytest.raises(OSError, match="is this gpsd"):
            next(found)
        writer.join()


def test_the_wait_doubles_up_to_its_bound() -> None:
    """Attempts come after 0.5, 1, 2 … 30 s, also after a very long outage."""
    assert [backoff_s(n) for n in (0, 1, 2, 5, 6, 10_000)] == [0.5, 1, 2, 16, 30, 30]


def test_a_receiver_that_is_away_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """Without gpsd there is no position, one warning, and close returns at once."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    location = Gpsd("127.0.0.1", port)
    deadline_s = time.monotonic() + 5
    while not caplog.records and time.monotonic() < deadline_s:
        time.sleep(0.01)
    assert location.at(time.monotonic()) is None
    location.close()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "gpsd away" in caplog.text
    assert time.monotonic() < deadline_s
