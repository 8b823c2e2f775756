"""From what the user writes to a source of positions."""

from __future__ import annotations

import math
import re
from pathlib import Path
from urllib.parse import parse_qsl

from edge.location.gpsd import MAX_AGE_S, PORT, Gpsd
from edge.location.gpx import read_gpx
from edge.location.place import Fixed, Location, Unknown, on_earth
from edge.location.track import WALKING_M_PER_S, Replay, made_up_walk, timed
from headwater.errors import LocationError
from headwater.messages import Position

EXPECTED = (
    "exif, gpx:FILE, gpx:FILE?speed=10&loop=yes, gpsd, gpsd:HOST:PORT, LATITUDE,LONGITUDE such as 48.137,11.575, "
    "or walk:LATITUDE,LONGITUDE"
)
_NUMBER = re.compile(r"[+-]?(\d{1,8}(\.\d{0,20})?|\.\d{1,20})", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}|\[[0-9a-fA-F:.%a-z]{2,60}\]", re.ASCII)


def open_location(address: str | None) -> Location:
    """Return the source of positions that `address` names; None and `exif` give only what pictures carry.

    `gpx:FILE` replays a track, `gpsd` and `gpsd:HOST:PORT` follow a receiver, `LATITUDE,LONGITUDE` stands still,
    `walk:LATITUDE,LONGITUDE` makes up a walk. Options after `?`: see docs/sources.md. Raises: LocationError.
    """
    if address is None or address.strip() in {"", "exif"}:
        return Unknown()
    kind, _, rest = address.strip().partition(":")
    if kind == "gpx":
        return _track(rest)
    if kind == "gpsd":
        return _receiver(rest)
    if kind == "walk":
        where, options = _options(rest, {"speed"})
        latitude, longitude = _degrees(where, address)
        return made_up_walk(latitude, longitude, speed=_positive(options, "speed", 1.0))
    return Fixed(Position(*_degrees(address.strip(), address), "fixed"))


def _track(rest: str) -> Replay:
    name, options = _options(rest, {"speed", "loop", "pace"})
    segments = read_gpx(Path(name).expanduser())
    pace_m_per_s = _positive(options, "pace", WALKING_M_PER_S)
    loop = options.get("loop", "no")
    if loop not in {"yes", "no"}:
        raise LocationError(f"position {rest!r}: loop is {loop!r}, expected yes or no")
    return Replay(timed(segments, pace_m_per_s), "gpx", speed=_positive(options, "speed", 1.0), loop=loop == "yes")


def _receiver(rest: str) -> Gpsd:
    where, options = _options(rest, {"max_age"})
    host, colon, port = where.rpartition(":") if not where.endswith("]") else (where, "", "")
    if not colon:
        host, port = host or port, str(PORT)
    host = host or "127.0.0.1"
    if (
        not _HOST.fullmatch(host)
        or host.isdigit()
        or not re.fullmatch(r"\d{1,5}", port, re.ASCII)
        or not 0 < int(port) < 65_536
    ):
        raise LocationError(f"position gpsd:{rest}: got {where!r}, expected gpsd, gpsd:HOST or gpsd:HOST:PORT")
    return Gpsd(host.strip("[]"), int(port), _positive(options, "max_age", MAX_AGE_S))


def _options(text: str, known: set[str]) -> tuple[str, dict[str, str]]:
    """Return what stands before `?`, and the options after it. Raises: LocationError for one that is not known."""
    before, mark, after = text.partition("?")
    options = dict(parse_qsl(after, keep_blank_values=True))
    unknown = sorted(set(options) - known)
    if unknown or (mark and not options):
        raise LocationError(
            f"position option {(unknown or [after])[0]!r} is unknown; expected {', '.join(sorted(known))}"
        )
    return before, options


def _positive(options: dict[str, str], name: str, default: float) -> float:
    text = options.get(name)
    if text is None:
        return default
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not value > 0:
        raise LocationError(f"position option {name}: got {text!r}, expected a number over 0, such as 10")
    return value


def _degrees(text: str, address: str) -> tuple[float, float]:
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 2 or not all(_NUMBER.fullmatch(part) for part in parts):
        raise LocationError(f"position {address!r} is not one; expected {EXPECTED}")
    latitude, longitude = float(parts[0]), float(parts[1])
    if not on_earth(latitude, longitude):
        raise LocationError(
            f"position {address!r}: expected a latitude within -90..90 and then a longitude within -180..180"
        )
    return latitude, longitude
