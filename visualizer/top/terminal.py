"""The terminal: draws the fleet again and again, takes keys, and leaves everything as it was."""

from __future__ import annotations

import os
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console, Group
from rich.live import Live

from headwater.stopping import stop_on_signals
from visualizer.top.figures import View
from visualizer.top.order import Sort, after
from visualizer.top.table import lines

LOOK_S: Final = 0.2
"""How soon a key, a signal or another size of the terminal is answered."""


def is_terminal() -> bool:
    """Tell whether there is a screen to draw on: no pipe, no file, no terminal that only appends."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")


def show(view_of: Callable[[Sort], View], sort: Sort, interval_s: float) -> None:
    """Draw the fleet until q, Ctrl-C or SIGTERM; s sorts by what comes next. For the main thread only."""
    console, due_s, drawn = Console(), 0.0, (0, 0)
    with stop_on_signals() as stop, keys() as pressed, Live(console=console, screen=True, auto_refresh=False) as live:
        while not stop.is_set():
            now_s, size = time.monotonic(), (console.width, console.height)
            if now_s >= due_s or size != drawn:
                live.update(Group(*lines(view_of(sort), sort, *size)), refresh=True)
                due_s, drawn = now_s + interval_s, size
            key = pressed(LOOK_S)
            if key == "q":
                return
            if key == "s":
                sort, due_s = after(sort), 0.0


def show_once(view: View, sort: Sort) -> None:
    """Print the fleet: into a terminal as wide as it is, elsewhere whole."""
    console = Console()
    for line in lines(view, sort, console.width if console.is_terminal else None):
        console.print(line, soft_wrap=True)


@contextmanager
def keys() -> Iterator[Callable[[float], str]]:
    """Yield what waits for a key and returns it, "" for none; one that ends with the terminal presses q."""
    if not sys.stdin.isatty():
        yield _nobody
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)

    def pressed(timeout_s: float) -> str:
        if not select.select([terminal], [], [], timeout_s)[0]:
            return ""
        return os.read(terminal, 1).decode(errors="replace") or "q"

    tty.setcbreak(terminal)
    try:
        yield pressed
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _nobody(timeout_s: float) -> str:
    time.sleep(timeout_s)
    return ""
