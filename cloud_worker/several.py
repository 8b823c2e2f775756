"""Worker processes, several or one, under a parent that starts again what ends by itself.

Each has its own connection, inbox and inference thread, for Python runs one thread of a process at a time. The broker
shares the frames among them. A process dies with its parent, however that ends. The parent loads no model, no engine
and no client of broker or store: nothing of theirs can end it, and it is small.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Final

from cloud_worker.hand import REFUSED, Hand
from cloud_worker.settings import WorkerSettings, default_name
from cloud_worker.silence import LONGEST_TICK_S, Silence
from headwater.errors import ChildError, HeadwaterError, SettingsError
from headwater.logs import configure_logging, event
from headwater.sight import ports_on
from headwater.stopping import Stop, stop_on_signals
from models.errors import ModelError

log = logging.getLogger(__name__)

START_S: Final = 60.0
"""How long one process may take until it is ready: longer than it waits for broker and store."""
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 30.0
SETTLED_S: Final = 60.0
"""A process that ran for so long is started again at once when it ends."""
STOP_S: Final = 30.0
POLL_S: Final = 0.1
GRACE_S: Final = 2.0
"""So much longer than a process's own watchdog its parent waits."""
CRASHES: Final = (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT)
"""What a process ends with by itself; SIGKILL comes from somebody else."""
_PR_SET_PDEATHSIG: Final = 1  # Source: prctl(2)


@dataclass(slots=True)
class _Seat:
    """One place for a process, whoever fills it."""

    settings: WorkerSettings
    process: BaseProcess
    news: Connection
    """What the process says of its start: None once it is ready, or why it is not."""
    hand: Hand
    """What the process has in hand."""
    silence: Silence
    """Of the process's watchdog."""
    since_s: float
    pause_s: float = FIRST_PAUSE_S
    due_s: float | None = None
    """When the next process is started, None while one runs."""


def run_several(settings: WorkerSettings, count: int, announce: Callable[[str], None]) -> None:
    """Run `count` worker processes until SIGINT or SIGTERM; `announce` gets their common name once all are ready.

    Raises: HeadwaterError with the reason of one that does not become ready at the start.
    """
    name = settings.name or default_name()
    seats: list[_Seat] = []
    each = of_processes(settings, name, count)
    with stop_on_signals() as stop, remembering(each) as each:
        try:
            for own in each:
                seats.append(_seat(own))
                _wait_until_ready(seats[-1], stop)
            if not stop.is_set():
                announce(name)
            _watch(seats, stop)
        finally:
            _end([seat.process for seat in seats])


@contextmanager
def remembering(each: list[WorkerSettings]) -> Iterator[list[WorkerSettings]]:
    """Yield the settings with a file each for what is in hand; without room for them, workers go on without."""
    with contextlib.ExitStack() as kept:
        if each[0].in_hand_file is None:
            try:
                folder = Path(kept.enter_context(tempfile.TemporaryDirectory(prefix="headwater-worker-")))
                each = [_with_file(own, folder / f"in-hand.{number}") for number, own in enumerate(each, 1)]
            except (OSError, SettingsError) as error:
                log.warning(event("frames at which workers crash are not remembered", reason=error))
        yield each


def _with_file(settings: WorkerSettings, path: Path) -> WorkerSettings:
    """Return the settings with a file that is there in its full length. Raises: SettingsError."""
    Hand(path)
    return replace(settings, in_hand_file=path)


def of_processes(settings: WorkerSettings, name: str, count: int) -> list[WorkerSettings]:
    """Return the settings of each process; one alone has name, port and file as they are."""
    if count == 1:
        return [replace(settings, name=name)]
    return [_of_process(settings, name, number) for number in range(count)]


def _of_process(settings: WorkerSettings, name: str, number: int) -> WorkerSettings:
    """Return the settings of one of several, counted from 0: names from 1 on, each its own port and file."""
    metrics = None if settings.metrics is None else ports_on(settings.metrics, number)
    file = settings.in_hand_file
    own_file = None if file is None else file.with_name(f"{file.name}.{number + 1}")
    return replace(settings, name=f"{name}.{number + 1}", metrics=metrics, in_hand_file=own_file)


def _seat(settings: WorkerSettings) -> _Seat:
    hand = Hand(settings.in_hand_file)
    process, news = _started(settings)
    return _Seat(settings, process, news, hand, _silence(settings), time.monotonic())


def _silence(settings: WorkerSettings) -> Silence:
    return Silence(LONGEST_TICK_S, settings.hang_after + GRACE_S, time.monotonic())


