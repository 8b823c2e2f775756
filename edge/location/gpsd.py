"""gpsd: the position of the receiver that this daemon watches, over its JSON protocol.

Source: gpsd_json(5), the manual page of gpsd's JSON protocol.
"""

from __future__ import annotations

import logging
import math
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from edge.backoff import backoff_s
from edge.location.place import on_earth
from headwater.logs import event
from headwater.messages import Position

log = logging.getLogger(__name__)

PORT: Final = 2947
MAX_AGE_S: Final = 10.0
"""A fix older than this is no position: a receiver reports every second, and a car is 300 m away after ten."""
MAX_LINE_BYTES: Final = 65_536
"""gpsd keeps its own answers under 10 KB (GPS_JSON_RESPONSE_MAX); what is longer is not gpsd."""
SILENCE_S: Final = 30.0
"""A connection without a line for this long is given up: gpsd reports every second, and a dead host says nothing."""
_CONNECT_S: Final = 5.0
_WATCH: Final = b'?WATCH={"enable":true,"json":true};\n'


class _Report(msgspec.Struct):
    """The few fields of gpsd's reports that matter; whatever else a report holds is ignored."""

    kind: str = msgspec.field(name="class", default="")
    mode: int = 0
    lat: float | None = None
    lon: float | None = None
    eph: float | None = None
    epx: float | None = None
    epy: float | None = None


_decoder = msgspec.json.Decoder(_Report)


class NoFix:
    """A report in which the receiver says that it does not know where it is."""


def read_report(line: bytes) -> Position | NoFix | None:
    """Return what one line of gpsd says: a position, NoFix, or None for lines about something else or damaged ones."""
    try:
        report = _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if report.kind != "TPV":
        return None
    if report.mode < 2 or report.lat is None or report.lon is None or not on_earth(report.lat, report.lon):
        return NoFix()
    return Position(report.lat, report.lon, "gpsd", _accuracy_m(report))


def _accuracy_m(report: _Report) -> float | None:
    """Return the estimated horizontal error: gpsd's own, else that of the worse axis."""
    known = [report.eph] if report.eph is not None else [m for m in (report.epx, report.epy) if m is not None]
    return max(known) if known and all(math.isfinite(m) and m >= 0 for m in known) else None


@dataclass(frozen=True)
class Fix:
    """A position and the time of the monotonic clock at which it was heard of."""

    position: Position
    heard_s: float


def fresh(fix: Fix | None, now_s: float, max_age_s: float) -> Position | None:
    """Return the position of a fix that is not older than `max_age_s`, else None."""
    return fix.position if fix is not None and now_s - fix.heard_s <= max_age_s else None


class Gpsd:
    """The last position that gpsd reported. Connects in a thread of its own, again and again; never raises."""

    def __init__(self, host: str = "127.0.0.1", port: int = PORT, max_age_s: float = MAX_AGE_S) -> None:
        self._host, self._port, self._max_age_s = host, port, max_age_s
        self._fix: Fix | None = None
        self._stop = threading.Event()
        self._socket: socket.socket | None = None
        self._failures = 0
        self.heard = False  # whether a receiver has reported at all, with a fix or without
        self._thread = threading.Thread(target=self._run, name="gpsd", daemon=True)
        self._thread.start()

    def at(self, monotonic_s: float) -> Position | None:
        """Return the last position reported, or None when there was none lately."""
        return fresh(self._fix, monotonic_s, self._max_age_s)

    def close(self) -> None:
        """Leave gpsd and end the thread."""
        self._stop.set()
        connection = self._socket
        if connection is not None:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                log.debug("gpsd connection was already gone")
        self._thread.join(_CONNECT_S + 1)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with socket.create_connection((self._host, self._port), _CONNECT_S) as connection:
                    self._socket = connection
                    self._listen(connection)
                    reason = "it closed the connection"
            except OSError as error:
                reason = str(error)
            self._socket = None
            if not self._stop.is_set() and self._failures == 0:
                log.warning(event("gpsd away", address=f"{self._host}:{self._port}", reason=reason))
            self._stop.wait(backoff_s(self._failures))
            self._failures += 1

    def _listen(self, connection: socket.socket) -> None:
        connection.settimeout(SILENCE_S)
        connection.sendall(_WATCH)
        for line in lines(connection):
            if self._stop.is_set():
                return
            report = read_report(line)
            if report is None:
                continue
            if self._failures or not self.heard:
                log.info(event("gpsd reports", address=f"{self._host}:{self._port}"))
            self._failures, self.heard = 0, True
            self._fix = Fix(report, time.monotonic()) if isinstance(report, Position) else None


def lines(connection: socket.socket) -> Iterator[bytes]:
    """Yield the lines that come over a connection until it ends. Raises: OSError, also for an endless line."""
    held = bytearray()
    while chunk := connection.recv(8192):
        held += chunk
        *whole, rest = held.split(b"\n")
        yield from map(bytes, whole)
        held = bytearray(rest)
        if len(held) > MAX_LINE_BYTES:
            raise OSError(f"line of over {MAX_LINE_BYTES} B, which gpsd never sends; is this gpsd?")
