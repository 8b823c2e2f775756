"""How much a fleet's resources can bear, how many workers it needs, and what a day of it adds up to. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from planning.errors import PlanError
from planning.prices import S_PER_HOUR
from planning.queues import Pool
from planning.simulation import WARM_UP, Load, Plant, Window, kinds, window
from planning.times import FrameTimes

LOAD_LIMIT: Final = 0.95
"""Up to which share of its capacity a resource may be used. Source: Leroy and Goedemé 2021, section 5.2."""
WINDOWS: Final = 5
FRAMES: Final = 50_000
MOST_FRAMES: Final = 1_000_000
LEAST_S: Final = 60.0
SETTLED: Final = 3.0
"""After so many relaxation times a queue has forgotten that it began empty, up to 5 %."""
MOST_WORKERS: Final = 100_000
OWN: Final = ("device", "link")
"""Resources that each device has for itself: more devices do not use more of them."""
PERCENTILES: Final = (50, 95, 99)
# Two-sided 95 % points of Student's t for 1 to 9 degrees of freedom. Source: any table of the distribution.
_STUDENT: Final = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
Progress = Callable[[int, int], None]


def frame_s(times: FrameTimes, plant: Plant, leave: float) -> dict[str, float]:
    """Return how long the mean frame occupies each resource; a worker's when its batches are full."""
    chances = kinds(times, leave)

    def mean(name: str) -> float:
        return float(sum(share * np.mean(getattr(one, name)) for one, share in chances))

    bits = mean("payload_bytes") * 8
    stored_s = 1 / plant.store_per_s if plant.store_per_s else mean("store_s")
    slow = plant.worker_slowdown
    next_s = max(0.0, mean("next_s") * slow + stored_s - mean("store_s"))
    write_s, settle_s = mean("write_s") * slow, Pool(1).settle_s
    fitting = 1 + math.floor(max(0.0, settle_s - write_s) / next_s) if next_s else plant.batch
    found = {
        "device": float(np.mean(times.device_s)) * plant.device_slowdown,
        "link": bits / plant.bandwidth_bits_per_s,
        "broker": 1 / plant.broker_per_s if plant.broker_per_s else mean("broker_s"),
        "worker": next_s + write_s / min(plant.batch, fitting) + mean("reply_s") * slow,
        "store": stored_s,
    }
    return found | ({"shared link": bits / plant.shared_bits_per_s} if plant.shared_bits_per_s else {})


@dataclass(frozen=True)
class Use:
    """One resource at the fleet's busiest."""

    name: str
    share: float
    """Of its capacity; from 1 on its queue grows."""
    devices: float | None
    """With how many devices it is used up; None for what each device has for itself."""
    frames_per_s: float
    """That one device may take before it is used up."""


def uses(load: Load, plant: Plant, times: FrameTimes, workers: int) -> tuple[Use, ...]:
    """Return how much of each resource is used, the fullest of the shared ones first, then what each device has."""
    found = []
    for name, seconds in frame_s(times, plant, load.leave).items():
        rate = load.frames_per_s if name in OWN else load.total_per_s / (workers if name == "worker" else 1)
        share = rate * seconds
        devices = None if name in OWN else load.devices / share if share else math.inf
        found.append(Use(name, share, devices, load.frames_per_s / share if share else math.inf))
    return tuple(sorted(found, key=lambda use: (use.devices is None, -use.share)))


def full(found: Sequence[Use]) -> Use | None:
    """Return the fullest resource whose queue grows; None if all queues end."""
    growing = [use for use in found if use.share >= 1]
    return max(growing, key=lambda use: use.share) if growing else None


