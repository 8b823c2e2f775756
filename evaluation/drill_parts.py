"""The processes of a drill: each can be killed, stopped, hung, and started again."""

from __future__ import annotations

import http.client
import json
import math
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import Final

from edge.spool import Spool
from evaluation.drill_count import Run
from headwater.children import Child, start
from headwater.demo import withheld
from headwater.errors import BrokerError, ChildError, SpoolError, StoreError
from headwater.servers import RunningServer

STOP_S: Final = 20.0
READY_S: Final = 60.0
REVIVE_S: Final = 1.0
"""What ended by itself is started again after this time, as systemd or a container engine would."""
ASK_S: Final = 1.0
_CAPTURED: Final = re.compile(r"^headwater_edge_frames_captured_total (\S+)$", re.MULTILINE)


class Server:
    """A broker or store that keeps its port and its folder from one start to the next."""

    def __init__(self, begin: Callable[[int], RunningServer]) -> None:
        """Start it; `begin` takes the port, 0 for a free one."""
        self._begin = begin
        self.running = begin(0)
        self.is_up = True

    @property
    def url(self) -> str:
        """Return its address."""
        return self.running.url

    def begin(self) -> None:
        """Start it again, on its port. Raises: BrokerError, StoreError."""
        ends_s = time.monotonic() + STOP_S
        while not self.is_up:
            try:
                self.running = self._begin(self.running.port)
                self.is_up = True
            except (BrokerError, StoreError):  # one of the many who try to connect may have the port for a moment
                if time.monotonic() > ends_s:
                    raise
                time.sleep(REVIVE_S)

    def kill(self) -> None:
        """End it with SIGKILL."""
        self.is_up = False
        self.running.child.kill()

    def stop(self) -> None:
        """End it in order."""
        self.is_up = False
        self.running.child.stop(STOP_S)

    def hang(self) -> None:
        """Stop its clock: connections stay open, nothing is answered."""
        self.running.child.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self.running.child.signal(signal.SIGCONT)


class Process:
    """A command of ours; one that ends by itself is started again."""

    def __init__(
        self, name: str, words: Callable[[], Sequence[str]], log: Path, env: Mapping[str, str], ready: str
    ) -> None:
        """Begin nothing yet; `ready` is how the line begins that says it is there."""
        self.name, self._words, self._log, self._env, self._ready = name, words, log, env, ready
        self.child: Child | None = None
        self.is_wanted, self.is_over, self.deaths, self._is_ready = False, False, 0, False
        self._revive_s = math.inf

    def begin(self) -> None:
        """Start it, unless it runs or is over."""
        if self.is_over or (self.child is not None and self.child.alive):
            return
        self.is_wanted, self._is_ready, self._revive_s = True, False, math.inf
        self.child = start(self.name, self._words(), log=self._log, env=self._env, without=withheld(os.environ))

    def wait_until_ready(self) -> None:
        """Return when it has said so. Raises: ChildError."""
        if self.child is not None and not self._is_ready:
            self.child.wait_for_line(self._ready, READY_S)
            self._is_ready = True

    def kill(self) -> None:
        """End it with SIGKILL."""
        self.is_wanted = False
        if self.child is not None:
            self.child.kill()

    def stop(self) -> None:
        """End it in order."""
        self.is_wanted = False
        if self.child is not None:
            self.child.stop(STOP_S)

    def hang(self) -> None:
        """Stop its clock, and that of all that it has started."""
        if self.child is not None:
            self.child.signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        if self.child is not None:
            self.child.signal_all(signal.SIGCONT)

    def remove(self) -> None:
        """End it for good, at once."""
        self.is_over = True
        if self.child is not None:
            self.child.kill()

    def look_after(self, now_s: float) -> None:
        """Note if it has ended by itself, and start it again a moment later."""
        if self.is_over or not self.is_wanted or self.child is None:
            return
        if self._revive_s == math.inf and not self.child.alive:
            self.ended(self.child.wait(STOP_S))
            self._revive_s = now_s + REVIVE_S
        elif now_s >= self._revive_s:
            self.begin()

    def ended(self, status: int) -> None:
        """Take note of an end that nobody asked for."""
        self.deaths += 1

    def last_words(self) -> str:
        """Return the last line of its log."""
        return self.child.last_words() if self.child is not None else ""


