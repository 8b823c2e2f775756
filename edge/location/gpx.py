"""GPX files: the points of their tracks, whatever the file holds."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from xml.parsers import expat

from edge.location.place import on_earth
from edge.location.track import TrackPoint
from headwater.errors import LocationError

MAX_FILE_BYTES = 32 * 1024 * 1024
MAX_POINTS = 500_000
_LONGEST_TIME = 64


def read_gpx(path: Path) -> list[list[TrackPoint]]:
    """Return the track segments (or, without tracks, the routes) of a GPX file. Raises: LocationError."""
    try:
        size_bytes = path.stat().st_size
        if size_bytes > MAX_FILE_BYTES:
            raise LocationError(
                f"GPX file {path}: {size_bytes} B is over the limit of {MAX_FILE_BYTES} B; cut the track into pieces"
            )
        data = path.read_bytes()
    except OSError as error:
        raise LocationError(f"GPX file {path}: cannot be read ({error.strerror}); give a file of yours") from None
    try:
        return parse_gpx(data)
    except LocationError as error:
        raise LocationError(f"GPX file {path}: {error}") from None


def parse_gpx(data: bytes) -> list[list[TrackPoint]]:
    """Return the track segments (or, without tracks, the routes) in the bytes of a GPX file.

    Points without a place on Earth are left out. A document type is refused before anything in it takes effect, so
    no entity is ever expanded. Raises: LocationError, and nothing else.
    """
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = reader.refuse_doctype
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise LocationError(f"is not XML ({error}); export the track as GPX again") from None
    except (ValueError, LookupError) as error:  # an encoding that Python does not know, or not for single bytes
        raise LocationError(f"has an encoding that cannot be read ({error}); save it as UTF-8") from None
    found = [segment for segment in reader.tracks or reader.routes if segment]
    if not found:
        raise LocationError("has no track points; expected <trkpt lat=… lon=…> or <rtept …>, export a track as GPX")
    return found


class _Reader:
    """Collects points from the events of an XML parser; knows nothing of nesting beyond what GPX needs."""

    def __init__(self) -> None:
        self.tracks: list[list[TrackPoint]] = []
        self.routes: list[list[TrackPoint]] = []
        self._point: tuple[float, float] | None = None
        self._time = ""
        self._in_time = False
        self._count = 0
        self._depth = 0
        self._point_depth = 0

    def refuse_doctype(self, *_: object) -> None:
        raise LocationError("has a document type (<!DOCTYPE …>), which GPX never needs; remove it")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        local = _local(name)
        if local in {"trkseg", "rte"}:
            segments = self.tracks if local == "trkseg" else self.routes
            if not segments or segments[-1]:  # millions of empty ones take no memory
                segments.append([])
        elif local in {"trkpt", "rtept"}:
            self._point, self._point_depth = _degrees(attributes), self._depth
        elif local == "time" and self._point and self._depth == self._point_depth + 1:
            self._in_time = True

    def text(self, text: str) -> None:
        if self._in_time and len(self._time) < _LONGEST_TIME:
            self._time += text

    def end(self, name: str) -> None:
        self._depth -= 1
        self._in_time = False
        local = _local(name)
        if local not in {"trkpt", "rtept"} or self._point is None:
            return
        segments = self.tracks if local == "trkpt" else self.routes
        if not segments:
            segments.append([])
        segments[-1].append(TrackPoint(*self._point, _unix_s(self._time)))
        self._point, self._time = None, ""
        self._count += 1
        if self._count > MAX_POINTS:
            raise LocationError(f"has more than {MAX_POINTS} points; cut the track into pieces")


def _local(name: str) -> str:
    return name.rpartition(" ")[2]


_NUMBER = re.compile(r"\s*[+-]?(\d{1,3}(\.\d{0,30})?|\.\d{1,30})([eE][+-]?\d{1,3})?\s*", re.ASCII)


def _degrees(attributes: dict[str, str]) -> tuple[float, float] | None:
    latitude, longitude = attributes.get("lat", ""), attributes.get("lon", "")
    if not (_NUMBER.fullmatch(latitude) and _NUMBER.fullmatch(longitude)):
        return None
    degrees = float(latitude), float(longitude)
    return degrees if on_earth(*degrees) else None


def _unix_s(text: str) -> float | None:
    """Return the seconds since 1970 of an ISO 8601 time (without zone: UTC, as GPX says), or None."""
    try:
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
