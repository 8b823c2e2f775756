"""What the stream itself tells of device and workers, held against what its way was expected to take."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from edge.link import LinkSeen
from headwater.clock import Stage
from headwater.messages import Result
from planning.live import Seen, Smoothed, smoothed
from planning.ways import Way

TELLING_S: Final = 2e-4
"""What is expected to take less says more of the clock's ticks than of the machine."""
MOST: Final = 1e4
TELLING_SHARE: Final = 0.2
"""Work of less than this share of the largest says little of how fast a worker, or the device, does the rest."""
LOADS: Final = 3.0
"""A worker's first answer of a split that took so many times longer than usual tells of loading the model."""
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
        self._measured_hz = clock_hz
        self._clock_hz: Smoothed | None = None
        self._refused_s: float | None = None
        self._loaded_ns = 0
        self._largest_tail_s = max((way.decode_s + way.tail_s for way in ways), default=0.0)
        self._largest_head_s = max((way.crop_s + way.head_s + way.encode_s for way in ways), default=0.0)
        self._sizes: dict[tuple[str, str], tuple[Smoothed | None, int]] = {}
        self._load: Smoothed | None = None
        self._worker_slowdown: Smoothed | None = None
        self._worker_wait_s: Smoothed | None = None
        self._warm: OrderedDict[tuple[str, str], None] = OrderedDict()

    @property
    def clock_hz(self) -> float | None:
        """Return the device's clock of late, when it had computed."""
        return None if self._clock_hz is None else self._clock_hz.mean

    def computed(
        self, split: str, codec: str, at_exit: str | None, stages_ns: Stages, clock_hz: float | None, now_s: float
    ) -> None:
        """Take the device's own times of a frame, and its clock just then."""
        way = self._ways.get((split, codec))
        expected_s = None if way is None else device_s(way, at_exit)
        if clock_hz is not None:
            self._clock_hz = smoothed(self._clock_hz, clock_hz, now_s)
        ratio = None if expected_s is None else _ratio(_seconds(stages_ns, DEVICE_STAGES), expected_s)
        is_telling = expected_s is not None and expected_s >= TELLING_SHARE * self._largest_head_s
        if ratio is not None and (is_telling or self._load is None):
            self._load = smoothed(self._load, ratio / self._clock_slowdown(), now_s)

    def answered(self, split: str, codec: str, result: Result, at_ns: int, now_s: float) -> None:
        """Take what a worker says of a frame that was not finished here: its times, or that it refuses it.

        `at_ns` is when that came, by the clock that has stamped the frame's sending.
        """
        if result.refused is not None:
            self._refused_s = now_s if self._refused_s is None else self._refused_s
            return
        self._refused_s = None
        way = self._ways.get((split, codec))
        if way is None or way.finishes:
            return
        ratio = _ratio(_seconds(result.stages_ns, WORKER_STAGES), way.decode_s + way.tail_s)
        if self._is_first(result.worker, split) and ratio is not None and ratio > LOADS * self._usual():
            self._loaded_ns = at_ns
        if result.sent_ns < self._loaded_ns:
            return  # it waited while the model was loaded
        self._worker_wait_s = smoothed(self._worker_wait_s, _seconds(result.stages_ns, WAITING_STAGES), now_s)
        if ratio is not None and way.decode_s + way.tail_s >= TELLING_SHARE * self._largest_tail_s:
            self._worker_slowdown = smoothed(self._worker_slowdown, ratio, now_s)

    def sized(self, split: str, codec: str, message_bytes: int, now_s: float) -> None:
        """Take how long the message of a frame that is not finished here is."""
        if (split, codec) in self._ways:
            mean, largest = self._sizes.get((split, codec), (None, 0))
            self._sizes[split, codec] = smoothed(mean, message_bytes, now_s), max(largest, message_bytes)

    def ways(self, measured: Sequence[Way]) -> tuple[Way, ...]:
        """Return the ways as they were measured, with messages as long as they were of late."""
        return tuple(self._resized(way, *self._sizes.get((way.split, way.codec), (None, 0))) for way in measured)

    @staticmethod
    def _resized(way: Way, mean: Smoothed | None, largest: int) -> Way:
        if mean is None:
            return way
        return replace(way, payload_bytes=mean.mean, largest_bytes=max(way.largest_bytes, largest))

    def _usual(self) -> float:
        return 1.0 if self._worker_slowdown is None else max(1.0, self._worker_slowdown.mean)

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
            refused_s=self._refused_s,
            link_lost_s=link.silent_s,
        )

    def _clock_slowdown(self) -> float:
        if not self._measured_hz or not self._clock_hz:
            return 1.0
        return self._measured_hz / self._clock_hz.mean


def device_s(way: Way, at_exit: str | None) -> float | None:
    """Return how long the device was measured to compute for a frame that leaves at an exit, or at none.

    None for an exit that was not measured: nobody knew how many leave there.
    """
    if at_exit is None:
        return way.crop_s + way.head_s + way.encode_s
    return next((way.crop_s + found.after_s for found in way.exits if found.name == at_exit), None)


def _seconds(stages_ns: Stages, names: Sequence[Stage]) -> float:
    return sum(stages_ns.get(name, 0) for name in names) / 1e9


def _ratio(took_s: float, expected_s: float) -> float | None:
    """Return how many times longer it took; None where it is too short to tell."""
    if expected_s < TELLING_S or not math.isfinite(took_s) or took_s <= 0:
        return None
    return min(MOST, max(1 / MOST, took_s / expected_s))
