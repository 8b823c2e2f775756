"""`headwater top` beside a real device, broker and store: in a terminal of its own, in a pipe, as JSON."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from rich.cells import cell_len

from headwater.probes import free_port
from tests.integration.test_device import Bench
from tests.servers import BrokerUnderTest, StoreUnderTest, eventually
from tests.visualizer.fake_fleet import FakeDevice, add, broker_session, fleet_of, say

SOON_S = 30.0
COMMANDS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]")
ALTERNATE, BACK = "\x1b[?1049h", "\x1b[?1049l"
HIDDEN, SHOWN = "\x1b[?25l", "\x1b[?25h"


class Terminal:
    """A terminal of a certain size in which the command runs; everything that it was sent is kept."""

    def __init__(self, *arguments: str, columns: int = 80, rows: int = 24) -> None:
        self._ours, self._its = pty.openpty()
        self.resize(columns, rows)
        self.settings = termios.tcgetattr(self._its)
        clean = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "headwater", "top", *arguments],
            stdin=self._its, stdout=self._its, stderr=self._its, env={**clean, "TERM": "xterm-256color"},
            start_new_session=True,
        )  # fmt: skip
        self._sent = bytearray()
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        while True:
            try:
                piece = os.read(self._ours, 65_536)
            except OSError:
                return
            self._sent += piece

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size."""
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def press(self, key: str) -> None:
        """Press a key."""
        os.write(self._ours, key.encode())

    @property
    def sent(self) -> str:
        """Everything that the terminal was sent."""
        return self._sent.decode(errors="replace")

    @property
    def lines(self) -> list[str]:
        """The screen that was drawn last, as far as it came."""
        drawn = self.sent.rpartition("\x1b[H")[2]
        return [line.rstrip() for line in COMMANDS.sub("", drawn).replace("\r", "").split("\n")]

    def shows(self, text: str) -> bool:
        """Tell whether a line of the screen holds a text."""
        return any(text in line for line in self.lines)

    def ended(self) -> int:
        """Return the exit status; the terminal is as it was before."""
        status = self.process.wait(SOON_S)
        assert termios.tcgetattr(self._its) == self.settings
        assert eventually(lambda: self.sent.count(ALTERNATE) == self.sent.count(BACK) == 1)
        assert self.sent.rfind(SHOWN) > self.sent.rfind(HIDDEN) > 0
        return status

    def close(self) -> None:
        """End what runs and give the terminal back."""
        self.process.kill()
        self.process.wait()
        os.close(self._its)
        self._reading.join(SOON_S)
        os.close(self._ours)


Open = Callable[..., Terminal]


@pytest.fixture
def terminal() -> Iterator[Open]:
    """Open terminals, and close them at the end."""
    opened: list[Terminal] = []

    def one(*arguments: str, **size: int) -> Terminal:
        opened.append(Terminal(*arguments, **size))
        return opened[-1]

    yield one
    for each in opened:
        each.close()


@pytest.fixture
def fleet(mosquitto: BrokerUnderTest) -> Iterator[Callable[..., None]]:
    """Let devices say how they stand, retained."""
    session = broker_session(mosquitto.url)

    def said(*devices: FakeDevice, **how: Any) -> None:
        for device in devices:
            say(session, device.status(time.time_ns(), **how))

    yield said
    session.stop()