def settle_s(load: Load, plant: Plant, times: FrameTimes, workers: int) -> dict[str, float]:
    """Return how long each resource's queue takes to forget that it began empty; infinite for one that grows.

    The relaxation time of reflected Brownian motion is 2 sigma^2 / theta^2. Here theta = 1 - load and sigma^2 = load *
    service * (the squared variations of the times between arrivals and of the service). Those between arrivals are 0
    of a device with a fixed pace and 1 at random; at a shared resource both are taken as 1.
    Source: Abate and Whitt 1987, Transient Behavior of Regulated Brownian Motion I.
    """
    device_s, sizes = np.asarray(times.device_s), _sizes(times, load.leave)
    varied = {"device": float(np.var(device_s)) / max(float(np.mean(device_s)) ** 2, 1e-18), "link": _varied(*sizes)}
    seconds, found = frame_s(times, plant, load.leave), {}
    for use in uses(load, plant, times, workers):
        spread = varied[use.name] + (load.pattern == "random") if use.name in OWN else 2.0
        relaxed_s = 2 * use.share * seconds[use.name] * spread / max(1 - use.share, 1e-9) ** 2
        found[use.name] = SETTLED * relaxed_s if use.share < 1 else math.inf
    return found


def _sizes(times: FrameTimes, leave: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the sizes of messages, and the share of each."""
    chances = kinds(times, leave)
    shares = [np.full(len(one.payload_bytes), share / len(one.payload_bytes)) for one, share in chances]
    return np.concatenate([one.payload_bytes for one, _ in chances]), np.concatenate(shares)


def _varied(values: np.ndarray, shares: np.ndarray) -> float:
    """Return the squared coefficient of variation."""
    mean = float(values @ shares)
    return float((values - mean) ** 2 @ shares) / max(mean**2, 1e-18)


def too_full(load: Load, plant: Plant, times: FrameTimes, workers: int) -> Use | None:
    """Return what is so full that its queue settles only after more than MOST_FRAMES frames of the fleet, if any."""
    settling = settle_s(load, plant, times, workers)
    found = [use for use in uses(load, plant, times, workers) if settling[use.name] * load.total_per_s > MOST_FRAMES]
    return max(found, key=lambda use: settling[use.name]) if found else None


def window_s(load: Load, warm_up_s: float) -> float:
    """Return how long to look: FRAMES frames and at least a minute, at most MOST_FRAMES, and longer to settle."""
    counted_s = min(max(LEAST_S, FRAMES / load.total_per_s), MOST_FRAMES / load.total_per_s)
    return max(counted_s, (1 - WARM_UP) * counted_s + warm_up_s)


def _look(load: Load, plant: Plant, times: FrameTimes, workers: int, seed: int) -> Window:
    warm_up_s = max(settle_s(load, plant, times, workers).values())
    return window(load, plant, times, workers, window_s(load, warm_up_s), seed, warm_up_s)


@dataclass(frozen=True)
class Figure:
    """A mean over windows, and how far it may be off with 95 % confidence."""

    value: float
    margin: float

    def keeps(self, bound: float) -> bool | None:
        """Tell whether it is at most the bound; None where that is too close to say."""
        if self.value + self.margin <= bound:
            return True
        return False if self.value - self.margin > bound else None


def figure(values: Sequence[float]) -> Figure:
    """Return the mean of independent values with the half width of its 95 % interval (Student's t); of one, infinite.

    Raises: PlanError for none, or for more than ten.
    """
    if not 1 <= len(values) <= len(_STUDENT) + 1:
        raise PlanError(f"got {len(values)} windows, expected 1 to {len(_STUDENT) + 1}")
    if len(values) == 1:
        return Figure(float(values[0]), math.inf)
    margin = _STUDENT[len(values) - 2] * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return Figure(float(np.mean(values)), margin)


def windows(
    load: Load,
    plant: Plant,
    times: FrameTimes,
    workers: int,
    seed: int,
    count: int = WINDOWS,
    progress: Progress = lambda done, total: None,
) -> list[Window]:
    """Return windows at the fleet's busiest, each with a seed of its own.

    Raises: PlanError for a queue that grows or settles too late.
    """
    growing = full(uses(load, plant, times, workers))
    if growing is not None:
        raise PlanError(f"{growing.name}: its load is {growing.share:.0%}, expected under 100 %: its queue grows")
    late = too_full(load, plant, times, workers)
    if late is not None:
        raise PlanError(f"{late.name}: its load of {late.share:.1%} is too full to say how long frames wait; lower it")
    found = []
    for number in range(count):
        progress(number, count)
        found.append(_look(load, plant, times, workers, seed + number))
    progress(count, count)
    return found


def percentiles(found: Sequence[Window], waits_at: str | None = None) -> dict[str, Figure]:
    """Return p50, p95 and p99 of the latency, or of the wait at one place, in seconds."""
    taken = [one.latency_s if waits_at is None else one.waits_s[waits_at] for one in found]
    each = np.array([np.percentile(values, PERCENTILES) for values in taken])
    return {f"p{p}": figure(list(each[:, at])) for at, p in enumerate(PERCENTILES)}


def least_workers(
    load: Load,
    plant: Plant,
    times: FrameTimes,
    deadline_s: float,
    seed: int,
    progress: Progress = lambda done, total: None,
) -> int:
    """Return the fewest workers that no load over LOAD_LIMIT falls to and whose p99 in one window keeps the deadline.

    Raises: PlanError where no number does, with what then remains.
    """
    seconds = frame_s(times, plant, load.leave)["worker"]
    least = max(1, math.ceil(load.total_per_s * seconds / LOAD_LIMIT - 1e-9))
    if too_full(load, plant, times, least):
        return least
    steps = 0

    def p99_s(workers: int) -> float:
        nonlocal steps
        steps += 1
        progress(steps, steps + 1)
        found = _look(load, plant, times, workers, seed)
        return float(np.percentile(found.latency_s, 99))

    if p99_s(least) <= deadline_s:
        return least
    low, high = least, 2 * least
    while (reached_s := p99_s(high)) > deadline_s:
        if high > MOST_WORKERS or high > 8 * load.devices or high > 8 * least + 64:
            raise PlanError(
                f"the p99 is {reached_s * 1e3:.0f} ms with {high:,} workers, over the deadline of "
                f"{deadline_s * 1e3:.0f} ms: it is not the workers; allow more, or give another split, link or device"
            )
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if p99_s(middle) <= deadline_s else (middle, high)
    return high


@dataclass(frozen=True)
class Day:
    """What the hours of a fleet add up to."""

    frames: float
    """As asked for, those of a backlog among them."""
    bytes_up: float
    bytes_down: float
    backlog_frames: float
    """The most frames that wait at the fullest resource, if it is too small for the busiest hours."""
    backlog_at_h: float
    """When that is."""
    left_frames: float
    """What still waits at the end."""


def day(load: Load, plant: Plant, times: FrameTimes, workers: int, hours: float, curve: Sequence[float]) -> Day:
    """Return what is asked for in so many hours when hour n of the day asks for a share `curve[n]` of the busiest rate.

    The backlog is that of a fluid: what comes in over what the fullest shared resource can bear.
    """
    per_s = [use.devices / load.devices * load.total_per_s for use in uses(load, plant, times, workers) if use.devices]
    bearable_per_s = min(per_s, default=math.inf)
    frames = waiting = most = most_at_h = 0.0
    for hour in range(math.ceil(hours)):
        span_s = min(1.0, hours - hour) * S_PER_HOUR
        asked_per_s = load.total_per_s * curve[hour % len(curve)]
        frames += asked_per_s * span_s
        waiting = max(0.0, waiting + (asked_per_s - bearable_per_s) * span_s)
        if waiting > most:
            most, most_at_h = waiting, min(hour + 1.0, hours)
    size = sum(share * float(np.mean(one.payload_bytes)) for one, share in kinds(times, load.leave))
    return Day(frames, frames * size, frames * times.result_bytes, most, most_at_h, waiting)
