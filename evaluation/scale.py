"""What more workers, more devices and more frames cost: real broker, store and workers under simulated devices."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import redis

from evaluation.load import Schedule
from evaluation.load_run import Loaded, SimulatedFleet, run_load
from evaluation.running import FLEET, Installation, installation
from headwater.address import Address
from headwater.messages import Frame

FLOODING: Final = 16
"""Devices that keep the workers busy."""
WINDOW: Final = 64
PACED: Final = 0.7
"""Of what the workers can do at most: where latency is looked at."""
EVERYTHING: Final = 10_000_000
SETTLE_S: Final = 2.0
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Row:
    """One load and what came of it."""

    what: str
    workers: int
    loaded: Loaded


@dataclass(frozen=True)
class Costs:
    """What one more device, and one more frame, take of broker and store."""

    broker_device_bytes: float
    """Memory of a connection with its subscription."""
    broker_frame_s: float
    """Processor time: a frame in and out, its result in and out."""
    store_frame_s: float
    store_frame_bytes: float
    """Memory of a record."""
    worker_frame_s: float


def scale(
    bundle: str, frames: Sequence[Frame], workers: Sequence[int], seconds: float, progress: Progress
) -> Iterator[Row]:
    """Yield what so many worker processes do at most, and how late frames are at 70 % of it."""
    for number, processes in enumerate(workers):
        with installation(bundle, processes) as at:
            progress(2 * number, 2 * len(workers))
            most = _run(at, frames, Schedule(FLOODING), seconds, processes)
            yield Row("most", processes, most)
            progress(2 * number + 1, 2 * len(workers))
            rate = PACED * most.frames_per_s / FLOODING
            yield Row("paced", processes, _run(at, frames, Schedule(FLOODING, rate), seconds, processes))


def many(
    bundle: str, frames: Sequence[Frame], devices: int, rate: float, seconds: float, processes: int, progress: Progress
) -> tuple[Row, Costs]:
    """Return what a fleet of simulated devices sees, and what one more device or frame costs."""
    with installation(bundle, processes) as at:
        device_bytes = _connection_bytes(at, frames, devices, progress)
        before = _store_bytes(at)
        row = Row("fleet", processes, _run(at, frames, Schedule(devices, rate), seconds, processes))
        loaded = row.loaded
        record_bytes = (_store_bytes(at) - before) / loaded.counts.answered
    used = {part.name: part.cores / loaded.frames_per_s for part in loaded.parts}
    return row, Costs(device_bytes, used["broker"], used["store"], record_bytes, used["worker"])


def _run(at: Installation, frames: Sequence[Frame], schedule: Schedule, seconds: float, processes: int) -> Loaded:
    fleet = SimulatedFleet(Address.parse(at.broker), FLEET, frames, schedule, schedule.window(WINDOW))
    try:
        fleet.connect()
        return run_load(fleet, EVERYTHING, seconds, at, processes, lambda done, total: None)
    finally:
        fleet.close()


def _connection_bytes(at: Installation, frames: Sequence[Frame], devices: int, progress: Progress) -> float:
    """Return how much more memory the broker holds for each device that only waits."""
    before = at.resident_bytes()["broker"]
    idle = SimulatedFleet(Address.parse(at.broker), FLEET, frames, Schedule(devices), WINDOW)
    try:
        idle.connect(progress)
        time.sleep(SETTLE_S)
        return (at.resident_bytes()["broker"] - before) / devices
    finally:
        idle.close()


def _store_bytes(at: Installation) -> int:
    with redis.Redis.from_url(at.store) as client:
        found: Any = client.info("memory")
    return int(found["used_memory"])
