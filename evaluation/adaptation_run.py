"""A device behind a shaped link, on a throttled processor, in real processes: one drill at a time."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edge.decisions import read_log
from evaluation.adaptation import AUTO, Drill, Run, Seen, predicted_best
from evaluation.running import stored_records
from evaluation.shaped_link import WORKER, ShapedLink
from evaluation.slow_cpu import SlowCpu
from headwater.children import Child, start

BROKER_PORT, STORE_PORT = 18830, 16390
START_S: Final = 60.0
END_S: Final = 120.0
SETTLE_S: Final = 12.0
"""Before the first phase: workers load the model, the device looks about."""
PROFILE_S: Final = 600.0
PERIOD_US: Final = 10_000
"""Of the quota: with the kernel's own 100 ms a frame of 50 ms would not notice half a core."""


@dataclass(frozen=True)
class Stage:
    """Everything but the device: the link, the quota, broker, store and worker, and where files go."""

    link: ShapedLink
    cpu: SlowCpu
    folder: Path
    bundle: Path
    pictures: Path


@contextmanager
def stage(folder: Path, bundle: Path, pictures: Path) -> Iterator[Stage]:
    """Start broker, store and worker on the far side of a link, and take all away at the end."""
    with ExitStack() as running:
        link, cpu = running.enter_context(ShapedLink()), running.enter_context(SlowCpu())
        broker = ["broker", "run", "--host", WORKER, "--port", str(BROKER_PORT), "--folder", str(folder / "broker")]
        store = ["store", "run", "--port", str(STORE_PORT), "--folder", str(folder / "store"), "--no-append-only"]
        at = ["--broker", f"mqtt://{WORKER}:{BROKER_PORT}", "--store", f"redis://127.0.0.1:{STORE_PORT}"]
        worker = ["worker", "--processes", "1", *at, "--bundles", str(bundle.parent), "--log-level", "error"]
        for name, command, said in (
            ("broker", broker, "listening"), ("store", store, "listening"), ("worker", worker, "ready"),
        ):  # fmt: skip
            child = start(name, link.at_worker([sys.executable, "-P", "-m", "headwater", *command]))
            running.callback(child.stop, 20.0)
            child.wait_for_line(said, START_S)
        yield Stage(link, cpu, folder, bundle, pictures)


def measure_profile(at: Stage, drill: Drill) -> None:
    """Have the device measure its profile, which all runs of `auto` then read."""
    log, ends_s = at.folder / "spool" / "demo" / "camera.decisions.jsonl", time.monotonic() + PROFILE_S
    with _device(at, drill, AUTO) as device:
        while not _has_decided(log) and device.alive and time.monotonic() < ends_s:
            time.sleep(0.5)
        _figures(device)


def _has_decided(log: Path) -> bool:
    """Tell whether a device has decided by a profile."""
    return log.exists() and next(read_log(log), None) is not None


def splits_to_try(at: Stage, drill: Drill, count: int) -> list[str]:
    """Return the splits that the profile that was measured predicts to be best, at most `count`."""
    log = at.folder / "spool" / "demo" / "camera.decisions.jsonl"
    return predicted_best(list(read_log(log))[-1][0].ways, drill, count)


def go_through(at: Stage, drill: Drill, split: str, phase_s: float, tick: Callable[[], None]) -> Run:
    """Return one drill gone through with one split."""
    with _device(at, drill, split) as device:
        time.sleep(SETTLE_S)
        began_s = time.time()
        for phase in drill.phases:
            at.link.shape(phase.bandwidth_bits_per_s)
            at.cpu.hold(device.pid, phase.share, PERIOD_US)
            time.sleep(phase_s)
            tick()
        figures = _figures(device)
    frames = tuple(_seen(at, began_s, began_s + phase_s * len(drill.phases)))
    finished = sum(figures["finished"].values())
    return Run(drill, split, phase_s, frames, figures["captured"], finished, sum(figures["dropped"].values()))


@contextmanager
def _device(at: Stage, drill: Drill, split: str) -> Iterator[Child]:
    """Hand out a device that has begun, and see that it is gone afterwards."""
    first = drill.phases[0]
    at.link.shape(first.bandwidth_bits_per_s)
    chosen, _, codec = split.partition(" ")
    command = [
        *("edge", "--source", str(at.pictures), "--loop", "--rate", str(drill.rate), "--threads", "1"),
        *("--bundle", str(at.bundle), "--split", chosen, "--broker", f"mqtt://{WORKER}:{BROKER_PORT}"),
        *("--spool", str(at.folder / "spool"), "--name", "camera", "--drain", "60", "--json"),
        *(("--codec", codec) if codec else ()),
    ]
    words = [sys.executable, "-P", "-m", "headwater", *command]
    device = start("device", ["env", f"XDG_CACHE_HOME={at.folder / 'cache'}", *at.link.at_device(words)])
    try:
        at.cpu.hold(device.pid, first.share, PERIOD_US)
        device.wait_for_line("ready", START_S)
        yield device
    finally:
        device.stop()


def _figures(device: Child) -> dict[str, Any]:
    device.signal(signal.SIGTERM)
    found: dict[str, Any] = json.loads(device.wait_for_line("{", END_S))
    device.wait(END_S)
    return found


def _seen(at: Stage, begin_s: float, end_s: float) -> Iterator[Seen]:
    """Yield the frames captured in a span of time, from the store; all clocks are this machine's."""
    with at.link.inside_worker():
        records = stored_records(f"redis://127.0.0.1:{STORE_PORT}", "demo")
    for record in sorted(records, key=lambda record: record.captured_ns):
        captured_s = record.captured_ns / 1e9
        if begin_s <= captured_s < end_s:
            way = record.split if record.codec == "none" else f"{record.split} {record.codec}"
            yield Seen(captured_s - begin_s, (record.stored_ns - record.captured_ns) / 1e9, way)
