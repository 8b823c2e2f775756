"""Ends a worker process whose thread has stopped turning, so that another can take its place."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from cloud_worker.progress import Progress
from cloud_worker.silence import LONGEST_TICK_S, Silence
from headwater.logs import event

log = logging.getLogger(__name__)

HUNG_STATUS: Final = 70
"""The exit status of a process that hung. Source: sysexits.h, EX_SOFTWARE."""
TICKS: Final = 4
"""At least so many looks before a worker counts as hung."""
LAST_WORDS_S: Final = 2.0
"""So long the last line may take: whoever reads the log may hang, too."""


class Watchdog:
    """Looks at the thread that made it, from another one.

    Where the hung thread lets no other one of Python's run, this one does not tick either, which a parent sees.
    """

    def __init__(
        self, worker: str, progress: Progress, hang_after_s: float, end: Callable[[int], object] = os._exit
    ) -> None:
        """Watch the calling thread by its progress; with 0 seconds nothing is watched."""
        self._worker, self._progress, self._hang_after_s, self._end = worker, progress, hang_after_s, end
        self._tick_s = min(LONGEST_TICK_S, hang_after_s / TICKS)
        self._watched = threading.get_ident()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch while the block runs."""
        over = threading.Event()
        thread = threading.Thread(target=self._run, args=(over,), name="watchdog", daemon=True)
        if self._hang_after_s:
            self._progress.hand.tick()  # the first frame may be the one
            thread.start()
        try:
            yield
        finally:
            over.set()
            if self._hang_after_s:
                thread.join(LAST_WORDS_S)
            self._progress.hand.tick_no_more()

    def _run(self, over: threading.Event) -> None:
        silence = Silence(self._tick_s, self._hang_after_s, time.monotonic())
        while not over.wait(self._tick_s):
            self._progress.hand.tick()
            silent_s = silence.look(time.monotonic(), self._progress.beats, waits=self._progress.waits)
            if silent_s > self._hang_after_s:
                self._end_process(silent_s)
                return

    def _end_process(self, silent_s: float) -> None:
        """Say where it hangs, as far as that can be said, and end: the hung thread would never hear of an exception."""
        self._progress.hand.note_hang()
        saying = threading.Thread(target=self._say, args=(silent_s,), daemon=True)
        saying.start()
        saying.join(LAST_WORDS_S)
        self._end(HUNG_STATUS)

    def _say(self, silent_s: float) -> None:
        holds = self._progress.holds
        frame = f"{holds[0].message.correlation or holds[0].message.topic!r}"[:120] if holds else "none"
        log.critical(event("worker hung, its process ends", worker=self._worker, for_s=round(silent_s, 1), frame=frame,
                           frames=len(holds), at=place_of(self._watched), status=HUNG_STATUS))  # fmt: skip
        for handler in logging.getLogger().handlers:
            handler.flush()


def place_of(thread: int) -> str:
    """Return in which line of which file a thread is."""
    frame = sys._current_frames().get(thread)
    return "nowhere" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}"
