"""What the stream itself tells of device and workers, held against what its way was expected to take."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final

from edge.link import LinkSeen
from headwater.clock import Stage
from planning.live import Seen, Smoothed, smoothed
from planning.ways import Way

TELLING_S: Final = 2e-4
"""What is expected to take less says more of the clock's ticks than of the machine."""
MOST: Final = 1e4
KNOWN_WORKERS: Final = 256
"""So many pairs of worker and split are remembered."""
DEVICE_STAGES: Final[tuple[Stage, ...]] = ("crop", "head", "encode")
WORKER_STAGES: Final[tuple[Stage, ...]] = ("decode", "tail")
WAITING_STAGES: Final[tuple[Stage, ...]] = ("inbox", "batch")
Stages = Mapping[Stage, int]


class Observed:
    """Smoothed slowdowns of device and worker. Each value is written by one thread and may be read by any."""

    def __init__(self, ways: Sequence[Way], clock_hz: float | None) -> None:
        """Take the ways as they were measured, and at which clock."""
        self._ways = {(way.split, way.codec): way for way in ways}
        self._measured_hz, self._clock_hz = clock_hz, clock_hz
        self._load: Smoothed | None = None
        self._worker_slowdown: Smoothed | None = None
        self._worker_wait_s: Smoothed | None = None
        self._warm: OrderedDict[tuple[str, str], None] = OrderedDict()

    @property
    def clock_hz(self) -> float | None:
        """Return the device's clock when it last computed."""
        return self._clock_hz

    def computed(
        self, split: str, codec: str, at_exit: str | None, stages_ns: Stages, clock_hz: float | None, now_s: float
    ) -> None:
        """Take the device's own times of a frame, and its clock just then."""
        way = self._ways.get((split, codec))
        if way is None:
            return
        self._clock_hz = clock_hz
        ratio = _ratio(_seconds(stages_ns, DEVICE_STAGES), device_s(way, at_exit))
        if ratio is not None:
            self._load = smoothed(self._load, ratio / self._clock_slowdown(), now_s)

    def answered(self, worker: str, split: str, codec: str, stages_ns: Stages, now_s: float) -> None:
        """Take a worker's times of a frame that it has finished; its first of a split includes loading the model."""
        way = self._ways.get((split, codec))
        if way is None or way.finishes or self._is_first(worker, split):
            return
        self._worker_wait_s = smoothed(self._worker_wait_s, _seconds(stages_ns, WAITING_STAGES), now_s)
        ratio = _ratio(_seconds(stages_ns, WORKER_STAGES), way.decode_s + way.tail_s)
        if ratio is not None:
            self._worker_slowdown = smoothed(self._worker_slowdown, ratio, now_s)

    def _is_first(self, worker: str, split: str) -> bool:
        known = (worker, split) in self._warm
        self._warm[worker, split] = None
        self._warm.move_to_end((worker, split))
        if len(self._warm) > KNOWN_WORKERS:
            self._warm.popitem(last=False)
        return not known

    def seen(self, link: LinkSeen, frames_per_s: float) -> Seen:
        """Return everything that was measured lately; the device as loaded as it was, at its clock of now."""
        load, clock = self._load, self._clock_slowdown()
        device = None if load is None else Smoothed(load.mean * clock, load.variance * clock**2, load.at_s)
        return Seen(
            s_per_bit=link.s_per_bit,
            round_trip_s=link.round_trip_s,
            device_slowdown=device,
            worker_slowdown=self._worker_slowdown,
            worker_wait_s=self._worker_wait_s,
            frames_per_s=frames_per_s,
            link_lost_s=link.silent_s,
        )

    def _clock_slowdown(self) -> float:
        if not self._measured_hz or not self._clock_hz:
            return 1.0
        return self._measured_hz / self._clock_hz


def device_s(way: Way, at_exit: str | None) -> float:
    """Return how long the device was measured to compute for a frame that leaves at an exit, or at none."""
    left = next((found.after_s for found in way.exits if found.name == at_exit), None)
    return way.crop_s + (way.head_s if left is None else left) + way.encode_s


def _seconds(stages_ns: Stages, names: Sequence[Stage]) -> float:
    return sum(stages_ns.get(name, 0) for name in names) / 1e9


def _ratio(took_s: float, expected_s: float) -> float | None:
    """Return how many times longer it took; None where it is too short to tell."""
    if expected_s < TELLING_S or not math.isfinite(took_s) or took_s <= 0:
        return None
    return min(MOST, max(1 / MOST, took_s / expected_s))
