"""Being told to stop: by a signal at any instant, or by a child process that ended."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Iterator, Sequence
from typing import Protocol

from headwater.children import Child
from headwater.errors import ChildError


class Stop(Protocol):
    """Whether to end; `threading.Event` is one too."""

    def is_set(self) -> bool:
        """Tell whether to end."""

    def wait(self, timeout: float) -> bool:
        """Return whether to end, after waiting for it at most `timeout` seconds."""


class SignalStop:
    """Asks to end from a signal handler.

    `threading.Event.set` takes a lock that the interrupted thread may hold in `wait`, and would then wait for ever in
    the handler; a pipe needs none.
    """

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        self._is_set = False

    def set(self) -> None:
        """Ask to end."""
        if not self._is_set:
            self._is_set = True
            os.write(self._writer, b"x")

    def is_set(self) -> bool:
        """Tell whether to end."""
        return self._is_set

    def wait(self, timeout: float) -> bool:
        """Return whether to end, after waiting for it at most `timeout` seconds."""
        select.select([self._reader], [], [], timeout)
        return self._is_set

    def close(self) -> None:
        """Give the pipe back."""
        os.close(self._reader)
        os.close(self._writer)


@contextlib.contextmanager
def stop_on_signals() -> Iterator[SignalStop]:
    """Yield a stop that SIGINT and SIGTERM set. For the main thread only."""
    stop = SignalStop()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
        stop.close()


def interrupt_on_signals() -> None:
    """Have SIGTERM, and a terminal that closes, end this process as Ctrl-C does: all that it holds is taken away.

    A SIGHUP that is ignored, as under nohup, stays ignored. For the main thread only.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.default_int_handler)


def wait_for_stop(stop: Stop, children: Sequence[Child]) -> None:
    """Return when `stop` is set.

    Raises:
        ChildError: one of the children ended by itself.
    """
    while not stop.wait(0.1):
        for child in children:
            if not child.alive:
                raise ChildError(child.name, f"ended with status {child.wait(1.0)}", child.last_words())
