"""Positions from the real gpsd, fed by gpsfake with a made-up receiver's log."""

import socket
import time
from collections.abc import Iterator
from functools import reduce
from operator import xor
from pathlib import Path

import pytest

from edge.location import Location, open_location
from headwater.children import Child, start
from headwater.messages import Position
from tests.servers import eventually, need


def sentence(body: str) -> str:
    """Return an NMEA sentence with its check sum. Source: NMEA 0183, section 5.2.3."""
    return f"${body}*{reduce(xor, body.encode()):02X}\r\n"


def nmea(seconds: int, *, fix: bool = True) -> str:
    """Return the log of a receiver that walks north from 48.137 N, 11.575 E, or that looks for satellites in vain."""
    lines = []
    for second in range(seconds):
        clock, north = f"12{second // 60 % 60:02d}{second % 60:02d}.00", f"{4808.22 + second * 0.0005:.4f}"
        if fix:
            lines += [
                f"GPGGA,{clock},{north},N,01134.5000,E,1,08,0.9,519.0,M,47.0,M,,",
                "GPGSA,A,3,01,02,03,04,05,06,07,08,,,,,1.5,0.9,1.2",
                f"GPRMC,{clock},A,{north},N,01134.5000,E,001.0,000.0,211126,,,A",
            ]
        else:
            lines += ["GPGSA,A,1,,,,,,,,,,,,,,,", f"GPRMC,{clock},V,,,,,,,211126,,,N"]
    return "".join(map(sentence, lines))


class FakedGpsd:
    """gpsd with a receiver that plays a log, on a port that it keeps when it dies and comes back."""

    def __init__(self, log: Path) -> None:
        need("gpsd")
        self._program, self._log = need("gpsfake"), log
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._child: Child | None = None

    def start(self) -> None:
        """Start gpsd and its receiver."""
        command = [self._program, "-q", "-n", "-c", "0.02", "-P", str(self.port), self._log]
        self._child = start("gpsfake", command, log=self._log.with_suffix(".err"), lines=False)

    def kill(self) -> None:
        """End both without any goodbye."""
        if self._child is not None:
            self._child.kill()


@pytest.fixture
def gpsd(tmp_path: Path) -> Iterator[FakedGpsd]:
    """A gpsd that is not started yet."""
    daemon = FakedGpsd(tmp_path / "walk.nmea")
    yield daemon
    daemon.kill()


def now(location: Location) -> Position | None:
    """Return the position at this moment."""
    return location.at(time.monotonic())


def test_the_receivers_position_is_followed(gpsd: FakedGpsd) -> None:
    """Fixes come with their estimated error and follow the walk; gpsd may start after the device."""
    gpsd._log.write_text(nmea(3000))
    location = open_location(f"gpsd:127.0.0.1:{gpsd.port}")
    assert now(location) is None
    gpsd.start()
    first = eventually(lambda: now(location), 40.0)
    assert first is not None
    assert (first.source, first.latitude, first.longitude) == (
        "gpsd",
        pytest.approx(48.137, abs=0.03),
        pytest.approx(11.575),
    )
    assert eventually(lambda: (now(location) or first).latitude > first.latitude, 20.0)
    assert eventually(lambda: (now(location) or first).accuracy_m, 20.0)
    location.close()


def test_a_lost_gpsd_is_no_position_and_comes_back(gpsd: FakedGpsd, caplog: pytest.LogCaptureFixture) -> None:
    """When gpsd dies the last fix grows old and becomes None; when it is back, so are the fixes."""
    caplog.set_level("INFO")
    gpsd._log.write_text(nmea(3000))
    gpsd.start()
    location = open_location(f"gpsd:127.0.0.1:{gpsd.port}?max_age=1")
    assert eventually(lambda: now(location), 40.0)
    gpsd.kill()
    assert eventually(lambda: now(location) is None, 20.0)
    gpsd.start()
    assert eventually(lambda: now(location), 60.0)
    location.close()
    events = [record.getMessage().split(" address=")[0] for record in caplog.records if "gpsd" in record.name]
    assert events[-3:] == ["gpsd reports", "gpsd away", "gpsd reports"]


def test_a_receiver_without_a_fix_has_no_position(gpsd: FakedGpsd) -> None:
    """A receiver that sees no satellites is None, and no error."""
    gpsd._log.write_text(nmea(3000, fix=False))
    gpsd.start()
    location = open_location(f"gpsd:127.0.0.1:{gpsd.port}")
    assert eventually(lambda: getattr(location, "heard", False), 40.0)
    assert now(location) is None
    location.close()
