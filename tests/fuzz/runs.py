"""A run: several processes that fuzz one target, watched, counted and added to the runs before it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.child import HEADER, MOST_BYTES
from tests.fuzz.engine import name_of
from tests.fuzz.judge import ROOT

HANG_S = 60.0
"""An input that a process has in hand for longer is a finding, and the process is ended."""
MOST_DEATHS = 20
SAY_EVERY_S = 5.0
LOOK_EVERY_S = 0.2
LOAD_LOOK_S = 0.02


@dataclass
class Tally:
    """What runs of one target have come to, those before this one too; the seconds without those of loading."""

    inputs: int = 0
    seconds: float = 0.0
    lines: set[str] = field(default_factory=set)
    answers: set[str] = field(default_factory=set)
    findings: dict[str, str] = field(default_factory=dict)
    """How the rule was broken, and the file of an input that does it."""

    @classmethod
    def read(cls, path: Path) -> Tally:
        """Return what was written; nothing where there is no such file."""
        if not path.is_file():
            return cls()
        said = json.loads(path.read_text())
        return cls(said["inputs"], said["seconds"], set(said["lines"]), set(said["answers"]), said["findings"])

    def write(self, path: Path) -> None:
        """Write it down, so that the next run goes on from here."""
        said = {**vars(self), "lines": sorted(self.lines), "answers": sorted(self.answers)}
        path.write_text(json.dumps(said))

    def line(self, name: str, begun: Tally) -> str:
        """Return it for people, with the speed since `begun`."""
        rate = (self.inputs - begun.inputs) / max(0.1, self.seconds - begun.seconds)
        reached = f"{len(self.lines)} lines, {len(self.answers)} answers"
        return f"{name}: {self.inputs:,} inputs, {rate:,.0f} inputs/s, {reached}, {len(self.findings)} findings"


CHILDREN = {"lines": "tests.fuzz.child", "atheris": "tests.fuzz.atheris_child"}
"""What may lead a run: our own loop, or Atheris where it is installed."""


class Process:
    """One process that fuzzes."""

    def __init__(
        self, name: str, folder: Path, corpus: Path, number: int, inputs: int, until_s: float, guide: str
    ) -> None:
        self._name, self._folder, self._corpus, self._number = name, folder, corpus, number
        self._module = CHILDREN[guide]
        self._inputs, self._until_s = inputs, until_s
        self.done_before, self.deaths = 0, 0
        self._bench, self._log = folder / f"bench-{number}", folder / f"log-{number}"
        self.start()

    def start(self) -> None:
        """Start it with the inputs that are left."""
        self._bench.write_bytes(bytes(HEADER.size + MOST_BYTES))
        seed = int.from_bytes(os.urandom(4), "big")
        left = (self._number, self._inputs - self.done_before, self._until_s, seed, self._corpus, self._folder)
        paths = os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))
        environment = {**os.environ, "PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        with self._log.open("wb") as log:
            self._child = subprocess.Popen(
                [sys.executable, "-m", self._module, self._name, *map(str, left)],
                cwd=ROOT, env=environment, stdout=log, stderr=log,
            )  # fmt: skip

    def in_hand(self) -> tuple[int, float, bytes]:
        """Return how many inputs are done, since when one is in hand (0: none is), and that one."""
        with self._bench.open("rb") as file:
            done, begun_s, size = HEADER.unpack(file.read(HEADER.size))
            return self.done_before + done, begun_s, file.read(size)

    def has_begun(self) -> bool:
        """Tell whether it has loaded what it needs and taken an input in hand, or has ended."""
        done, begun_s, _ = self.in_hand()
        return done > 0 or begun_s > 0 or self._child.poll() is not None

    def look(self) -> tuple[bool, str]:
        """Return whether it goes on, and what is to be said of the input in hand where that ended or held it."""
        status = self._child.poll()
        _, begun_s, _ = self.in_hand()
        if status is None:
            if not begun_s or time.monotonic() - begun_s < HANG_S:
                return True, ""
            self._child.kill()
            self._child.wait()
            return True, "hang"
        if status == 0:
            return False, ""
        if not begun_s:
            raise SystemExit(f"the process that fuzzes {self._name} failed: {self.last_words()}")
        return True, f"ended by {signal.Signals(-status).name}" if status < 0 else f"ended with {status}"

    def last_words(self) -> str:
        """Return the end of what it said."""
        return self._log.read_text(errors="replace")[-2000:]

    def stop(self) -> None:
        """End it."""
        if self._child.poll() is None:
            self._child.terminate()
            self._child.wait()


def run(
    name: str,
    folder: Path,
    corpus: Path,
    *,
    inputs: int,
    seconds: float,
    processes: int,
    say: Callable[[str], None],
    guide: str = "lines",
) -> Tally:
    """Fuzz a target until so many inputs are counted, all runs in this folder together, or for so long."""
    corpus.mkdir(parents=True, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    begun, began_s = Tally.read(folder / "tally.json"), time.monotonic()
    for old in folder.glob("told-*.json"):
        old.unlink()
    each = -(-max(0, inputs - begun.inputs) // processes)
    numbers = range(processes if each else 0)
    running = [Process(name, folder, corpus, n, each, began_s + seconds, guide) for n in numbers]
    crashes = dict[str, str]()
    try:
        began_s = said_s = _begun_s(running)
        for _ in _looks(running, crashes, folder):
            if time.monotonic() - said_s > SAY_EVERY_S:
                said_s = time.monotonic()
                say(_told(folder, running, begun, crashes, said_s - began_s).line(name, begun))
    finally:
        for process in running:
            process.stop()
        tally = _told(folder, running, begun, crashes, time.monotonic() - began_s)
        tally.write(folder / "tally.json")
    say(tally.line(name, begun))
    return tally


def _begun_s(running: list[Process]) -> float:
    """Return the moment at which the first process has begun: to load what is fuzzed takes seconds, which count not."""
    while running and not any(process.has_begun() for process in running):
        time.sleep(LOAD_LOOK_S)
    return time.monotonic()


def _looks(running: list[Process], crashes: dict[str, str], folder: Path) -> Iterator[None]:
    """Look after the processes until all have ended; one that an input ended begins again with the next."""
    going = list(running)
    while going:
        for process in tuple(going):
            goes_on, reason = process.look()
            if reason:
                crashes.setdefault(reason, _saved(folder, process.in_hand()[2]))
                process.done_before = process.in_hand()[0] + 1
                process.deaths += 1
                process.start()
            if not goes_on or process.deaths > MOST_DEATHS:
                going.remove(process)
        yield
        time.sleep(LOOK_EVERY_S if going else 0)


def _saved(folder: Path, data: bytes) -> str:
    place = folder / "findings"
    place.mkdir(exist_ok=True)
    (place / name_of(data)).write_bytes(data)
    return name_of(data)


def _told(folder: Path, running: list[Process], begun: Tally, crashes: dict[str, str], seconds: float) -> Tally:
    """Return the runs before, and what the processes of this one have told so far."""
    done = sum(process.in_hand()[0] for process in running)
    found = Tally(begun.inputs + done, begun.seconds + seconds, set(begun.lines), set(begun.answers))
    found.findings = {**begun.findings, **crashes}
    for path in folder.glob("told-*.json"):
        said = json.loads(path.read_text())
        found.lines.update(said["lines"])
        found.answers.update(said["answers"])
        found.findings = {**said["findings"], **found.findings}
    return found
