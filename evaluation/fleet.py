"""Hold the simulation against a real fleet on this machine: what one device tells about many, beside what they do."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from evaluation.running import Installation, Seen, ended, installation, machine_busy_s, pictures, wait
from headwater.errors import HeadwaterError, SettingsError
from models.bundle import Bundle
from planning.capacity import PERCENTILES, WINDOWS, figure, frame_s, full, percentiles, uses, windows
from planning.simulation import Load, Plant, kinds
from planning.times import CROWDED, FrameTimes

LOOPBACK: Final = Plant(1e12, 0.0)
"""The link of devices that run beside the broker: what it takes is in the measured travel already."""
SETTLE_S: Final = 3.0
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Row:
    """One figure of a real run, and what the simulation says of it."""

    devices: int
    rate: float
    what: str
    unit: str
    predicted: float
    margin: float
    """Half of the 95 % interval of the prediction, over windows."""
    measured: float

    @property
    def ratio(self) -> float:
        """Return the prediction over what was measured."""
        return self.predicted / self.measured if self.measured else float("nan")


@dataclass(frozen=True)
class Run:
    """What a real fleet did in the time that counts."""

    devices: int
    rate: float
    """Asked of each device."""
    seconds: float
    seen: tuple[Seen, ...]
    captured: int
    """By the devices' own counts, from their start to their end."""
    dropped: int
    in_flight: int
    worker_cpu: float
    """Cores' worth of processor time that the worker took, a share of one."""
    machine_cpu: float
    """Of all cores, the share that worked, for whatever."""


def run_fleet(
    devices: int, rate: float, seconds: float, times: FrameTimes, bundle: str, source: str | None, progress: Progress
) -> Run:
    """Return what so many real devices with one worker did for so many seconds.

    They start one after the other, so that their phases are their own; only then the time begins to count.
    """
    with installation(bundle) as at:
        shown = pictures(source, at.folder, Bundle.load(bundle), small=True)
        arguments = ["--bundle", bundle, "--split", times.split, "--codec", times.codec, "--rate", str(rate)]
        arguments = arguments if times.split != "device" else [*arguments[:4], *arguments[6:]]
        running = at.fleet(devices, shown, arguments, progress)
        wait(running, SETTLE_S, at.parts)
        begin_ns, begin_s, cpu_s, machine_s = time.time_ns(), time.monotonic(), at.cpu_s()["worker"], machine_busy_s()
        wait(running, seconds, at.parts)
        end_ns, spent_s = time.time_ns(), time.monotonic() - begin_s
        cpu_s, machine_s = at.cpu_s()["worker"] - cpu_s, machine_busy_s() - machine_s
        figures = [json.loads(line) for line in ended(running)]
        return Run(
            devices,
            rate,
            spent_s,
            _counted(at, begin_ns, end_ns),
            sum(one["captured"] for one in figures),
            sum(sum(one["dropped"].values()) for one in figures),
            sum(one["in_flight"] for one in figures),
            cpu_s / spent_s,
            machine_s / spent_s / (os.cpu_count() or 1),
        )


def check_load(devices: int, rates: Sequence[float], times: FrameTimes) -> None:
    """Pass if one worker bears all that is asked: a queue that grows has no latency. Raises: SettingsError."""
    for rate in rates:
        growing = full(uses(Load(devices, rate, times.left), LOOPBACK, times, 1))
        if growing is not None:
            raise SettingsError(
                f"rate: got {rate:g}/s of {devices} devices, expected under {rate / growing.share:.3g}/s, what the "
                f"{growing.name} bears here; lower --rate or --devices"
            )


def _counted(at: Installation, begin_ns: int, end_ns: int) -> tuple[Seen, ...]:
    """Return the frames that were captured in the time that counts. Raises: HeadwaterError if there are none."""
    found = tuple(one for one in at.seen() if begin_ns <= one.record.captured_ns < end_ns)
    if not found:
        raise HeadwaterError("no frame came back in the time that counts; give more --seconds or a higher --rate")
    return found


def compare(run: Run, times: FrameTimes, seed: int) -> list[Row]:
    """Return every figure of a real run beside what one device's times predict. Raises: PlanError for an overload."""
    load = Load(run.devices, run.rate, times.left)
    looked = windows(load, LOOPBACK, times, 1, seed, WINDOWS)
    rows = [_row(run, "worker busy", "", *_busy(looked, load, times), busy_share(run.seen))]
    for what, place, values in (
        ("wait at the worker", "worker", [one.inbox_s for one in run.seen]),
        ("capture to answer", None, [one.latency_s for one in run.seen]),
    ):
        real = np.percentile(values, PERCENTILES) * 1e3
        for at, (name, found) in enumerate(percentiles(looked, place).items()):
            rows.append(_row(run, f"{what}, {name}", "ms", found.value * 1e3, found.margin * 1e3, float(real[at])))
    return rows


def _busy(looked: Sequence[Any], load: Load, times: FrameTimes) -> tuple[float, float]:
    """Return the predicted share of the time between taking frames out and the store having them, as stages show it.

    Answering is part of a worker's work, and no stage holds it.
    """
    reply_s = sum(share * one.reply_s for one, share in kinds(times, load.leave))
    found = figure([one.worker_busy - load.total_per_s * reply_s for one in looked])
    return found.value, found.margin


def _row(run: Run, what: str, unit: str, predicted: float, margin: float, measured: float) -> Row:
    return Row(run.devices, run.rate, what, unit, predicted, margin, measured)


def busy_share(seen: Sequence[Seen]) -> float:
    """Return the share of the time in which the worker had some frame between inbox and store, by the stages."""
    spans = sorted(
        (end_s - one.worker_s, end_s) for one in seen for end_s in [one.record.stored_ns / 1e9 + one.stage_s("store")]
    )
    worked_s, free_s = 0.0, 0.0
    for begin_s, end_s in spans:
        worked_s += max(0.0, end_s - max(begin_s, free_s))
        free_s = max(free_s, end_s)
    return worked_s / (spans[-1][1] - spans[0][0])


def sentence(run: Run, times: FrameTimes) -> str:
    """Return what a real run counted, and how hard the machine worked."""
    share = frame_s(times, LOOPBACK, times.left)["worker"] * run.devices * run.rate
    return (
        f"{run.devices} devices x {run.rate:g}/s, {run.seconds:.0f} s: {run.captured} captured, {run.dropped} dropped, "
        f"{run.in_flight} in flight; {len(run.seen)} frames counted; worker load {share:.0%} by its full batches, "
        f"processor time {run.worker_cpu:.0%} of a core; all cores busy {run.machine_cpu:.0%}"
        f"{', so the processes waited for each other, which is not predicted' if run.machine_cpu > CROWDED else ''}"
    )
