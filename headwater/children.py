"""Child processes that never outlive their parent.

Each child is its own session, so Ctrl-C in a terminal reaches only the parent, which stops the children in its own
order. The kernel kills a child when the parent dies by whatever means (`PR_SET_PDEATHSIG`), set by a small program
that then becomes the wanted one. That signal fires when the *thread* that forked ends, not when its process does:
every child is therefore started by one thread that lives as long as the process. The kernel forgets the signal when
a program changes its user, so a child must not do that (mosquitto started by root is told to stay root).
"""

from __future__ import annotations

import contextlib
import functools
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import IO, Self

from headwater.errors import ChildError, MissingPart

POLL_S = 0.01
KEPT_LINES = 1000

# Becomes argv[2:] after tying its life to the process argv[1]. Source: prctl(2), PR_SET_PDEATHSIG = 1.
_SHIM = """
import ctypes, os, signal, sys
for s in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ):
    signal.signal(s, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_SETMASK, [])
ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
if os.getppid() != int(sys.argv[1]):
    os._exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


def own_command(*arguments: str) -> list[str]:
    """Return the words of a `headwater` command that is told these arguments and nothing else."""
    return [sys.executable, "-P", "-m", "headwater", *arguments, "--config", os.devnull]


class _Forker:
    """The one thread of this process that starts children."""

    def __init__(self) -> None:
        self._orders: queue.SimpleQueue[tuple[Callable[[], subprocess.Popen[str]], Future[subprocess.Popen[str]]]]
        self._orders = queue.SimpleQueue()
        threading.Thread(target=self._run, name="headwater-children", daemon=True).start()

    def fork(self, order: Callable[[], subprocess.Popen[str]]) -> subprocess.Popen[str]:
        future: Future[subprocess.Popen[str]] = Future()
        self._orders.put((order, future))
        return future.result()

    def _run(self) -> None:
        while True:
            order, future = self._orders.get()
            try:
                future.set_result(order())
            except (OSError, ValueError, TypeError, subprocess.SubprocessError) as error:
                future.set_exception(error)


@functools.cache
def _forker(pid: int) -> _Forker:
    """Return this process's forker; a forked copy of the process gets its own."""
    return _Forker()


