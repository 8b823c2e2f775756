"""A case of a fleet, and what comes of it: workers, latency, what is full first, a day's sums, a month's bill. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Final

from planning.capacity import (
    LOAD_LIMIT,
    OWN,
    Day,
    Figure,
    Progress,
    Use,
    day,
    figure,
    frame_s,
    full,
    least_workers,
    percentiles,
    too_full,
    uses,
    windows,
)
from planning.fleet import Fleet, FleetBill, Names, fleet_bill
from planning.prices import PriceBook
from planning.simulation import Load, Plant, Window, kinds
from planning.times import FrameTimes

STEPS: Final = (0.1, 0.25, 0.4, 0.55, 0.7, 0.8, 0.9, 0.95)
"""Of what the fullest shared resource bears: the fleets that a plot shows."""
MOST_DEVICES: Final = 1_000_000
MORE: Final = (1, 2, 4, 8, 16)
"""Workers that are added, one step after the other, while five windows do not confirm what one has found."""
_NO_PROGRESS: Final[Progress] = lambda done, total: None  # noqa: E731


@dataclass(frozen=True)
class Money:
    """Who is paid: a price book, the names in it, and how many workers one server runs."""

    book: PriceBook
    names: Names
    cores: int


@dataclass(frozen=True)
class Case:
    """A fleet, what stands there, what frames take, and what is asked."""

    load: Load
    plant: Plant
    times: FrameTimes
    curve: tuple[float, ...]
    """The share of the busiest rate that each hour of the day asks for."""
    hours: float
    workers: int | None
    """None: as few as keep the deadline."""
    deadline_s: float
    seed: int
    money: Money | None = None


@dataclass(frozen=True)
class Look:
    """What windows at the fleet's busiest show; seconds."""

    window_s: float
    windows: int
    frames: int
    latency: dict[str, Figure]
    waits: dict[str, dict[str, Figure]]
    """By where frames wait."""
    worker_busy: Figure
    batch: Figure


@dataclass(frozen=True)
class Outcome:
    """What comes of a case."""

    workers: int
    uses: tuple[Use, ...]
    look: Look | None
    """None where a queue grows, so that its latency has no end, or settles too late to be looked at."""
    too_full: Use | None
    """What settles too late."""
    day: Day | None
    """None, as the bill, where the frames asked for cannot pass what each device has."""
    bill: FleetBill | None


def simulated(case: Case, progress: Progress = _NO_PROGRESS) -> Outcome:
    """Return what comes of a case. Raises: PlanError where no number of workers keeps the deadline."""
    load, plant, times = case.load, case.plant, case.times
    workers = case.workers or least_workers(load, plant, times, case.deadline_s, case.seed, progress)
    look, late = None, too_full(load, plant, times, workers)
    if late is None:
        look = look_at(windows(load, plant, times, workers, case.seed, progress=progress))
        for more in MORE if case.workers is None else ():
            if look.latency["p99"].keeps(case.deadline_s):
                break
            workers += more
            look = look_at(windows(load, plant, times, workers, case.seed, progress=progress))
    found = uses(load, plant, times, workers)
    growing = full(found)
    if full([use for use in found if use.name in OWN]):
        return Outcome(workers, found, look, None, None, None)
    summed = day(load, plant, times, workers, case.hours, case.curve)
    return Outcome(workers, found, look, None if growing else late, summed, _bill(case, workers))


def look_at(found: Sequence[Window]) -> Look:
    """Return what windows show, each figure with how far it may be off."""
    return Look(
        found[0].seconds,
        len(found),
        sum(len(one.latency_s) for one in found),
        percentiles(found),
        {name: percentiles(found, name) for name in found[0].waits_s},
        figure([one.worker_busy for one in found]),
        figure([one.batch for one in found]),
    )


def first_used_up(found: Sequence[Use]) -> Use:
    """Return what ends the fleet's growth: what each device has if that is full, else the fullest of the shared."""
    own = [use for use in found if use.name in OWN and use.share >= 1]
    return max(own, key=lambda use: use.share) if own else found[0]


def over_devices(case: Case, workers: int, progress: Progress = _NO_PROGRESS) -> list[tuple[int, Look]]:
    """Return what so many workers make of smaller and larger fleets, up to nearly what they bear."""
    per_device = first_used_up(uses(case.load, case.plant, case.times, workers))
    bearable = min(per_device.devices or case.load.devices, MOST_DEVICES)
    counts = sorted({max(1, math.floor(bearable * step)) for step in STEPS})
    shown = []
    for number, count in enumerate(counts):
        progress(number, len(counts))
        load = replace(case.load, devices=count)
        if too_full(load, case.plant, case.times, workers) is None:
            seen = windows(load, case.plant, case.times, workers, case.seed, 3)
            shown.append((count, look_at(seen)))
    progress(len(counts), len(counts))
    return shown


def _bill(case: Case, workers: int) -> FleetBill | None:
    """Return the bill of a month of such days."""
    if case.money is None:
        return None
    load, times = case.load, case.times
    sizes = [
        (size, share / len(one.payload_bytes)) for one, share in kinds(times, load.leave) for size in one.payload_bytes
    ]
    fleet = Fleet(
        load.devices,
        load.frames_per_s * fmean(case.curve),
        frame_s(times, case.plant, load.leave)["worker"],
        payloads=tuple(sizes),
        result_bytes=times.result_bytes,
        cores=case.money.cores,
        load_limit=LOAD_LIMIT,
        servers=-(-workers // case.money.cores),
    )
    return fleet_bill(case.money.book, fleet, case.money.names)
