"""Frames of simulated devices: when each is due, what becomes of it, and how long that takes. No network, no clock."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import Final

import numpy as np

LEAST_S: Final = 1e-5
STEP: Final = 1.02
_STEPS: Final = math.ceil(math.log(1e9) / math.log(STEP))
"""Up to 10,000 s."""


class Latencies:
    """Durations, counted in steps of 2 %, so that however many there are take the same memory."""

    def __init__(self) -> None:
        self._counts = np.zeros(_STEPS, np.int64)

    def add(self, seconds: float) -> None:
        """Count one."""
        step = int(math.log(max(seconds, LEAST_S) / LEAST_S) / math.log(STEP))
        self._counts[min(step, _STEPS - 1)] += 1

    @property
    def count(self) -> int:
        """Return how many there are."""
        return int(self._counts.sum())

    def percentile_s(self, percent: float) -> float:
        """Return what so many per cent do not exceed, within 1 %; NaN of none."""
        if not self.count:
            return math.nan
        wanted = max(1, math.ceil(self.count * percent / 100))
        step = int(np.searchsorted(np.cumsum(self._counts), wanted))
        return LEAST_S * float(STEP ** (step + 0.5))


class Schedule:
    """When which device takes which picture: at a fixed pace with a phase of its own, or as fast as can be."""

    def __init__(self, devices: int, rate: float | None = None, seed: int = 1) -> None:
        """Take the pictures a second of each device; None: as fast as answers come."""
        self.devices, self.rate = devices, rate
        self._phases = sorted(np.random.default_rng(seed).random(devices).tolist())

    def due_s(self, number: int) -> float:
        """Return when the picture of this number, counted over all devices, is due, in seconds since the start."""
        if self.rate is None:
            return 0.0
        round_, device = self.place(number)
        return float(round_ + self._phases[device]) / self.rate

    def window(self, least: int) -> int:
        """Return how many frames may be under way: of each device four, or a second's worth, where it has a pace."""
        return least if self.rate is None else max(least, 4 * self.devices, math.ceil(self.devices * self.rate))

    def place(self, number: int) -> tuple[int, int]:
        """Return the how-manieth picture of which device it is, both from 0 on."""
        return divmod(number, self.devices)

    def number(self, sequence: int, device: int) -> int:
        """Return which picture of all it is, the inverse of `place`."""
        return sequence * self.devices + device


@dataclass(slots=True)
class _UnderWay:
    """A frame without an answer."""

    sent_s: float
    """First."""
    last_s: float


@dataclass
class Counts:
    """What became of all frames; captured = answered + refused + held back + without an answer."""

    captured: int = 0
    answered: int = 0
    refused: int = 0
    held_back: int = 0
    """Not sent, because as many as may be were under way."""
    sent_again: int = 0
    """Times that a frame was sent once more, because no answer came in time."""
    answered_again: int = 0
    """Answers to frames that had one."""

    @property
    def unanswered(self) -> int:
        """Return how many are still to come, or lost."""
        return self.captured - self.answered - self.refused - self.held_back


class Tally:
    """Which frames are under way, and what became of the others. Any thread may call."""

    def __init__(self, window: int) -> None:
        """Begin; at most `window` frames are under way."""
        self._window = window
        self._under_way: dict[int, _UnderWay] = {}
        self._changed = threading.Condition()
        self.counts = Counts()
        self.latencies = Latencies()
        self.reason = ""
        """Why the last refused frame was."""

    def has_room(self, wait_s: float) -> bool:
        """Return whether one more may be under way, after waiting at most so long for it."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._under_way) < self._window, wait_s)

    def begin(self, number: int, now_s: float) -> bool:
        """Note a picture, and return whether it is to be sent; without room it is held back."""
        with self._changed:
            self.counts.captured += 1
            if len(self._under_way) >= self._window:
                self.counts.held_back += 1
                return False
            self._under_way[number] = _UnderWay(now_s, now_s)
            return True

    def end(self, number: int, now_s: float, refused: str | None = None) -> None:
        """Note an answer."""
        with self._changed:
            found = self._under_way.pop(number, None)
            if found is None:
                self.counts.answered_again += 1
            elif refused is not None:
                self.counts.refused += 1
                self.reason = refused
            else:
                self.counts.answered += 1
                self.latencies.add(now_s - found.sent_s)
            self._changed.notify()

    def overdue(self, now_s: float, after_s: float) -> list[int]:
        """Return the frames that were sent so long ago without an answer, and note that they are sent again now."""
        with self._changed:
            late = [number for number, one in self._under_way.items() if now_s - one.last_s >= after_s]
            for number in late:
                self._under_way[number].last_s = now_s
            self.counts.sent_again += len(late)
        return late

    def begin_to_count(self) -> None:
        """Forget the latencies so far: they were of the start."""
        with self._changed:
            self.latencies = Latencies()

    def wait_until_answered(self, wait_s: float) -> bool:
        """Return whether nothing is under way, after waiting at most so long for it."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._under_way, wait_s)
