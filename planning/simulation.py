"""A fleet for a while, frame by frame, from measured times: what each waits for and how long it takes. Pure.

A frame walks through queues: its device, its device's link, a link that all share, the broker, a worker, the store.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from models.choices import Pattern
from planning.queues import Pool, WorkerTimes, fifo, fifo_by_owner, work
from planning.times import CloudTimes, FrameTimes

WARM_UP = 0.1
"""The least share of a window that is not counted: its queues began empty."""


@dataclass(frozen=True)
class Load:
    """What the fleet asks for at its busiest."""

    devices: int
    frames_per_s: float
    """Of one device."""
    leave: float = 0.0
    """The share of frames that the device finishes at an early exit."""
    pattern: Pattern = "regular"
    """Pictures at a fixed pace, each device with a phase of its own, or at random (Poisson)."""

    @property
    def total_per_s(self) -> float:
        """Return the frames that all devices capture in a second."""
        return self.devices * self.frames_per_s


@dataclass(frozen=True)
class Plant:
    """What stands there, and how fast it is against where the times were measured."""

    bandwidth_bits_per_s: float
    """Of one device's link."""
    round_trip_s: float
    shared_bits_per_s: float | None = None
    """Of a link that all devices share, such as the broker's; None: wide enough."""
    broker_per_s: float | None = None
    """Frames, with their results, that the broker passes in a second; None: as measured."""
    store_per_s: float | None = None
    """Frames that the store takes in a second; None: as measured."""
    device_slowdown: float = 1.0
    worker_slowdown: float = 1.0
    batch: int = 8
    """The most frames that a worker takes at once."""


@dataclass(frozen=True)
class Drawn:
    """What every frame takes, each (frames,): seconds, and bytes."""

    left: np.ndarray
    """Whether the device finished it: its answer is there before it travels."""
    device_s: np.ndarray
    payload_bytes: np.ndarray
    shared_s: np.ndarray
    broker_s: np.ndarray
    worker: WorkerTimes


def kinds(times: FrameTimes, leave: float) -> tuple[tuple[CloudTimes, float], ...]:
    """Return what frames take that go on, and that the device finished, each with its share."""
    if times.going is None:
        return ((times.finished, 1.0),)
    return ((times.going, 1.0 - leave), (times.finished, leave))


def draw(times: FrameTimes, plant: Plant, leave: float, count: int, rng: np.random.Generator) -> Drawn:
    """Return what so many frames take, each value drawn from what was measured."""
    chances = kinds(times, leave)
    kind = np.searchsorted(np.cumsum([share for _, share in chances])[:-1], rng.random(count), side="right")

    def mixed(name: str) -> np.ndarray:
        found = np.zeros(count)
        for number, (one, _) in enumerate(chances):
            values = np.atleast_1d(np.asarray(getattr(one, name), np.float64))
            places = kind == number
            found[places] = rng.choice(values, int(places.sum()))
        return found

    payload, stored_s = mixed("payload_bytes"), mixed("store_s")
    store_s = stored_s if plant.store_per_s is None else np.full(count, 1 / plant.store_per_s)
    slow, names = plant.worker_slowdown, ("rested_s", "next_s", "write_s", "reply_s")
    rested_s, next_s, write_s, reply_s = (mixed(name) * slow for name in names)
    rested_s, next_s = (np.maximum(taken_s + store_s - stored_s, 0.0) for taken_s in (rested_s, next_s))
    return Drawn(
        np.full(count, True) if times.going is None else kind == 1,
        rng.choice(np.asarray(times.device_s), count) * plant.device_slowdown,
        payload,
        payload * 8 / plant.shared_bits_per_s if plant.shared_bits_per_s else np.zeros(count),
        mixed("broker_s") if plant.broker_per_s is None else np.full(count, 1 / plant.broker_per_s),
        WorkerTimes(rested_s, next_s, write_s, reply_s, store_s),
    )