class Child:
    """One running child process. Stop it, or leave the `with` block; use `start` to make one."""

    def __init__(self, name: str, process: subprocess.Popen[str], log: Path | None, hide: tuple[str, ...]) -> None:
        self.name, self.pid, self.log = name, process.pid, log
        self._hide = hide
        self._process = process
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._errors: deque[str] = deque(maxlen=20)
        self._news = threading.Condition()
        self._silent = process.stdout is None
        self._readers: list[threading.Thread] = []

    @property
    def returncode(self) -> int | None:
        """The exit status (negative: the signal), or None while it runs or before `wait` or `stop`."""
        return self._process.returncode

    @property
    def alive(self) -> bool:
        """Whether the process still runs; it is not reaped by looking."""
        if self._process.returncode is not None:
            return False
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def wait_for_line(self, prefix: str, deadline_s: float) -> str:
        """Return the next line of stdout that starts with `prefix`; lines before it are passed over.

        Raises:
            ChildError: the process ended, or the deadline passed, without that line.
        """
        until = time.monotonic() + deadline_s
        with self._news:
            while True:
                while self._lines:
                    line = self._lines.popleft()
                    if line.startswith(prefix):
                        return line
                left_s = until - time.monotonic()
                if self._silent:
                    raise ChildError(self.name, f"ended before it printed {prefix!r}", self.last_words())
                if left_s <= 0:
                    raise ChildError(self.name, f"did not print {prefix!r} in {deadline_s:g} s", self.last_words())
                self._news.wait(left_s)

    def last_words(self) -> str:
        """Return the last line on stderr (or in the log file), empty when there is none."""
        if self.log is None:
            if self._silent and self._process.stderr is not None:
                self._readers[0].join(timeout=2.0)  # its child may keep the stream open
            return self._errors[-1] if self._errors else ""
        return last_line(self.log)

    def wait(self, deadline_s: float) -> int:
        """Return the exit status once the process has ended, having killed what is left of its group.

        Raises:
            ChildError: it still runs at the deadline.
        """
        until = time.monotonic() + deadline_s
        while self.alive:
            if time.monotonic() >= until:
                raise ChildError(self.name, f"still runs after {deadline_s:g} s", self.last_words())
            time.sleep(POLL_S)
        return self._reap()

    def stop(self, deadline_s: float = 10.0) -> int:
        """Return the exit status after SIGTERM, and SIGKILL when the deadline passes. Safe to call again."""
        if self.alive:
            self.signal(signal.SIGTERM)
            self.signal_all(signal.SIGCONT)
            with contextlib.suppress(ChildError):
                return self.wait(deadline_s)
        return self.kill()

    def kill(self) -> int:
        """Return the exit status after SIGKILL to the whole process group. Safe to call again."""
        if self._process.returncode is None:
            self.signal(signal.SIGKILL)
        return self._reap()

    def signal(self, number: int) -> None:
        """Send a signal to the process itself (its children hear of it from the process)."""
        if self._process.returncode is None:
            os.kill(self.pid, number)

    def signal_all(self, number: int) -> None:
        """Send a signal to the process and to all that it has started in its group."""
        # Before the process is reaped its number cannot belong to anyone else.
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def _reap(self) -> int:
        if self._process.returncode is None:
            self.signal_all(signal.SIGKILL)
            self._process.wait()
        for reader in self._readers:
            reader.join(timeout=1.0)
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        return self._process.returncode

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def listen(self, lines: bool) -> Self:
        """Begin to read what the process prints; `start` does it."""
        self._read(self._process.stderr, self._pass_through)
        self._read(self._process.stdout, self._take_line if lines else self._pass_through)
        return self

    def _read(self, stream: IO[str] | None, take: Callable[[str], None]) -> None:
        if stream is None:
            return

        def read() -> None:
            with contextlib.suppress(ValueError):
                for line in stream:
                    take(line.rstrip("\n"))
            if stream is self._process.stdout:
                with self._news:
                    self._silent = True
                    self._news.notify_all()

        reader = threading.Thread(target=read, name=f"{self.name}-reader", daemon=True)
        self._readers.append(reader)
        reader.start()

    def _take_line(self, line: str) -> None:
        with self._news:
            self._lines.append(line)
            self._news.notify_all()

    def _pass_through(self, line: str) -> None:
        if line.startswith(self._hide):
            return
        self._errors.append(line)
        sys.stderr.write(f"{self.name}: {line}\n")


def start(
    name: str,
    command: Sequence[str | Path],
    *,
    log: Path | None = None,
    lines: bool = True,
    env: Mapping[str, str] | None = None,
    without: Collection[str] = (),
    folder: Path | None = None,
    hide: tuple[str, ...] = (),
) -> Child:
    """Return a running child process that dies with this one.

    Args:
        name: what messages call it, and the prefix of its lines on stderr
        command: the program (looked up on the PATH) and its arguments
        log: the file that gets its stderr; None passes stderr through, each line with the name in front
        lines: read stdout for `wait_for_line`; False sends stdout where stderr goes
        env: variables added to this process's own
        without: variables of this process that it does not get
        folder: its working directory
        hide: how lines of stderr begin that are not passed through

    Raises:
        MissingPart: there is no such program.
    """
    program = shutil.which(str(command[0]))
    if program is None:
        raise MissingPart(str(command[0]), name, "install it or correct the path")
    with contextlib.ExitStack() as files:
        errors = files.enter_context(log.open("ab")) if log else subprocess.PIPE
        order = functools.partial(
            subprocess.Popen,
            [sys.executable, "-I", "-S", "-c", _SHIM, str(os.getpid()), program, *map(str, command[1:])],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if lines else errors,
            stderr=errors,
            env=_environment(env or {}, without),
            cwd=folder,
            start_new_session=True,
            text=True,
            errors="replace",
        )
        child = Child(name, _forker(os.getpid()).fork(order), log, hide)
    return child.listen(lines)


def _environment(more: Mapping[str, str], without: Collection[str]) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in without} | dict(more)


def last_line(log: Path) -> str:
    """Return the last line of a text file that is not empty; empty when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
