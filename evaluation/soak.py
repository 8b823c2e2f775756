"""Whether processes stay as large as they are: samples in, trends and a verdict out. No process is looked at here."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

LEAST_BYTES: Final = 2_000_000
LEAST_SHARE: Final = 0.02
"""Memory is flat when it rises by at most so much, or by this share of itself, in the whole time that counts."""
LEAST_COUNT: Final = 1.0
"""Open files and threads are flat when they rise by less than one."""
MOST_POINTS: Final = 400
"""More samples are thinned out for the trend: it looks at each pair."""


@dataclass(frozen=True)
class Sample:
    """One process at one moment."""

    at_s: float
    """Since the load began."""
    process: str
    resident_bytes: int
    files: int
    threads: int


@dataclass(frozen=True)
class Trend:
    """The line through what a process held over the time that counts."""

    process: str
    first_bytes: float
    """Where the line begins."""
    rise_bytes: float
    """How much higher it ends."""
    rise_files: float
    rise_threads: float
    seconds: float
    gone: bool = False
    """It was not there to the end."""

    @property
    def bound_bytes(self) -> float:
        """Return by how much its memory may rise."""
        return max(LEAST_BYTES, LEAST_SHARE * self.first_bytes)

    @property
    def bytes_per_hour(self) -> float:
        """Return the slope of its memory."""
        return self.rise_bytes / self.seconds * 3600

    @property
    def grown(self) -> tuple[str, ...]:
        """Return what of it is not flat."""
        found = {
            "memory": self.rise_bytes > self.bound_bytes,
            "open files": self.rise_files >= LEAST_COUNT,
            "threads": self.rise_threads >= LEAST_COUNT,
            "ended before its time": self.gone,
        }
        return tuple(name for name, is_so in found.items() if is_so)


def slope(at_s: Sequence[float], values: Sequence[float]) -> float:
    """Return the median slope of all pairs of points, which a few outliers do not move; 0 of less than two.

    Source: Sen 1968, "Estimates of the regression coefficient based on Kendall's tau".
    """
    step = -(-len(at_s) // MOST_POINTS) or 1
    times, found = np.asarray(at_s, float)[::step], np.asarray(values, float)[::step]
    first, second = np.triu_indices(len(times), 1)
    apart = times[second] - times[first]
    slopes = (found[second] - found[first])[apart > 0] / apart[apart > 0]
    return float(np.median(slopes)) if len(slopes) else 0.0


def trends(samples: Sequence[Sample], from_s: float) -> list[Trend]:
    """Return the trend of each process that was there when the time that counts began."""
    counted = [one for one in samples if one.at_s >= from_s]
    moments = sorted({one.at_s for one in counted})
    if len(moments) < 2:
        return []
    there = {one.process for one in counted if one.at_s == moments[0]}
    last = {one.process for one in counted if one.at_s == moments[-1]}
    names = dict.fromkeys(one.process for one in samples if one.process in there)
    return [_trend([one for one in counted if one.process == name], last) for name in names]


def _trend(own: Sequence[Sample], there_at_last: Collection[str]) -> Trend:
    at_s = [one.at_s for one in own]
    seconds = max(at_s[-1] - at_s[0], 1e-9)
    rise_bytes, files, threads = (_rise(own, at_s, value) for value in (_bytes, _files, _threads))
    slope_bytes = rise_bytes / seconds
    # The line of that slope that has as many samples above as below.
    first = statistics.median(one.resident_bytes - slope_bytes * (one.at_s - at_s[0]) for one in own)
    name = own[0].process
    return Trend(name, first, rise_bytes, files, threads, seconds, name not in there_at_last)


def _rise(own: Sequence[Sample], at_s: Sequence[float], value: Callable[[Sample], float]) -> float:
    return slope(at_s, [value(one) for one in own]) * (at_s[-1] - at_s[0])


def _bytes(one: Sample) -> float:
    return float(one.resident_bytes)


def _files(one: Sample) -> float:
    return float(one.files)


def _threads(one: Sample) -> float:
    return float(one.threads)


def not_flat(found: Sequence[Trend]) -> list[str]:
    """Return what grew, a text for each."""
    return [f"{one.process}: {what}" for one in found for what in one.grown]
