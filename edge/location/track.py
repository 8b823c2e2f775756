"""A track: places with the seconds at which they are reached, and the place in between."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from headwater.messages import Position

EARTH_RADIUS_M = 6_371_008.8
"""Mean radius of the Earth. Source: IUGG, R1 of GRS 80."""
WALKING_M_PER_S = 1.4
"""A person's usual pace. Source: Bohannon 1997, comfortable gait speed of adults, 1.27 to 1.46 m/s."""


@dataclass(frozen=True)
class TrackPoint:
    """One place of a track in degrees, and the time at which it was recorded, if it was."""

    latitude: float
    longitude: float
    time_s: float | None = None


@dataclass(frozen=True)
class Waypoint:
    """One place of a track and the seconds from the track's start at which it is reached."""

    elapsed_s: float
    latitude: float
    longitude: float


def distance_m(a: TrackPoint, b: TrackPoint) -> float:
    """Return the great-circle distance. Source: haversine formula, Sinnott 1984."""
    north = math.radians(b.latitude - a.latitude)
    east = math.radians(b.longitude - a.longitude)
    lengths = math.cos(math.radians(a.latitude)) * math.cos(math.radians(b.latitude))
    half_chord = math.sin(north / 2) ** 2 + lengths * math.sin(east / 2) ** 2
    return 2 * EARTH_RADIUS_M * math.asin(min(1.0, math.sqrt(half_chord)))


def timed(segments: Iterable[Sequence[TrackPoint]], pace_m_per_s: float = WALKING_M_PER_S) -> list[Waypoint]:
    """Return the segments as one walk that begins at 0 s; the pause between two segments is left out.

    A segment whose points all have times is walked as it was recorded (a clock set back counts as standing still),
    any other one at `pace_m_per_s`.
    """
    walk: list[Waypoint] = []
    for points in segments:
        begin_s = walk[-1].elapsed_s if walk else 0.0
        walk += [
            Waypoint(begin_s + passed_s, point.latitude, point.longitude)
            for point, passed_s in zip(points, _passed_s(points, pace_m_per_s), strict=True)
        ]
    return walk


def _passed_s(points: Sequence[TrackPoint], pace_m_per_s: float) -> list[float]:
    recorded = [
        max(0.0, b.time_s - a.time_s)
        for a, b in itertools.pairwise(points)
        if a.time_s is not None and b.time_s is not None
    ]
    if len(recorded) != len(points) - 1 or sum(recorded) == 0:
        recorded = [distance_m(a, b) / pace_m_per_s for a, b in itertools.pairwise(points)]
    return list(itertools.accumulate(recorded, initial=0.0)) if points else []


def along(walk: Sequence[Waypoint], elapsed_s: float) -> tuple[float, float]:
    """Return (latitude, longitude) after `elapsed_s` seconds of a walk; before and after it, its ends."""
    later = bisect.bisect_right(walk, elapsed_s, key=lambda waypoint: waypoint.elapsed_s)
    if later == 0 or later == len(walk):
        end = walk[0] if later == 0 else walk[-1]
        return end.latitude, end.longitude
    a, b = walk[later - 1], walk[later]
    share = (elapsed_s - a.elapsed_s) / (b.elapsed_s - a.elapsed_s)
    east = (b.longitude - a.longitude + 180) % 360 - 180  # the short way, also over the date line
    return a.latitude + share * (b.latitude - a.latitude), _wrapped(a.longitude + share * east)


def _wrapped(longitude: float) -> float:
    """Return the same meridian within -180..180."""
    return longitude if abs(longitude) <= 180 else (longitude + 180) % 360 - 180


class Replay:
    """A walk that starts when it is first asked; `speed` 10 goes ten times as fast, `loop` begins again at the end."""

    def __init__(self, walk: Sequence[Waypoint], source: str, *, speed: float = 1.0, loop: bool = False) -> None:
        if not walk:
            raise ValueError("a walk needs at least one place")
        self._walk, self._source, self._speed, self._loop = walk, source, speed, loop
        self._started_s: float | None = None

    def at(self, monotonic_s: float) -> Position | None:
        """Return the place reached at that time."""
        if self._started_s is None:
            self._started_s = monotonic_s
        elapsed_s = (monotonic_s - self._started_s) * self._speed
        if self._loop and self._walk[-1].elapsed_s > 0:
            elapsed_s %= self._walk[-1].elapsed_s
        latitude, longitude = along(self._walk, elapsed_s)
        return Position(latitude, longitude, self._source)

    def close(self) -> None:
        """Do nothing."""


def made_up_walk(latitude: float, longitude: float, *, speed: float = 1.0) -> Replay:
    """Return an endless walk around some blocks of streets that do not exist; its positions say `made-up`."""
    corners = [_moved(latitude, longitude, east_m, north_m) for east_m, north_m in _CORNERS_M]
    return Replay(timed([corners]), "made-up", speed=speed, loop=True)


# A closed round of 1.5 km with corners like those of a town, in metres (east, north) of the place given.
_CORNERS_M = (
    (0, 0), (120, 10), (125, 95), (240, 100), (250, -60), (170, -70), (165, -160), (40, -150), (45, -80), (-60, -85),
    (-150, -95), (-155, 40), (-80, 50), (-75, 130), (5, 125), (0, 0),
)  # fmt: skip


def _moved(latitude: float, longitude: float, east_m: float, north_m: float) -> TrackPoint:
    """Return a place some metres away, on a sphere small steps of which are flat; never beyond a pole."""
    degree_m = math.radians(1) * EARTH_RADIUS_M
    narrowing = max(0.01, math.cos(math.radians(latitude)))
    north = min(90.0, max(-90.0, latitude + north_m / degree_m))
    return TrackPoint(north, _wrapped(longitude + east_m / degree_m / narrowing))
