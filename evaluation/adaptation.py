"""What a device does when its link or its processor changes in mid-stream: drills, and what their frames tell. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from planning.ways import Conditions, Way, journey

AUTO: Final = "auto"
ROUND_TRIP_S: Final = 0.001
STAYS: Final = 5
"""A split has moved when most of so many frames go another way: a probe is one frame."""


@dataclass(frozen=True)
class Phase:
    """A stretch of a drill: the link's bandwidth and the share of a processor core that the device has."""

    bandwidth_bits_per_s: float
    share: float


@dataclass(frozen=True)
class Drill:
    """Two phases of equal length, and how many pictures a second are taken."""

    name: str
    phases: tuple[Phase, Phase]
    rate: float


DRILLS: Final = (
    Drill("link falls", (Phase(50e6, 0.5), Phase(2e6, 0.5)), 3.0),
    Drill("processor falls", (Phase(10e6, 1.0), Phase(10e6, 0.25)), 3.0),
)


def predicted_best(ways: Sequence[Way], drill: Drill, count: int) -> list[str]:
    """Return the ways that are predicted to be best in one phase or in the mean of both, at most `count`.

    The device alone and the best way of the picture are among them.
    """
    phases = [Conditions(phase.bandwidth_bits_per_s, ROUND_TRIP_S, 1 / phase.share) for phase in drill.phases]
    times = {way.name: [journey(way, phase).total_s for phase in phases] for way in ways}
    pictures = [way.name for way in ways if way.shows_picture]
    chosen = ["device", min(pictures, key=lambda name: sum(times[name]))]
    orders = [
        sorted(times, key=lambda name: times[name][0]),
        sorted(times, key=lambda name: times[name][1]),
        sorted(times, key=lambda name: sum(times[name])),
    ]
    chosen += [name for place in zip(*orders, strict=True) for name in place]
    return list(dict.fromkeys(chosen))[:count]


@dataclass(frozen=True)
class Seen:
    """One finished frame, times in seconds since the drill's first phase began."""

    captured_s: float
    latency_s: float
    way: str


@dataclass(frozen=True)
class Run:
    """One drill gone through once with one split."""

    drill: Drill
    split: str
    phase_s: float
    frames: tuple[Seen, ...]
    captured: int
    finished: int
    dropped: int

    def phase(self, number: int) -> list[Seen]:
        """Return the frames that were captured in a phase."""
        return [one for one in self.frames if number * self.phase_s <= one.captured_s < (number + 1) * self.phase_s]

    @property
    def lost(self) -> int:
        """Return how many frames have no answer."""
        return self.captured - self.finished


Runs = Sequence[Run]
"""One drill gone through with one split, once in each round."""


def phase_s(runs: Runs, number: int) -> float:
    """Return the mean latency of a phase, in which each round counts the same; infinite where no round has a frame."""
    found = [frames for run in runs if (frames := run.phase(number))]
    means = [statistics.fmean(one.latency_s for one in frames) for frames in found]
    return statistics.fmean(means) if means else math.inf


def mean_s(runs: Runs) -> float:
    """Return the mean latency of a drill, in which each phase counts the same."""
    return statistics.fmean(phase_s(runs, number) for number in range(len(runs[0].drill.phases)))


@dataclass(frozen=True)
class Move:
    """How soon after the change the split moved, in seconds and in frames captured meanwhile."""

    after_s: float
    after_frames: int
    way: str


def move(run: Run) -> Move | None:
    """Return when the way first became one that was not in use at the end of the first phase; None if it never did."""
    before = run.phase(0)
    if not before:
        return None
    usual = statistics.mode(one.way for one in before[-max(1, len(before) // 4) :])
    second = run.phase(1)
    for place, one in enumerate(second):
        following = second[place : place + STAYS]
        if one.way != usual and sum(other.way != usual for other in following) > len(following) / 2:
            return Move(one.captured_s - run.phase_s, place, one.way)
    return None


def hindsight_s(fixed: Sequence[Runs]) -> float:
    """Return the mean latency of whoever knew before each phase which of the fixed splits is best in it."""
    phases = range(len(fixed[0][0].drill.phases))
    return statistics.fmean(min(phase_s(runs, number) for runs in fixed) for number in phases)


@dataclass(frozen=True)
class Verdict:
    """One drill's outcome."""

    drill: Drill
    auto_s: float
    hindsight_s: float
    best_fixed: str
    best_fixed_s: float
    moves: tuple[Move | None, ...]
    """Of each round."""
    lost: int

    @property
    def over_hindsight(self) -> float:
        """Return by what share auto is slower than always-best in hindsight."""
        return self.auto_s / self.hindsight_s - 1 if math.isfinite(self.hindsight_s) else math.inf


def verdict(by_split: Mapping[str, Runs]) -> Verdict:
    """Return what a drill shows, by split; `auto` and at least one other are among them."""
    auto = by_split[AUTO]
    fixed = {split: runs for split, runs in by_split.items() if split != AUTO}
    best = min(fixed, key=lambda split: mean_s(fixed[split]))
    return Verdict(
        drill=auto[0].drill,
        auto_s=mean_s(auto),
        hindsight_s=hindsight_s(list(fixed.values())),
        best_fixed=best,
        best_fixed_s=mean_s(fixed[best]),
        moves=tuple(map(move, auto)),
        lost=sum(run.lost for runs in by_split.values() for run in runs),
    )