class Streamer(Process):
    """A command that streams so many pictures and then ends by itself; the rest is streamed by its next start."""

    def __init__(
        self, name: str, words: Callable[[int], Sequence[str]], log: Path, env: Mapping[str, str], frames: int
    ) -> None:
        """Begin nothing yet; `words` takes how many pictures are left."""
        super().__init__(name, lambda: words(self.left), log, env, "ready")
        self.left = frames

    def ended(self, status: int) -> None:
        """End well with status 0; with another it has died."""
        if status == 0:
            self.is_over = True
        else:
            super().ended(status)


class Camera(Streamer):
    """One device, and what it and its spool tell of its frames."""

    def __init__(
        self,
        name: str,
        words: Callable[[int, int], Sequence[str]],
        log: Path,
        env: Mapping[str, str],
        frames: int,
        spool: Path,
        port: int,
        inside: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """Begin nothing yet; `words` takes the pictures left and the port for figures, which is asked `inside`."""
        super().__init__(name, lambda left: words(left, port), log, env, frames)
        self._spool, self._port, self._inside = spool, port, inside
        self._began_ns = 0
        self.runs: list[Run] = []

    def begin(self) -> None:
        """Start it, unless it runs or is over."""
        if not self.is_over and (self.child is None or not self.child.alive):
            self._began_ns = time.time_ns()
        super().begin()

    def kill(self) -> None:
        """End it with SIGKILL, and look into its spool; one that has ended well is only noted."""
        if self.child is None or self.is_over or not self.is_wanted:
            return
        captured = self.captured()
        super().kill()
        if self.child.returncode == 0:
            self.ended(0)
        else:
            self._note_death(captured)

    def ended(self, status: int) -> None:
        """Keep the figures of one that has ended well, and what the spool of another holds."""
        if status == 0 and self.child is not None:
            figures = json.loads(self.child.wait_for_line("{", STOP_S))
            self.runs.append(Run(self._began_ns, figures))
        elif self.is_wanted:
            self._note_death(0)
        super().ended(status)

    def give_up(self) -> None:
        """Have it end now, with its figures; what it could not deliver counts as in flight."""
        if self.child is not None and self.is_wanted and not self.is_over:
            self.ended(self.child.stop(READY_S))
        self.is_over = True

    def captured(self) -> int:
        """Return how many pictures its running start has taken, as it says itself; 0 where it does not answer."""
        found = _CAPTURED.search(self._said("/metrics"))
        return int(float(found[1])) if found else 0

    def reasons(self) -> list[str]:
        """Return why its running start is unwell, as it says itself; none where it is well, or does not answer."""
        found: list[str] = json.loads(self._said("/health") or '{"reasons": []}')["reasons"]
        return found

    def _said(self, path: str) -> str:
        """Return what its running start answers there, whatever the status; nothing where it does not answer."""
        if self.child is None or not self.child.alive:
            return ""
        try:
            with self._inside(), closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=ASK_S)) as link:
                link.request("GET", path)
                return link.getresponse().read().decode()
        except (OSError, http.client.HTTPException):
            return ""

    def _note_death(self, captured: int) -> None:
        spooled = spooled_frames(self._spool)
        self.runs.append(Run(self._began_ns, None, captured, spooled))
        self.left = max(1, self.left - captured)


def spooled_frames(path: Path) -> frozenset[tuple[str, int]]:
    """Return boot and number of the frames in a spool that no process has open; of a copy, for reading changes it.

    Raises: SpoolError, also for one that is damaged: a SIGKILL never may.
    """
    if not path.exists():
        return frozenset()
    with tempfile.TemporaryDirectory(prefix="headwater-spool-") as folder:
        for file in path.parent.glob(f"{path.name}*"):
            shutil.copy(file, folder)
        spool = Spool(Path(folder) / path.name, sys.maxsize)
        try:
            if spool.mended:
                raise SpoolError(f"spool {path}: found damaged, with {spool.lost_before} frames lost")
            return frozenset((key.boot, key.sequence) for key in spool.keys())  # noqa: SIM118  not a mapping
        finally:
            spool.close()


def wait_until_ready(processes: Sequence[Process]) -> None:
    """Return when all have said so. Raises: ChildError."""
    for process in processes:
        try:
            process.wait_until_ready()
        except ChildError as error:
            raise ChildError(process.name, "did not start", error.last_words) from None