def _wait_until_ready(seat: _Seat, stop: Stop) -> None:
    """Return when a process is ready, or when told to stop. Raises: HeadwaterError."""
    until_s = seat.since_s + START_S
    while not seat.news.poll(POLL_S):
        if stop.is_set():
            return
        if time.monotonic() > until_s:
            raise ChildError(seat.settings.name, f"was not ready in {START_S:g} s", "")
    try:
        reason: str | None = seat.news.recv()
    except EOFError:
        seat.process.join(POLL_S)
        reason = f"{seat.settings.name} ended at its start, with status {seat.process.exitcode}; see the lines above"
    if reason is not None and not stop.is_set():
        raise HeadwaterError(reason)


def _started(settings: WorkerSettings) -> tuple[BaseProcess, Connection]:
    context = multiprocessing.get_context("spawn")
    news, told = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(settings, told, os.getpid()), name=settings.name)
    with _without_ctrl_c():
        process.start()
    told.close()
    return process, news


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Have what is started meanwhile never hear Ctrl-C, which a terminal sends to all: its parent tells it to stop."""
    resource_tracker.ensure_running()  # its own start ends with SIGINT let through
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _child(settings: WorkerSettings, told: Connection, parent: int) -> None:
    """Run one worker in this process; say None when it is ready, or why it cannot run."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
    configure_logging(settings.log_level, settings.log_format)
    try:
        from cloud_worker.process import run  # here alone: it brings what the parent does without

        run(settings, lambda _name: _tell(told, None))
    except (HeadwaterError, ModelError, ImportError, OSError) as error:
        from headwater.cli import EXIT_USAGE, reason_of

        _tell(told, reason_of(error))
        raise SystemExit(EXIT_USAGE) from None


def _tell(told: Connection, what: str | None) -> None:
    """Say something to a parent that may no longer listen."""
    with contextlib.suppress(OSError):
        told.send(what)


def _watch(seats: list[_Seat], stop: Stop) -> None:
    while not stop.wait(POLL_S):
        now_s = time.monotonic()
        for seat in seats:
            if seat.due_s is None and not seat.process.is_alive():
                _note_end(seat, now_s)
                _blame(seat, seats)
            elif seat.due_s is not None and now_s >= seat.due_s:
                seat.news.close()
                seat.process, seat.news = _started(seat.settings)
                seat.since_s, seat.due_s = now_s, None
            elif seat.due_s is None:
                _end_if_hung(seat, now_s)


def _end_if_hung(seat: _Seat, now_s: float) -> None:
    """Kill a process whose watchdog no longer runs, which is when something holds all its threads."""
    limit_s, ticks = seat.settings.hang_after + GRACE_S, seat.hand.ticks
    silent_s = seat.silence.look(now_s, ticks, waits=not ticks)
    if silent_s > limit_s / 2 and _is_stopped(seat.process.pid):
        seat.silence = _silence(seat.settings)
    elif silent_s > limit_s:
        log.error(event("worker hung with all its threads, killed", worker=seat.settings.name, for_s=limit_s))
        seat.hand.note_hang()
        seat.process.kill()
        seat.process.join(STOP_S)


def _is_stopped(pid: int | None) -> bool:
    """Tell whether somebody has stopped a process for a while, as SIGSTOP does. Source: proc(5), /proc/PID/stat."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "Tt"
    except OSError:
        return False


def _note_end(seat: _Seat, now_s: float) -> None:
    """Say that a process ended by itself, and when the next one starts."""
    if now_s - seat.since_s > SETTLED_S:
        seat.pause_s = FIRST_PAUSE_S
    reason = _reason(seat.news)
    log.warning(event("worker process ended, another starts", worker=seat.settings.name,
                      status=seat.process.exitcode, in_s=seat.pause_s, **reason))  # fmt: skip
    seat.due_s, seat.pause_s = now_s + seat.pause_s, min(2 * seat.pause_s, LONGEST_PAUSE_S)


def _reason(news: Connection) -> dict[str, str]:
    """Return why a process that has ended could not run, as a fact for the log, where it said so."""
    reason: str | None = None
    with contextlib.suppress(EOFError, OSError):
        while news.poll():
            reason = news.recv()
    return {"reason": reason} if reason else {}


def _blame(seat: _Seat, seats: list[_Seat]) -> None:
    """Tell all processes, those that run and those to come, at which frames one ended."""
    strikes = seat.hand.ended(crashed=-(seat.process.exitcode or 0) in CRASHES)
    if strikes:
        log.warning(event("it had frames in hand", worker=seat.settings.name, frames=len(strikes),
                          refused=sum(count >= REFUSED for count in strikes.values())))  # fmt: skip
    for each in seats:
        each.hand.strike(strikes)


def _end(processes: list[BaseProcess]) -> None:
    """Ask all to stop, wait, and kill what does not."""
    for process in processes:
        process.terminate()
    until_s = time.monotonic() + STOP_S
    for process in processes:
        process.join(max(0.0, until_s - time.monotonic()))
        if process.is_alive():
            log.warning(event("worker process killed, it did not stop", worker=process.name, within_s=STOP_S))
            process.kill()
            process.join()
