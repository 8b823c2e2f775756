"""Waiting in the foreground until a person or the system says stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from headwater.children import Child
from headwater.errors import ChildError


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """Give an event that SIGINT and SIGTERM set, instead of what they did before. For the main thread only."""
    stop = threading.Event()

    def ask(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def wait_for_stop(stop: threading.Event, children: Sequence[Child]) -> None:
    """Return when `stop` is set.

    Raises:
        ChildError: one of the children ended by itself.
    """
    while not stop.wait(0.1):
        for child in children:
            if not child.alive:
                raise ChildError(child.name, f"ended with status {child.wait(1.0)}", child.last_words())
