"""How far a long command is, as a bar on a terminal's stderr."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SLOW_S = 1.0


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function to call with (done, total); after a second it draws a bar, where stderr is a terminal."""
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
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bar = Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal)
    task = bar.add_task(title, total=None)

    def show(done: int, total: int) -> None:
        if time.monotonic() - began_s > SLOW_S and not bar.live.is_started:
            bar.start()
        bar.update(task, completed=done, total=total)

    try:
        yield show
    finally:
        bar.stop()


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
