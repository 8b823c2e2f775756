"""What became of every frame of a drill: from the records of the store and the figures of the devices, both.

A device that is killed prints no figures. What it promises begins with the commit of its spool: frames come into it in
the order of their numbers, so every number up to the highest one that its spool was seen to hold, or that the store
has, was committed, and must be in the store. What it had captured beyond is its *in hand*, between camera and spool;
no more fits there than `MOST_IN_HAND`, and whatever is missing beyond that was lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from edge.sender import HAND_OVER_FRAMES

MOST_IN_HAND: Final = 1 + HAND_OVER_FRAMES
"""One in the head, and those handed over that the spool has not yet taken."""


class Stored(NamedTuple):
    """One record of the store, of one device."""

    boot: str
    sequence: int
    captured_ns: int


@dataclass(frozen=True)
class Run:
    """One start of a device."""

    began_ns: int
    """By the wall clock."""
    figures: Mapping[str, Any] | None = None
    """Printed at the end; None of one that was killed."""
    captured: int = 0
    """Of one that was killed: how many it had said a moment before."""
    spooled: frozenset[tuple[str, int]] = frozenset()
    """Boot and number of the frames in the spool when it was killed, those of earlier starts among them."""


@dataclass(frozen=True)
class Counts:
    """What became of the frames: captured = finished + dropped + lost."""

    captured: int = 0
    finished: int = 0
    """In the store, each counted once."""
    dropped: Mapping[str, int] = field(default_factory=dict)
    lost: int = 0
    twice: int = 0
    """Records of frames that the store had, or answers more than frames by the device's figures."""
    in_hand: int = 0
    """Of killed devices: captured, and not yet in the spool."""

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.captured + other.captured,
            self.finished + other.finished,
            dict(Counter(self.dropped) + Counter(other.dropped)),
            self.lost + other.lost,
            self.twice + other.twice,
            self.in_hand + other.in_hand,
        )

    @property
    def is_well(self) -> bool:
        """Tell whether nothing is lost and nothing twice."""
        return self.lost == 0 and self.twice == 0


def count(runs: Sequence[Run], stored: Sequence[Stored]) -> Counts:
    """Return what became of the frames of one device, of which `stored` is all that the store has.

    The device's own figures are held against the store's: whichever says more of `lost` and `twice` is believed.
    """
    times = Counter((one.boot, one.sequence) for one in stored)
    told = [run.figures for run in runs if run.figures is not None]
    committed, in_hand = _of_killed(runs, stored)
    captured = committed + sum(int(figures["captured"]) for figures in told)
    dropped: Counter[str] = sum((Counter(figures["dropped"]) for figures in told), Counter())
    missing = captured - dropped.total() - len(times)
    open_ = int(told[-1]["in_flight"]) if told else 0
    if len(told) == len(runs):  # nobody was killed, so the figures tell of every answer
        missing = max(missing, sum(sum(figures["finished"].values()) for figures in told) - len(times))
    return Counts(
        captured,
        len(times),
        dict(dropped),
        max(0, missing, open_),
        max(times.total() - len(times), -open_, 0),
        in_hand,
    )


def _of_killed(runs: Sequence[Run], stored: Sequence[Stored]) -> tuple[int, int]:
    """Return how many frames the killed runs must have committed to the spool, and how many they had in hand."""
    highest: dict[str, int] = {}
    first_ns: dict[str, int] = {}
    for one in stored:
        highest[one.boot] = max(highest.get(one.boot, -1), one.sequence)
        first_ns[one.boot] = min(first_ns.get(one.boot, one.captured_ns), one.captured_ns)
    for run in runs:
        for boot, sequence in run.spooled:
            highest[boot] = max(highest.get(boot, -1), sequence)
            first_ns.setdefault(boot, run.began_ns)  # the store never saw it: its run is the first that left it behind
    by_run: Counter[int] = Counter()
    for boot, top in highest.items():
        by_run[_run_at(runs, first_ns[boot])] += top + 1
    killed = [number for number, run in enumerate(runs) if run.figures is None]
    beyond = [max(0, runs[number].captured - by_run[number]) for number in killed]
    in_hand = sum(min(one, MOST_IN_HAND) for one in beyond)
    return sum(by_run[number] for number in killed) + sum(beyond) - in_hand, in_hand


def _run_at(runs: Sequence[Run], at_ns: int) -> int:
    """Return the number of the run that ran then."""
    return max((number for number, run in enumerate(runs) if run.began_ns <= at_ns), default=0)


def count_peer(captured: int, stored: Sequence[str]) -> Counts:
    """Return what became of the peer's messages: it says exactly how many it made, and drops none."""
    times = Counter(stored)
    return Counts(captured, len(times), {}, max(0, captured - len(times)), times.total() - len(times))
