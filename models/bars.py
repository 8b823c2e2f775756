"""How far a long command is: a bar on a terminal's stderr, in a log a line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

SLOW_S: Final = 1.0
LINE_S: Final = 30.0
"""Seconds between two lines of a log."""


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function to call with (done, total): after a second it draws a bar; a log gets a line every 30 s."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console, began_s = Console(stderr=True), time.monotonic()
    if not console.is_terminal:
        yield _Lines(title, console.print).show
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bar = Progress(*columns, TimeRemainingColumn(), console=console, transient=True)
    task = bar.add_task(title, total=None)

    def show(done: int, total: int) -> None:
        if time.monotonic() - began_s > SLOW_S and not bar.live.is_started:
            bar.start()
        bar.update(task, completed=done, total=total)

    try:
        yield show
    finally:
        bar.stop()


class _Lines:
    """Writes how far the work is, at most every LINE_S seconds."""

    def __init__(self, title: str, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._title, self._write, self._clock = title, write, clock
        self._began_s = self._told_s = clock()

    def show(self, done: int, total: int) -> None:
        now_s = self._clock()
        if now_s - self._told_s >= LINE_S:
            self._told_s = now_s
            spent = timedelta(seconds=round(now_s - self._began_s))
            self._write(f"{self._title}: {done} of {total} after {spent}")


@contextmanager
def counting_bar(title: str, total: int) -> Iterator[Callable[[], None]]:
    """Yield a function to call once for each of `total` steps."""
    done = 0
    with progress_bar(title) as show:

        def step() -> None:
            nonlocal done
            done += 1
            show(done, total)

        yield step
