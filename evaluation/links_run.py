"""Measure what is missing of `headwater evaluate links`: real processes on both sides of a real link."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Final

import msgspec

from edge.rehearsal import drawn_pictures, rehearse
from evaluation.line import LONG_S, REPEAT_S
from evaluation.links import Device, Link, Measured, Ran
from evaluation.links_device import ROW, RUN_S, Task
from evaluation.links_records import Records, Tried
from evaluation.shaped_link import WORKER, ShapedLink
from evaluation.slow_cpu import SlowCpu
from evaluation.small_memory import SmallMemory
from headwater.children import Child, start
from headwater.errors import ChildError, HeadwaterError
from models.bundle import Bundle
from models.engine import Engine
from models.profile import Progress
from planning.ways import Conditions, Way, journey

CODECS: Final = ("native", "png", "jpeg:90")
"""Activations as they are; the picture without loss, and as a device sends it by default."""
HIDDEN: Final = ("INFO: ",)
START_S: Final = 60.0
_STARTING_CPU_S: Final = 1.5
"""What a device takes to start, on a whole core; worker and relay together take as long."""
_PATIENCE: Final = 10
"""So many times what is expected may a row take, before its device counts as lost."""

Bar = Callable[[str], AbstractContextManager[Progress]]


class Killed(HeadwaterError):
    """A device took more memory than it may have."""

    def __init__(self, device: Device, way: Way) -> None:
        super().__init__(f"{device.name} was killed with {way.name} at its limit of {device.memory_bytes} B")


def measure(
    records: Records, bundles: Mapping[str, Bundle], grid: Sequence[tuple[Link, Device]], bar: Bar,
    tell: Callable[[str], None],
) -> None:  # fmt: skip
    """Measure what is not among the records yet. Raises: SettingsError, MissingPart, ChildError.

    Of a device that its limit of memory kills it is told, and its other ways are left out.
    """
    for net, bundle in bundles.items():
        records.check(net, bundle.digest)
    places = [(net, link, device) for net in bundles for link, device in grid]
    if all(net in records.known.tried for net in bundles) and not any(records.missing(*place) for place in places):
        return
    with ShapedLink() as between, SlowCpu() as cpu:
        for net in (net for net in bundles if net not in records.known.tried):
            records.keep(net, try_out(net, bundles[net], bar))
        missing = {place: ways for place in places if (ways := records.missing(*place))}
        total, done = sum(map(len, missing.values())), 0
        left_s = sum(expected_s(ways, place[1], place[2], records.known.runs) for place, ways in missing.items())
        tell(f"{total} ways to measure, in about {timedelta(seconds=round(left_s))}")
        with bar("measuring") as progress:
            for (net, link, device), ways in missing.items():
                try:
                    for row in _measured(net, bundles[net], link, device, ways, records.known.runs, between, cpu):
                        records.add(row)
                        done += 1
                        progress(done, total)
                except Killed as error:
                    tell(f"{net} over {link.name}: {error}; its other ways are left out")


def try_out(net: str, bundle: Bundle, bar: Bar) -> Tried:
    """Return a network's ways as tried here on a whole core; its exits, if it has some, are not asked."""
    engine = Engine(bundle.model_path, outputs=bundle.finals, max_cached_parts=1)
    with bar(f"trying {net}") as progress:
        ways = rehearse(replace(bundle, exits=()), engine, drawn_pictures(1), codecs=CODECS, progress=progress)
    return Tried(bundle.digest, ways)


def expected_s(ways: Sequence[Way], link: Link, device: Device, runs: int) -> float:
    """Return how long it will take to measure these ways over a link from a device."""
    each = (row_s(way, link, device, runs) for way in ways)
    return _STARTING_CPU_S * (1 + 1 / device.share) + sum(each) if ways else 0.0


def row_s(way: Way, link: Link, device: Device, runs: int) -> float:
    """Return the same for one way."""
    frame = journey(way, Conditions(link.bandwidth_bits_per_s, link.round_trip_s, 1 / device.share))
    trip_s = frame.total_s - frame.device_s + link.round_trip_s / 2
    travels_s = trip_s if trip_s > LONG_S else max(REPEAT_S, runs * trip_s)
    return runs * max(RUN_S, frame.device_s) + 1.1 * travels_s  # some waits between them


def _measured(
    net: str, bundle: Bundle, link: Link, device: Device, ways: Sequence[Way], runs: int, between: ShapedLink,
    cpu: SlowCpu,
) -> Iterator[Ran]:  # fmt: skip
    """Yield these ways over one link from one device, each when it is measured."""
    between.shape(link.bandwidth_bits_per_s)
    with ExitStack() as stack:
        port = _listening(stack, between, "worker", "evaluation.regret_worker", WORKER, str(bundle.folder))
        port = _listening(
            stack, between, "relay", "evaluation.delaying_relay", WORKER, str(port), str(link.round_trip_s / 2)
        )
        cuts = [(way.split, way.codec) for way in ways]
        task = Task(str(bundle.folder), cuts, runs, device.share, port, link.bandwidth_bits_per_s)
        words = [sys.executable, "-m", "evaluation.links_device", msgspec.json.encode(task).decode()]
        command, memory = between.at_device(words), None
        if device.memory_bytes is not None:
            memory = stack.enter_context(SmallMemory(device.memory_bytes))
            command = memory.inside(command)
        child = stack.enter_context(start("device", command, hide=HIDDEN))
        if device.memory_bytes is None:  # one group at a time, where the kernel has one tree of them
            cpu.hold(child.pid, device.share)
        for way in ways:
            row = _row(child, device, way, START_S / device.share + _PATIENCE * row_s(way, link, device, runs))
            charged_bytes = memory.peak_bytes if memory else 0
            yield Ran(net=net, link=link.name, device=device.name, charged_bytes=charged_bytes, **asdict(row))


def _row(child: Child, device: Device, way: Way, deadline_s: float) -> Measured:
    try:
        line = child.wait_for_line(ROW, deadline_s)
    except ChildError as error:
        if device.memory_bytes is not None and not child.alive and child.wait(1.0) == -signal.SIGKILL:
            raise Killed(device, way) from error
        raise
    return msgspec.json.decode(line.removeprefix(ROW), type=Measured)


def _listening(stack: ExitStack, between: ShapedLink, name: str, module: str, *arguments: str) -> int:
    """Return the port at which a process on the worker's side listens."""
    child = start(name, between.at_worker([sys.executable, "-m", module, *arguments]), hide=HIDDEN)
    stack.callback(_end, child)
    return int(child.wait_for_line("port ", START_S).split()[1])


def _end(child: Child) -> None:
    """Wait for a process that ends with its connection, and see that it does."""
    with contextlib.suppress(ChildError):
        child.wait(5.0)
    child.stop()
