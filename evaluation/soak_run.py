"""A long load on a whole installation, and every process of it looked at now and then."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from evaluation.load import Schedule
from evaluation.load_run import Loaded, Progress, SimulatedFleet, run_load
from evaluation.running import FLEET, START_S, Installation, installation, resident_bytes, with_children
from evaluation.soak import Sample, Trend, trends
from headwater.address import Address
from headwater.children import Child
from headwater.messages import Frame
from headwater.probes import free_port

WARM_UP: Final = 1 / 3
"""Of the time: caches fill, and the store comes to as many records as it keeps."""
TURNS: Final = 6
"""So often the store is filled in the warm-up."""
WINDOW: Final = 64
LEAST_HISTORY: Final = 1000
CAMERA: Final = "camera"
"""The one real device among the simulated ones."""
TRACKER: Final = b"resource_tracker"
"""In the command line of a process that Python starts beside several workers; it is none."""


@dataclass(frozen=True)
class Soaked:
    """What came of it."""

    loaded: Loaded
    samples: tuple[Sample, ...]
    answered: tuple[tuple[float, int], ...]
    """How many frames had their answer when."""
    trends: tuple[Trend, ...]
    from_s: float
    """What came before was warm-up."""


class Watch:
    """Looks at processes from a thread of its own."""

    def __init__(self, pids: Mapping[str, int], answered: Callable[[], int], every_s: float) -> None:
        """Take the processes by name; those that descend from the one called worker are looked at, too."""
        self._pids, self._answered, self._every_s = pids, answered, every_s
        self.samples: list[Sample] = []
        self.answered: list[tuple[float, int]] = []
        self._numbers: dict[int, int] = {}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look while the block runs."""
        over, began_s = threading.Event(), time.monotonic()
        thread = threading.Thread(target=self._run, args=(over, began_s), name="watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _run(self, over: threading.Event, began_s: float) -> None:
        while not over.wait(self._every_s):
            self.look(time.monotonic() - began_s)

    def look(self, at_s: float) -> None:
        """Look once."""
        self.answered.append((at_s, self._answered()))
        for name, pid in self._processes().items():
            found = _sample(at_s, name, pid)
            if found is not None:
                self.samples.append(found)

    def _processes(self) -> dict[str, int]:
        """Return each process under a name of its own; one that takes another's place has a new number."""
        found = dict(self._pids)
        with contextlib.suppress(OSError, KeyError):  # one has just ended, or there is no worker
            for pid in with_children(self._pids["worker"])[1:]:
                if TRACKER in Path(f"/proc/{pid}/cmdline").read_bytes():
                    continue
                found[f"worker {self._numbers.setdefault(pid, len(self._numbers) + 1)}"] = pid
        return found


def _sample(at_s: float, name: str, pid: int) -> Sample | None:
    """Return a process as it is now; None where there is none. Source: proc(5), /proc/PID/fd and /proc/PID/task."""
    place = Path(f"/proc/{pid}")
    try:
        files, threads = (sum(1 for _ in (place / kind).iterdir()) for kind in ("fd", "task"))
        return Sample(at_s, name, resident_bytes(pid), files, threads)
    except OSError:
        return None


def history_of(schedule: Schedule, seconds: float) -> int:
    """Return how many records the store is to keep: as many as come in a sixth of the warm-up.

    It is full then, and has been filled anew five times when it counts: what the old ones leave free fits the new ones
    only little by little. One that kept as many as come in 300 s came to rest after 1,300 s.
    """
    return max(LEAST_HISTORY, round(schedule.devices * (schedule.rate or 1.0) * seconds * WARM_UP / TURNS))


def camera(at: Installation, bundle: str, split: str) -> Child:
    """Return a real device that streams a picture a second. Raises: ChildError."""
    device = at.device(
        CAMERA, "pattern:", ["--bundle", bundle, "--split", split, "--rate", "1", "--log-level", "error"]
    )
    device.wait_for_line("ready", START_S)
    return device


@contextmanager
def watched_by_a_page(at: Installation) -> Iterator[Installation]:
    """Run a site of the installation, too, and read what it pushes to a page that stays open. Raises: ChildError."""
    from websockets.exceptions import WebSocketException
    from websockets.sync.client import connect
    from websockets.typing import Origin

    words = ("--broker", at.broker, "--store", at.store, "--fleet", FLEET, "--port", str(free_port()))
    site = at.parts.start("site", "visualizer", *words, "--log-level", "error")
    address = site.wait_for_line("listening", START_S).split()[1]
    with connect(address.replace("http", "ws", 1) + "/live", origin=Origin(address), proxy=None) as page:

        def read() -> None:
            with contextlib.suppress(WebSocketException):
                for _pushed in page:
                    pass

        reading = threading.Thread(target=read, name="page", daemon=True)
        reading.start()
        yield replace(at, pids={**at.pids, "site": site.pid})
    reading.join()


def soak(
    bundle: str, frames: Sequence[Frame], schedule: Schedule, seconds: float, every_s: float, processes: int,
    progress: Progress,
) -> Soaked:  # fmt: skip
    """Return what so many devices do to an installation on this machine in so long. Raises: HeadwaterError."""
    arguments = ("--history", str(history_of(schedule, seconds)))
    with installation(bundle, processes, arguments) as bare, watched_by_a_page(bare) as at:
        at.pids[CAMERA] = camera(at, bundle, frames[0].split).pid
        fleet = SimulatedFleet(Address.parse(at.broker), FLEET, frames, schedule, schedule.window(WINDOW))
        watch = Watch({**at.pids, "load": os.getpid()}, lambda: fleet.tally.counts.answered, every_s)
        try:
            fleet.connect()
            began_s = time.monotonic()

            def show(_done: int, _total: int) -> None:
                progress(round(time.monotonic() - began_s), round(seconds))

            with watch.watching():
                loaded = run_load(fleet, sys.maxsize, seconds, at, processes, show)
        finally:
            fleet.close()
    from_s = seconds * WARM_UP
    counted = [one for one in watch.samples if one.at_s <= seconds]  # behind it, the last answers are waited for
    return Soaked(loaded, tuple(counted), tuple(watch.answered), tuple(trends(counted, from_s)), from_s)
