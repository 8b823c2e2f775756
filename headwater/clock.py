"""The time of every stage, and what one clock knows of another."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, get_args

Stage = Literal[
    "capture", "crop", "head", "encode", "spool", "uplink", "inbox", "decode", "batch", "tail", "store", "downlink"
]
STAGES: Final[tuple[Stage, ...]] = get_args(Stage)
"""Left to right, as a frame walks. `capture` includes the wait for the head, `spool` the wait for the link."""

DRIFT_PPM: Final = 50.0
"""How far two quartz clocks may drift apart; the uncertainty of an offset grows by this with its age.
Source: RFC 5905 (NTP 4) takes 15 ppm for a disciplined clock; undisciplined crystals are specified at 20 to 50 ppm."""


class StageClock:
    """A clock that reads like the wall but never steps: one wall time, then only the monotonic clock."""

    def __init__(self, wall_ns: int | None = None, monotonic_ns: int | None = None) -> None:
        self._base_ns = (time.time_ns() if wall_ns is None else wall_ns) - (
            time.monotonic_ns() if monotonic_ns is None else monotonic_ns
        )

    def now_ns(self) -> int:
        """Return nanoseconds since 1970 by this clock."""
        return self._base_ns + time.monotonic_ns()


class Stopwatch:
    """Collects the durations of one frame's stages; each `lap` ends a stage and begins the next.

    By the monotonic clock, or another one in nanoseconds.
    """

    def __init__(self, stages_ns: dict[Stage, int] | None = None, clock_ns: Callable[[], int] | None = None) -> None:
        self.stages_ns: dict[Stage, int] = dict(stages_ns or {})
        self._clock_ns = clock_ns or time.monotonic_ns
        self._since_ns = self._clock_ns()

    def lap(self, stage: Stage) -> None:
        """Add the time since the last lap to `stage`."""
        now_ns = self._clock_ns()
        self.stages_ns[stage] = self.stages_ns.get(stage, 0) + now_ns - self._since_ns
        self._since_ns = now_ns


@dataclass(frozen=True)
class RoundTrip:
    """Four stamps: the device sent and, at last, received; the worker received and sent. Nanoseconds."""

    sent_ns: int
    received_ns: int
    replied_ns: int
    returned_ns: int

    @property
    def offset_ns(self) -> int:
        """Return how far the worker's clock is ahead if both ways took equal time. Source: RFC 5905, eq. 8 (theta)."""
        return ((self.received_ns - self.sent_ns) + (self.replied_ns - self.returned_ns)) // 2

    @property
    def travel_ns(self) -> int:
        """Return the time on the way, both ways together. Source: RFC 5905, eq. 8 (delta).

        Never more than passed here: a worker that says that it replied before it received took no time.
        """
        return (self.returned_ns - self.sent_ns) - max(0, self.replied_ns - self.received_ns)


@dataclass(frozen=True)
class Offset:
    """How far another clock is ahead of ours, and by how much that may be wrong. Nanoseconds."""

    offset_ns: int
    uncertainty_ns: int


class ClockOffset:
    """Estimates one worker's clock against ours from the fastest of the last round trips.

    The true offset lies within half of a round trip's travel time of its measured one, so the fastest is the surest;
    an old one loses trust by `DRIFT_PPM`. Source: RFC 5905, section 10 (clock filter).
    """

    def __init__(self, keep: int = 64) -> None:
        self._trips: deque[RoundTrip] = deque(maxlen=keep)

    def add(self, trip: RoundTrip) -> None:
        """Take one more round trip; one that no earlier one agrees with (a clock was set) forgets all before it."""
        known = self.estimate(trip.returned_ns)
        sure_ns = _uncertainty_ns(trip, trip.returned_ns)
        if known and abs(known.offset_ns - trip.offset_ns) > known.uncertainty_ns + sure_ns:
            self._trips.clear()
        if trip.travel_ns >= 0:
            self._trips.append(trip)

    def estimate(self, now_ns: int) -> Offset | None:
        """Return the surest offset at `now_ns` of our clock, or None before the first round trip."""
        if not self._trips:
            return None
        surest = min(self._trips, key=lambda trip: _uncertainty_ns(trip, now_ns))
        return Offset(surest.offset_ns, _uncertainty_ns(surest, now_ns))


def _uncertainty_ns(trip: RoundTrip, now_ns: int) -> int:
    """Return half the travel and the drift since the trip began, rounded up. Source: RFC 5905, section 8 (epsilon)."""
    age_ns = max(0, now_ns - trip.sent_ns)
    return (trip.travel_ns + 1) // 2 + math.ceil(age_ns * DRIFT_PPM / 1e6)


def one_way_ns(trip: RoundTrip, offset: Offset) -> tuple[int, int]:
    """Return (uplink, downlink) of one round trip under `offset`; they add up to its travel, neither below 0."""
    travel_ns = max(0, trip.travel_ns)
    uplink_ns = min(max(0, trip.received_ns - trip.sent_ns - offset.offset_ns), travel_ns)
    return uplink_ns, travel_ns - uplink_ns