def top(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a pipe."""
    words = [sys.executable, "-m", "headwater", "top", *arguments]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)


def told(*arguments: str) -> dict[str, Any]:
    """Return what the command says as JSON."""
    done = top("--json", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_running_device_and_its_worker_are_told_as_they_are(bench: Bench) -> None:
    """What the device says of itself, how long its frames take, and who answers them."""
    worker = bench.worker()
    bench.device("--rate", "20", "--loop")
    assert eventually(lambda: worker.statuses and worker.statuses[-1].finished.worker > 20, SOON_S)
    found = told("--broker", bench.url, "--interval", "3")
    (device,) = found["devices"]
    assert (device["name"], device["state"], device["split"]) == ("cam1", "online", "add")
    assert device["frames_per_s"] == pytest.approx(20, rel=0.5)
    assert 0 < device["stored_p50_ms"] <= device["stored_p95_ms"] < 10_000
    assert (device["dropped"], device["left_early"]) == (0, 0.0)
    assert device["clock_uncertainty_ms"] > 0
    assert abs(device["clock_offset_ms"]) < 1000
    (answering,) = found["workers"]
    assert answering["name"] == "fake"
    assert answering["frames_per_s"] == pytest.approx(20, rel=0.5)
    assert (found["totals"]["online"], found["unreadable"], found["away_s"]) == (1, 0, None)


def test_frames_that_are_sent_again_are_told(bench: Bench) -> None:
    """Without an answer the device sends them again, and they wait."""
    bench.worker(answers=False)
    bench.device("--timeout", "0.2", pictures=5)
    assert eventually(lambda: told("--broker", bench.url, "--interval", "0.2")["totals"]["resent"] > 5, SOON_S)
    (device,) = told("--broker", bench.url, "--interval", "2")["devices"]
    assert (device["in_flight"], device["finished"], device["clock_offset_ms"]) == (5, 0, None)
    assert device["spool_bytes"] > 0


def test_a_pipe_gets_one_plain_table(mosquitto: BrokerUnderTest, fleet: Callable[..., None]) -> None:
    """Every column, no command of a terminal, and then the end."""
    fleet(*fleet_of(3))
    fleet(FakeDevice("gone"), online=False)
    done = top("--broker", mosquitto.url, "--interval", "2", "--sort", "state")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    rows = done.stdout.splitlines()
    assert rows[1].startswith("4 devices: 3 online, 1 offline")
    assert rows[3].split()[0] == "DEVICE"
    assert rows[3].split()[-1] == "CODEC"
    assert [row.split()[0] for row in rows[4:8]] == ["gone", "cam1", "cam2", "cam3"]


def test_an_empty_fleet_is_told_in_words(mosquitto: BrokerUnderTest) -> None:
    """And is no error."""
    done = top("--broker", mosquitto.url, "--interval", "0.3", "--fleet", "nobody", "--once")
    assert done.returncode == 0
    assert "No device of the fleet nobody has said anything yet." in done.stdout


def test_the_store_tells_of_frames_before_the_start(
    mosquitto: BrokerUnderTest, valkey: StoreUnderTest, fleet: Callable[..., None]
) -> None:
    """How long they took, though not one came while it listened; junk in the store is counted."""
    device = FakeDevice("cam1")
    with redis.Redis.from_url(valkey.url) as store:
        for _ in range(50):
            add(store, device.journey(device.record(time.time_ns())))
        store.xadd("headwater:demo:journeys", {"journey": "junk"})
    fleet(device)
    quick = ("--broker", mosquitto.url, "--interval", "2")
    assert told(*quick)["devices"][0]["stored_p95_ms"] is None
    found = told(*quick, "--store", valkey.url)
    assert 0 < found["devices"][0]["stored_p50_ms"] < found["devices"][0]["stored_p95_ms"]
    assert found["unreadable"] == 1


def test_a_broker_or_store_that_is_not_there_is_one_line(mosquitto: BrokerUnderTest) -> None:
    """With what to do about it, and status 2."""
    nowhere = free_port()
    for arguments, words in (
        (["--broker", f"mqtt://127.0.0.1:{nowhere}"], "no session with mqtt://127.0.0.1"),
        (["--broker", mosquitto.url, "--store", f"redis://127.0.0.1:{nowhere}"], "store: "),
    ):
        done = top("--once", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"headwater: error: {words}")


def test_a_terminal_shows_the_fleet_live(
    mosquitto: BrokerUnderTest, fleet: Callable[..., None], terminal: Open
) -> None:
    """What changes is shown, s sorts, q leaves, and the terminal is as before."""
    fleet(FakeDevice("cam1"), FakeDevice("cam2"))
    screen = terminal("--broker", mosquitto.url, "--interval", "0.2")
    assert eventually(lambda: screen.shows("2 devices: 2 online"), SOON_S), screen.sent
    fleet(FakeDevice("cam2"), online=False)
    assert eventually(lambda: screen.shows("2 devices: 1 online, 1 offline"), SOON_S)
    assert screen.shows("by name")
    screen.press("s")
    assert eventually(lambda: screen.shows("by state"), SOON_S)
    assert eventually(lambda: [line.split()[0] for line in screen.lines[4:6]] == ["cam2", "cam1"], SOON_S)
    screen.press("x")
    screen.press("q")
    assert screen.ended() == 0


def test_another_size_of_the_terminal_is_drawn_at_once(
    mosquitto: BrokerUnderTest, fleet: Callable[..., None], terminal: Open
) -> None:
    """Without waiting for the next look; every line fits, down to a stamp's size and up again."""
    fleet(*fleet_of(30))
    screen = terminal("--broker", mosquitto.url, "--interval", "3600", columns=100, rows=20)
    assert eventually(lambda: screen.shows("cam1 "), SOON_S), screen.sent
    for columns, rows in ((40, 10), (20, 5), (4, 1), (160, 50), (80, 24)):
        before = len(screen.sent)
        screen.resize(columns, rows)

        def fits(columns: int = columns, rows: int = rows, before: int = before) -> bool:
            drawn = screen.lines
            return len(screen.sent) > before and len(drawn) == rows and max(map(cell_len, drawn)) <= columns

        assert eventually(fits, SOON_S), (columns, rows, screen.lines)
    assert eventually(lambda: screen.shows("30 devices"), SOON_S)
    assert screen.process.poll() is None
    screen.press("q")
    assert screen.ended() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_order(
    mosquitto: BrokerUnderTest, fleet: Callable[..., None], terminal: Open, number: signal.Signals
) -> None:
    """Ctrl-C is the usual way to leave, and no error."""
    fleet(FakeDevice("cam1"))
    screen = terminal("--broker", mosquitto.url)
    assert eventually(lambda: screen.shows("cam1"), SOON_S), screen.sent
    screen.process.send_signal(number)
    assert screen.ended() == 0


def test_a_broker_that_goes_away_is_told_and_comes_back(
    mosquitto: BrokerUnderTest, fleet: Callable[..., None], terminal: Open
) -> None:
    """What was known stays on the screen meanwhile, and nothing tears it."""
    fleet(FakeDevice("cam1"))
    screen = terminal("--broker", mosquitto.url, "--interval", "0.2")
    assert eventually(lambda: screen.shows("cam1"), SOON_S), screen.sent
    mosquitto.stop()
    assert eventually(lambda: screen.shows("the broker has been away for"), SOON_S)
    assert screen.shows("cam1")
    mosquitto.start()
    assert eventually(lambda: screen.shows("by name"), SOON_S)
    assert "WARNING" not in screen.sent
    screen.press("q")
    assert screen.ended() == 0


def test_once_in_a_terminal_is_as_wide_as_it_is(
    mosquitto: BrokerUnderTest, fleet: Callable[..., None], terminal: Open
) -> None:
    """One table, no screen of its own."""
    fleet(*fleet_of(3))
    screen = terminal("--broker", mosquitto.url, "--once", "--interval", "2", columns=60)
    assert screen.process.wait(SOON_S) == 0
    assert eventually(lambda: screen.shows("cam3"))
    assert ALTERNATE not in screen.sent
    assert max(map(cell_len, screen.lines)) <= 60
