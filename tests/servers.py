"""Real servers for tests, each on a free port of the loopback address, ended with the test.

Fixtures, available everywhere below tests/ (tests/conftest.py):

    mosquitto         Debian's mosquitto             BrokerUnderTest
    iotcore_broker    pip's iotcore                  BrokerUnderTest
    broker            the test runs with each of the two
    valkey            pip's Valkey, append-only      StoreUnderTest

All have `.url`, `.host`, `.port`, `.stop()`, `.start()` (same port and folder), `.restart()`, `.kill()` (SIGKILL),
`.pause()` and `.resume()` (SIGSTOP, SIGCONT). mosquitto and Valkey keep their data over all of these.

A test that needs another program or package says so:

    from tests.servers import need, eventually
    need("gpsd")                      # a program, or need(package="selenium")

At home the test is then skipped where that is missing; with the environment variable CI set it fails.
`eventually(lambda: ..., deadline_s)` polls and returns what the function returned last.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from broker.embedded import MORE_FOLDERS, Kind, start_broker
from cloud_worker.embedded_store import start_store
from headwater.errors import BrokerError, StoreError
from headwater.servers import RunningServer

T = TypeVar("T")


def need(program: str | None = None, *, package: str | None = None) -> str:
    """Return the program's path (or the package's name); without it skip the test, or fail it when CI is set."""
    if program is not None:
        found = shutil.which(program, path=os.pathsep.join((os.environ.get("PATH", ""), *MORE_FOLDERS)))
        if found:
            return found
    elif package is not None and importlib.util.find_spec(package):
        return package
    what = f"{program or package} is not installed"
    if os.environ.get("CI"):
        pytest.fail(f"{what}, and CI is set; see .ci/run", pytrace=False)
    pytest.skip(what)


def eventually(what: Callable[[], T], deadline_s: float = 30.0) -> T:
    """Return the first true value of `what()`, or its last one when the deadline passes."""
    until = time.monotonic() + deadline_s
    while not (value := what()) and time.monotonic() < until:
        time.sleep(0.01)
    return value


def listens(port: int) -> bool:
    """Return whether somebody takes connections at a port here; to look is not in the way of who begins to."""
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def holds_in_one_of(tries: int, check: Callable[[], None]) -> None:
    """Run a check of measured times until it holds; what a busy machine spoils now and then, a fault spoils always."""
    for left in reversed(range(tries)):
        try:
            check()
        except AssertionError:
            if not left:
                raise
        else:
            return


def heard(line: socket.socket) -> bytes:
    """Return what comes until the other side hangs up; a time-out is an error."""
    got = bytearray()
    try:
        while more := line.recv(65_536):
            got += more
    except ConnectionResetError:
        pass
    return bytes(got)


def peak_bytes(pid: int) -> int:
    """Return the most memory that a process has held. Source: proc(5), VmHWM."""
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


class _UnderTest:
    """What brokers and stores under test have in common."""

    def __init__(self, begin: Callable[[int], RunningServer]) -> None:
        self._begin = begin
        self.running = begin(0)

    @property
    def url(self) -> str:
        return self.running.url

    @property
    def host(self) -> str:
        return self.running.host

    @property
    def port(self) -> int:
        return self.running.port

    @property
    def pid(self) -> int:
        return self.running.child.pid

    def start(self) -> None:
        """Start it again on the same port and folder."""
        assert eventually(self._is_begun), f"port {self.port} is not to be had again"

    def _is_begun(self) -> bool:
        try:
            self.running = self._begin(self.port)
        except (BrokerError, StoreError):  # one of the many who try to connect may have the port for a moment
            return False
        return True

    def stop(self) -> None:
        """End it in order (SIGTERM); its port then refuses connections."""
        self.running.stop()

    def kill(self) -> None:
        """End it with SIGKILL."""
        self.running.child.kill()

    def restart(self) -> None:
        """End it in order and start it again."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Stop its clock: connections stay open, nothing is answered."""
        self.running.child.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        self.running.child.signal(signal.SIGCONT)


class BrokerUnderTest(_UnderTest):
    """A broker that can be stopped, killed, paused and started again on the same port and folder."""

    def __init__(self, kind: Kind, folder: Path) -> None:
        self.kind, self.folder = kind, folder
        super().__init__(lambda port: start_broker(kind, port=port, folder=folder))


class StoreUnderTest(_UnderTest):
    """A Valkey that can be stopped, killed, paused and started again on the same port and folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        super().__init__(lambda port: start_store(port, folder))
