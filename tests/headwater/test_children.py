"""Real child processes: what they print, how they end, and that none is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headwater.children import Child, last_line, start
from headwater.errors import ChildError, MissingPart

PYTHON = sys.executable
SLEEPER = [PYTHON, "-c", "import time; print('ready', flush=True); time.sleep(600)"]
STUBBORN = [
    PYTHON,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)",
]
# A parent that starts one child of each kind, tells their numbers, and waits.
PARENT = """
import signal, subprocess, sys, time
from headwater.children import start
from headwater.stopping import stop_on_signals, wait_for_stop
code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)"
with stop_on_signals() as stop:
    stubborn = start("stubborn", [sys.executable, "-c", code])
    quick = start("quick", [sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(600)"])
    for child in (stubborn, quick):
        child.wait_for_line("ready", 20)
    print(stubborn.pid, quick.pid, flush=True)
    wait_for_stop(stop, [stubborn, quick])
    quick.stop()
    stubborn.stop(0.2)
"""


def gone(pid: int) -> bool:
    """Whether no process, or only a zombie, has that number."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state in {"Z", "X"}


def eventually(what: Callable[[], bool], deadline_s: float = 20.0) -> bool:
    until = time.monotonic() + deadline_s
    while time.monotonic() < until:
        if what():
            return True
        time.sleep(0.01)
    return what()


@pytest.fixture
def sleeper() -> Iterator[Child]:
    with start("sleeper", SLEEPER) as child:
        child.wait_for_line("ready", 20)
        yield child


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_child_survives_its_parent(how: signal.Signals) -> None:
    """Ctrl-C, SIGTERM and even SIGKILL of the parent leave no child, not one that ignores SIGTERM either."""
    with subprocess.Popen([PYTHON, "-c", PARENT], stdout=subprocess.PIPE, text=True, start_new_session=True) as parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert not any(gone(pid) for pid in pids)
        parent.send_signal(how)
        assert parent.wait(20) == (-how if how is signal.SIGKILL else 0)
    assert eventually(lambda: all(gone(pid) for pid in pids))


def test_ctrl_c_in_the_terminal_does_not_reach_the_child(sleeper: Child) -> None:
    """A child is its own session, so that its parent decides the order of stopping."""
    assert os.getsid(sleeper.pid) == sleeper.pid != os.getsid(0)


def test_the_child_is_the_program_itself(sleeper: Child) -> None:
    """The process that is started becomes the wanted program; nothing stands between."""
    assert b"time.sleep(600)" in Path(f"/proc/{sleeper.pid}/cmdline").read_bytes().split(b"\0")[2]


def test_a_child_outlives_the_thread_that_started_it() -> None:
    """The kernel's death signal is tied to the process, not to the thread that asked for the child."""
    found: list[Child] = []
    thread = threading.Thread(target=lambda: found.append(start("sleeper", SLEEPER)))
    thread.start()
    thread.join()
    with found[0] as child:
        child.wait_for_line("ready", 20)
        assert child.alive


def test_stop_ends_a_polite_child_with_sigterm(sleeper: Child) -> None:
    """SIGTERM is enough for a child that does not refuse it, and stopping twice is harmless."""
    assert sleeper.alive
    assert sleeper.stop(20) == -signal.SIGTERM
    assert not sleeper.alive
    assert sleeper.stop() == sleeper.returncode == -signal.SIGTERM


def test_stop_kills_a_stubborn_child_at_the_deadline() -> None:
    """A child that ignores SIGTERM is killed when its time is over."""
    with start("stubborn", STUBBORN) as child:
        child.wait_for_line("ready", 20)
        assert child.stop(0.1) == -signal.SIGKILL


def test_stop_reaches_a_paused_child(sleeper: Child) -> None:
    """A child under SIGSTOP is continued, so that it can end."""
    sleeper.signal(signal.SIGSTOP)
    assert sleeper.stop(20) == -signal.SIGTERM


def test_a_signal_for_all_reaches_what_a_child_has_started() -> None:
    """SIGSTOP stops both, and an orderly end lets both go on."""
    code = """
import signal, subprocess, sys, time
below = subprocess.Popen(['sleep', '600'])
def end(*_):
    below.terminate()
    sys.exit(below.wait() + 100)
signal.signal(signal.SIGTERM, end)
print('ready', below.pid, flush=True)
time.sleep(600)
"""
    with start("parent", [PYTHON, "-c", code]) as parent:
        pids = (parent.pid, int(parent.wait_for_line("ready", 20).split()[1]))
        parent.signal_all(signal.SIGSTOP)
        assert eventually(lambda: [state(pid) for pid in pids] == ["T", "T"])
        assert parent.stop(20) == 100 - signal.SIGTERM


def state(pid: int) -> str:
    """Return the state of a process, T: stopped. Source: proc(5), /proc/PID/stat."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_what_the_child_left_in_its_group_is_killed() -> None:
    """Processes that a child forgot to stop end with it."""
    code = "import subprocess; print('ready', subprocess.Popen(['sleep', '600']).pid, flush=True)"
    with start("careless", [PYTHON, "-c", code]) as child:
        left = int(child.wait_for_line("ready", 20).split()[1])
        assert child.wait(20) == 0
    assert eventually(lambda: gone(left))


def test_lines_are_read_in_order_and_only_once() -> None:
    """`wait_for_line` passes over other lines and goes on behind the line it gave."""
    code = "print('noise'); print('a 1'); print('b'); print('a 2', flush=True)"
    with start("talker", [PYTHON, "-c", code]) as child:
        assert [child.wait_for_line("a", 20), child.wait_for_line("a", 20)] == ["a 1", "a 2"]
        with pytest.raises(ChildError, match="talker ended before it printed 'a'"):
            child.wait_for_line("a", 20)


def test_a_silent_child_is_an_error_at_the_deadline(sleeper: Child) -> None:
    """A line that does not come in time is an error that says which line and how long."""
    with pytest.raises(ChildError, match=r"did not print 'listening' in 0.05 s"):
        sleeper.wait_for_line("listening", 0.05)


def test_the_error_quotes_the_last_line_of_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """A child that fails is quoted, and its stderr came through with its name in front."""
    with (
        start("broken", [PYTHON, "-c", "import sys; sys.exit('no such camera')"]) as child,
        pytest.raises(ChildError, match="its last line: no such camera"),
    ):
        child.wait_for_line("ready", 20)
    assert child.returncode == 1
    assert capsys.readouterr().err == "broken: no such camera\n"


def test_both_streams_go_to_the_log_file(tmp_path: Path) -> None:
    """With `lines=False` a log file holds stdout and stderr, and is appended to."""
    log = tmp_path / "child.log"
    log.write_text("before\n")
    code = "import sys; print('out', flush=True); print('err', file=sys.stderr)"
    with start("logged", [PYTHON, "-c", code], log=log, lines=False) as child:
        child.wait(20)
        assert child.last_words() == "err"
    assert log.read_text() == "before\nout\nerr\n"


def test_a_full_pipe_does_not_stop_the_child() -> None:
    """Output that nobody waits for is read all the same."""
    with start("chatty", [PYTHON, "-c", "for _ in range(20_000): print('x' * 100)"]) as child:
        assert child.wait(20) == 0


def test_a_missing_program_is_named() -> None:
    """A program that is not on the PATH is an error before anything is started."""
    with pytest.raises(MissingPart, match="no-such-program is not installed"):
        start("ghost", ["no-such-program"])


def test_environment_and_folder_reach_the_child(tmp_path: Path) -> None:
    """Variables are added to the parent's own, and the working folder is the given one."""
    code = "import os; print(os.environ['COLOUR'], 'PATH' in os.environ, os.getcwd())"
    with start("env", [PYTHON, "-c", code], env={"COLOUR": "blue"}, folder=tmp_path) as child:
        assert child.wait_for_line("", 20) == f"blue True {tmp_path}"


def test_a_variable_can_be_kept_from_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is named in `without` does not reach the child, unless `env` gives it anew."""
    for name in ("TASTE", "SHAPE", "SOUND"):
        monkeypatch.setenv(name, "mine")
    code = "import os; print(*(os.environ.get(name) for name in ('TASTE', 'SHAPE', 'SOUND')))"
    with start("env", [PYTHON, "-c", code], env={"SHAPE": "yours"}, without={"TASTE", "SHAPE"}) as child:
        assert child.wait_for_line("", 20) == "None yours mine"


def test_the_last_line_of_a_missing_file_is_empty(tmp_path: Path) -> None:
    """A log that was never written quotes nothing."""
    assert last_line(tmp_path / "none.log") == ""
