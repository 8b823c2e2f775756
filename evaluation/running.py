"""A Headwater on this machine to be measured: real broker, store, worker and devices, and what they have recorded."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import redis

from broker.embedded import start_broker
from cloud_worker.embedded_store import start_store
from edge.rehearsal import drawn_pictures
from headwater.children import Child
from headwater.demo import Parts, withheld
from headwater.errors import ChildError, SettingsError
from headwater.host import memory_bytes
from headwater.messages import Record, StoredJourney, decode_json
from models.bundle import Bundle
from models.pictures import encode_jpeg, fit

FLEET: Final = "measured"
START_S: Final = 120.0
END_S: Final = 60.0
POLL_S: Final = 0.2
TOGETHER: Final = 6
"""Devices that start at once: each takes a second of a core before it is ready."""
DEVICE_BYTES: Final = 110_000_000
"""What one device process is reckoned to hold; `make bench` measures 80 MB."""
PICTURES: Final = 6


@dataclass(frozen=True)
class Seen:
    """One finished frame: what the store keeps of it, and what its device measured."""

    record: Record
    journey: StoredJourney

    @property
    def device_s(self) -> float:
        """Return the device's time, from the start of the capture until the message is encoded."""
        return self._sum_s("capture", "crop", "head", "encode")

    @property
    def inbox_s(self) -> float:
        """Return how long it waited in the worker's inbox."""
        return self._sum_s("inbox")

    @property
    def worker_s(self) -> float:
        """Return the time from being taken out of the inbox until the store had it."""
        return self._sum_s("decode", "batch", "tail", "store")

    @property
    def latency_s(self) -> float:
        """Return the time from the start of the capture until the device had the answer, its own or the worker's."""
        return self.device_s if self.record.finished_by == "device" else self.back_s

    @property
    def back_s(self) -> float:
        """Return the time from the start of the capture until the result was back, whoever finished the frame."""
        return self.journey.total_ns / 1e9

    def stage_s(self, stage: Any) -> float:
        """Return the time of one stage, 0 where it has none."""
        return self.record.stages_ns.get(stage, 0) / 1e9

    def _sum_s(self, *stages: Any) -> float:
        return sum(self.stage_s(stage) for stage in stages)


@dataclass(frozen=True)
class Installation:
    """A running broker, store and worker, and the folder of what they keep."""

    broker: str
    store: str
    pids: dict[str, int]
    """Of broker, store and worker; several processes of a worker are children of that one."""
    folder: Path
    parts: Parts

    def device(self, name: str, source: str, arguments: Sequence[str]) -> Child:
        """Return a device process that has been started."""
        at = ["--broker", self.broker, "--fleet", FLEET, "--name", name, "--spool", str(self.folder / "spool" / name)]
        return self.parts.start(name, "edge", "--source", source, "--loop", "--threads", "1", "--json", *at, *arguments)

    def fleet(
        self, count: int, source: str, arguments: Sequence[str], ready: Callable[[int, int], None]
    ) -> list[Child]:
        """Return so many device processes, all of them streaming. Raises: ChildError."""
        devices: list[Child] = []
        while len(devices) < count:
            some = range(len(devices), min(len(devices) + TOGETHER, count))
            starting = [self.device(f"camera-{number:04}", source, arguments) for number in some]
            for device in starting:
                device.wait_for_line("ready", START_S)
            devices += starting
            ready(len(devices), count)
        return devices

    def cpu_s(self) -> dict[str, float]:
        """Return the processor time that broker, store and worker have taken so far."""
        return {name: sum(map(cpu_s, with_children(pid))) for name, pid in self.pids.items()}

    def resident_bytes(self) -> dict[str, int]:
        """Return the memory that broker, store and worker hold now."""
        return {name: sum(map(resident_bytes, with_children(pid))) for name, pid in self.pids.items()}

    def records(self) -> list[Record]:
        """Return every frame in the store."""
        return stored_records(self.store, FLEET)

    def journeys(self) -> list[StoredJourney]:
        """Return what devices have told of their frames' journeys."""
        return [decode_json(StoredJourney, entry[b"journey"]) for entry in _stored(self.store, FLEET, "journeys")]

    def seen(self) -> list[Seen]:
        """Return every frame in the store of which its device told the journey, too."""
        by_id = {(one.device, one.boot, one.sequence): one for one in self.journeys()}
        both = [(record, by_id.get((record.device, record.boot, record.sequence))) for record in self.records()]
        return [Seen(record, journey) for record, journey in both if journey is not None]


def stored_records(store: str, fleet: str) -> list[Record]:
    """Return every frame of a fleet in a store."""
    return [decode_json(Record, entry[b"record"]) for entry in _stored(store, fleet, "results")]