def arrivals(load: Load, seconds: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return when frames are captured and by which device, by device and then by time."""
    if load.pattern == "random":
        count = rng.poisson(load.total_per_s * seconds)
        owner = np.sort(rng.integers(0, load.devices, count))
        at_s = rng.random(count) * seconds
        return at_s[np.lexsort((at_s, owner))], owner
    period_s = 1 / load.frames_per_s
    phase_s = rng.random(load.devices) * period_s
    of_each = np.maximum(np.ceil((seconds - phase_s) / period_s), 0).astype(int)
    owner = np.repeat(np.arange(load.devices), of_each)
    turn = np.arange(len(owner)) - np.repeat(np.cumsum(of_each) - of_each, of_each)
    return phase_s[owner] + turn * period_s, owner


@dataclass(frozen=True)
class Window:
    """A while in the fleet's life, counted after its warm-up."""

    seconds: float
    """Its length, warm-up included: so long pictures are taken. All of them are followed to their end."""
    counted_s: float
    """Of it, what is behind the warm-up."""
    latency_s: np.ndarray
    """From capture to answer, of the frames that count; a frame that its device finished is answered before it travels.
    Source: papers/000, section 4.3.1."""
    waits_s: dict[str, np.ndarray]
    """Of the same frames, by where they waited up to the store: device, link, shared link, broker, worker."""
    worker_busy: float
    """The share of the time that a worker works, counting the time in which it waits for the store."""
    batch: float
    """Frames that a worker took at once, in the mean."""


def window(
    load: Load, plant: Plant, times: FrameTimes, workers: int, seconds: float, seed: int, warm_up_s: float = 0.0
) -> Window:
    """Return what happens in so many seconds; the same seed draws the same frames, whatever stands there.

    At least `warm_up_s`, and WARM_UP of the window, pass before frames count.
    """
    rng = np.random.default_rng(seed)
    captured_s, owner = arrivals(load, seconds, rng)
    count = len(captured_s)
    drawn = draw(times, plant, load.leave, count, rng)
    link_s = drawn.payload_bytes * 8 / plant.bandwidth_bits_per_s
    encoded_s = fifo_by_owner(captured_s, drawn.device_s, owner)
    sent_s = fifo_by_owner(encoded_s, link_s, owner)
    order = np.argsort(sent_s, kind="stable")
    came_s = sent_s[order]
    shared_s = fifo(came_s, drawn.shared_s[order])
    passed_s = fifo(shared_s, drawn.broker_s[order])
    done = work(passed_s, WorkerTimes(*(part[order] for part in _parts(drawn.worker))), Pool(workers, plant.batch))
    inbox_s = rng.choice(np.asarray(times.inbox_s), count)
    back_s = plant.round_trip_s + times.result_bytes * 8 / plant.bandwidth_bits_per_s
    # The measured travel already holds how long the broker of the measurement works at a frame.
    known_s = sum(share * one.broker_s for one, share in kinds(times, load.leave))
    passing_s = rng.choice(np.asarray(times.travel_s), count) + inbox_s + back_s - known_s
    latency_s = np.maximum(done.answered_s + passing_s - captured_s[order], 0.0)
    latency_s = np.where(drawn.left[order], (encoded_s - captured_s)[order], latency_s)
    begin_s = max(WARM_UP * seconds, warm_up_s)
    counted = captured_s[order] >= begin_s
    waits_s = {
        "device": (encoded_s - captured_s - drawn.device_s)[order],
        "link": (sent_s - encoded_s - link_s)[order],
        "shared link": shared_s - came_s - drawn.shared_s[order],
        "broker": passed_s - shared_s - drawn.broker_s[order],
        "worker": done.begun_s - passed_s + inbox_s,
    }
    busy = float(done.busy_s.sum()) / workers / max(seconds, float(done.answered_s.max(initial=0.0)))
    return Window(
        seconds,
        seconds - begin_s,
        latency_s[counted],
        {name: np.maximum(wait[counted], 0.0) for name, wait in waits_s.items()},
        busy,
        count / max(done.batches, 1),
    )


def _parts(worker: WorkerTimes) -> Iterator[np.ndarray]:
    yield from (worker.rested_s, worker.next_s, worker.write_s, worker.reply_s, worker.store_s)
