"""What became of a fleet's frames lately: how long they took, and which worker answered them.

Taken from the journeys that devices report and the results that workers send; of workers nothing else is on the broker.
However much comes, what is kept is bounded.
"""

from __future__ import annotations

import threading
import time
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from headwater.messages import Journey, Result, StoredJourney
from visualizer.devices import MOST_DEVICES

KEPT: Final = 128
"""So many frames of a device, or of a worker, the percentiles speak of."""
SPAN_S: Final = 10
"""A worker's rate and its like are those of so many seconds, and of the one that runs."""
FORGET_S: Final = 60.0
"""A worker that has answered nothing for so long is no longer listed: it has no other way to be known."""
MOST_WORKERS: Final = 1000
LONGEST_NAME: Final = 64


@dataclass(frozen=True)
class Spread:
    """Half of the values, and 95 of 100, are no larger than this."""

    p50: float
    p95: float


@dataclass(frozen=True)
class WorkerFigures:
    """A worker by the results that it sent in the last seconds."""

    name: str
    frames_per_s: float
    """Answered."""
    wait_p50_ms: float | None
    """How long frames waited in it: in its inbox, and for others of their batch."""
    wait_p95_ms: float | None
    busy: float
    """The share of the time in which it decoded, computed and stored."""
    batch: float | None
    """How many frames it stored together, on average."""
    refused: int
    """Since this began to listen."""


class Ring:
    """The last values, at most KEPT."""

    __slots__ = ("_next", "_values")

    def __init__(self) -> None:
        self._values, self._next = array("f"), 0

    def add(self, value: float) -> None:
        """Take a value, for the oldest where there is no room."""
        if len(self._values) < KEPT:
            self._values.append(value)
        else:
            self._values[self._next] = value
            self._next = (self._next + 1) % KEPT

    def spread(self) -> Spread | None:
        """Return how the values lie, None where there are none."""
        ordered = sorted(self._values)
        return Spread(quantile(ordered, 0.5), quantile(ordered, 0.95)) if ordered else None


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return what that share of at least one sorted value does not exceed.

    Source: Hyndman and Fan 1996, definition 7, as the site's percentiles.
    """
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


@dataclass
class _Second:
    """What a worker answered in one second."""

    at_s: int
    frames: int = 0
    batches: int = 0
    work_ns: int = 0


class _Worker:
    """The last seconds of one worker."""

    def __init__(self) -> None:
        self.heard_s, self.refused = 0.0, 0
        self._seconds: deque[_Second] = deque(maxlen=SPAN_S + 1)
        self._waits = Ring()
        self._call: tuple[int, int] | None = None
        """When the last frame was stored, and how long its tail took: the same of all frames that one call computed."""

    def take(self, result: Result, now_s: float) -> None:
        """Take one of its results in."""
        self.heard_s = now_s
        if result.refused is not None:
            self.refused += 1
            return
        second, stages = self._second(int(now_s)), result.stages_ns
        second.frames += 1
        second.work_ns += stages.get("decode", 0)
        self._waits.add((stages.get("inbox", 0) + stages.get("batch", 0)) / 1e6)
        settled_ns = result.received_ns + sum(stages.values())  # the end of its last stage: stored, as its whole batch
        last, self._call = self._call, (settled_ns, stages.get("tail", 0))
        if last != self._call:
            second.work_ns += stages.get("tail", 0)
        if last is None or last[0] != settled_ns:
            second.batches += 1
            second.work_ns += stages.get("store", 0)

    def _second(self, at_s: int) -> _Second:
        if not self._seconds or self._seconds[-1].at_s != at_s:
            self._seconds.append(_Second(at_s))
        return self._seconds[-1]

    def figures(self, name: str, began_s: float, now_s: float) -> WorkerFigures:
        """Return what it did lately; `began_s` is when this began to listen."""
        first_s = int(now_s) - SPAN_S
        lately = [second for second in self._seconds if second.at_s >= first_s]
        span_s = max(1.0, now_s - max(first_s, began_s))
        frames, batches = sum(one.frames for one in lately), sum(one.batches for one in lately)
        waits = self._waits.spread() if frames else None
        return WorkerFigures(
            name,
            frames / span_s,
            None if waits is None else waits.p50,
            None if waits is None else waits.p95,
            min(1.0, sum(one.work_ns for one in lately) / 1e9 / span_s),
            frames / batches if batches else None,
            self.refused,
        )


class Lately:
    """Keeps what devices and workers told lately; safe to use from every thread."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s, self._began_s = now_s, now_s()
        self._lock = threading.Lock()
        self._took: dict[str, Ring] = {}
        self._workers: dict[str, _Worker] = {}

    def journeys(self, device: str, journeys: Iterable[Journey | StoredJourney]) -> None:
        """Take how long frames of a device took until they were stored: all of the way but the way back."""
        with self._lock:
            if device not in self._took and (len(self._took) >= MOST_DEVICES or len(device) > LONGEST_NAME):
                return
            ring = self._took.setdefault(device, Ring())
            for journey in journeys:
                ring.add(max(0, journey.total_ns - journey.downlink_ns) / 1e6)

    def answered(self, result: Result) -> None:
        """Take a worker's answer to a frame."""
        with self._lock:
            if result.worker not in self._workers and len(self._workers) >= MOST_WORKERS:
                return
            self._workers.setdefault(result.worker, _Worker()).take(result, self._now_s())

    def took(self, device: str) -> Spread | None:
        """Return how long a device's last frames took, in milliseconds."""
        with self._lock:
            ring = self._took.get(device)
            return None if ring is None else ring.spread()

    def workers(self) -> list[WorkerFigures]:
        """Return the workers that have answered lately, by name, and forget the others."""
        with self._lock:
            now_s = self._now_s()
            self._workers = {name: one for name, one in self._workers.items() if now_s - one.heard_s <= FORGET_S}
            return [self._workers[name].figures(name, self._began_s, now_s) for name in sorted(self._workers)]