def _stored(store: str, fleet: str, stream: str) -> list[dict[bytes, bytes]]:
    with redis.Redis.from_url(store) as client:
        found: Any = client.xrange(f"headwater:{fleet}:{stream}")
    return [entry for _, entry in found]


@contextmanager
def installation(bundle: str, processes: int = 1, arguments: Sequence[str] = ()) -> Iterator[Installation]:
    """Run a broker, a store and one worker of so many processes that knows a bundle; all are stopped at the end.

    `arguments` are further ones of the worker. One process alone has no parent: what is measured of it is its own.
    """
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="headwater-fleet-")))
        broker, store = running.enter_context(start_broker()), running.enter_context(start_store())
        parts = Parts(running, withheld(os.environ, own_broker=False))
        path = Path(bundle)
        bundles = ["--bundles", str(path if path.is_dir() else path.parent)] if path.exists() else []
        at = [
            "--broker",
            broker.url,
            "--store",
            store.url,
            "--fleet",
            FLEET,
            "--log-level",
            "warning",
            *bundles,
            *arguments,
        ]
        at += ["--in-hand-file", str(folder / "in-hand")] if processes == 1 else []
        worker = parts.start("worker", "worker", "--processes", str(processes), "--name", "worker-1", *at)
        worker.wait_for_line("ready", START_S)
        pids = {"broker": broker.child.pid, "store": store.child.pid, "worker": worker.pid}
        yield Installation(broker.url, store.url, pids, folder, parts)


def wait(children: Sequence[Child], seconds: float, parts: Parts) -> None:
    """Return after so many seconds, or when one has ended. Raises: ChildError for a server or worker that is gone."""
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s and all(child.alive for child in children):
        parts.check()
        time.sleep(min(POLL_S, max(0.0, until_s - time.monotonic())))


def ended(devices: Sequence[Child]) -> list[str]:
    """Ask all devices to end and return each one's last line, its figures as JSON. Raises: ChildError."""
    for device in devices:
        if device.alive:
            device.signal(signal.SIGTERM)
    lines = []
    for device in devices:
        lines.append(device.wait_for_line("{", END_S))
        status = device.wait(END_S)
        if status != 0:
            raise ChildError(device.name, f"ended with status {status}", device.last_words())
    return lines


def cpu_s(pid: int) -> float:
    """Return the processor time that all threads of a process have taken so far. Source: proc(5), stat, 14 and 15."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def with_children(pid: int) -> list[int]:
    """Return a process and all that descend from it. Source: proc(5), /proc/PID/task/TID/children."""
    found = [pid]
    for thread in Path(f"/proc/{pid}/task").iterdir():
        for child in (thread / "children").read_text().split():
            found += with_children(int(child))
    return found


def resident_bytes(pid: int) -> int:
    """Return the memory that a process holds now. Source: proc(5), statm, the second number."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def waited_for_core_s(pid: int) -> float:
    """Return how long a process's first thread was ready and got no core; 0 where the kernel does not tell.

    Source: the kernel's sched-stats.rst, /proc/PID/schedstat, the second number.
    """
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


def machine_busy_s() -> float:
    """Return the time that all processors together have worked so far. Source: proc(5), /proc/stat, the first line."""
    user, nice, system, _idle, _io, irq, softirq, *_ = map(
        int, Path("/proc/stat").read_text().split("\n")[0].split()[1:]
    )
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def check_memory(devices: int) -> None:
    """Pass if so many device processes fit. Raises: SettingsError."""
    found = memory_bytes()
    free = None if found is None else found[1]
    if free is not None and devices * DEVICE_BYTES > free:
        most = free // DEVICE_BYTES
        raise SettingsError(
            f"devices: got {devices}, expected at most {most}: each process takes about {DEVICE_BYTES / 1e6:.0f} MB "
            f"and {free / 1e9:.1f} GB are free; lower --devices"
        )


def pictures(source: str | None, folder: Path, bundle: Bundle, *, small: bool) -> str:
    """Return where devices take pictures from: what was given, else drawn ones, as a camera's JPEG files.

    Small ones have the network's own size and need no decoding: devices that run beside the worker then leave it the
    processor. Raises: SettingsError.
    """
    if source is not None:
        return source
    if bundle.input.crop == "face":
        raise SettingsError("the bundle looks at faces, and drawn pictures have none; give some (--source FOLDER)")
    drawn = folder / "pictures"
    drawn.mkdir(parents=True, exist_ok=True)
    width, height = bundle.input.width, bundle.input.height
    for number, picture in enumerate(drawn_pictures(PICTURES)):
        if small:
            pixels = fit(picture, width, height).tobytes()
            (drawn / f"{number}.ppm").write_bytes(b"P6 %d %d 255\n" % (width, height) + pixels)
        else:
            (drawn / f"{number}.jpg").write_bytes(encode_jpeg(picture, 90))
    return str(drawn)
