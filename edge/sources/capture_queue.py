"""The small queue between the thread of a source and the head of the network."""

from __future__ import annotations

import threading
import time
from collections import deque

from edge.sources.capture import Capture, Source, WhenFull
from headwater.errors import HeadwaterError, SourceError

_LOOK_S = 0.1


class CaptureQueue:
    """Holds at most `size` pictures; full, it makes the source wait or drops the oldest, as `when_full` says.

    Every picture put in is counted in `captured`, every one dropped in `dropped`; the others are taken or still inside.
    """

    def __init__(self, when_full: WhenFull, size: int = 1) -> None:
        if size < 1:
            raise ValueError(f"size {size}, expected at least 1")
        self._when_full, self._size = when_full, size
        self._held: deque[Capture] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self._error: HeadwaterError | None = None
        self.captured = 0
        self.dropped = 0

    def __len__(self) -> int:
        with self._changed:
            return len(self._held)

    @property
    def ended(self) -> bool:
        """Say whether nothing is inside and nothing will come."""
        with self._changed:
            return self._ended and not self._held

    def put(self, capture: Capture, stop: threading.Event) -> bool:
        """Put a picture in; return False, and leave it out uncounted, when the queue ended or `stop` was set first."""
        with self._changed:
            while self._full_and_waiting() and not stop.is_set():
                self._changed.wait(_LOOK_S)
            if self._ended or self._full_and_waiting():
                return False
            if len(self._held) == self._size:
                self._held.popleft()
                self.dropped += 1
            self._held.append(capture)
            self.captured += 1
            self._changed.notify_all()
            return True

    def take(self, timeout_s: float) -> Capture | None:
        """Return the oldest picture, or None when none came in time or none will come any more (`ended`).

        Raises: the error with which the source ended, after the last picture.
        """
        deadline_s = time.monotonic() + timeout_s
        with self._changed:
            while not self._held and not self._ended:
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:
                    return None
                self._changed.wait(left_s)
            if self._held:
                self._changed.notify_all()
                return self._held.popleft()
            if self._error is not None:
                raise self._error
            return None

    def end(self, error: HeadwaterError | None = None) -> None:
        """Say that nothing will come any more, because of `error` if there is one; the first call counts."""
        with self._changed:
            if not self._ended:
                self._ended, self._error = True, error
                self._changed.notify_all()

    def _full_and_waiting(self) -> bool:
        return self._when_full is WhenFull.WAIT and len(self._held) >= self._size and not self._ended


def feed(source: Source, queue: CaptureQueue, stop: threading.Event) -> None:
    """Move every picture of `source` into `queue` until its end or `stop`, then close the source and end the queue.

    This is the target of the source's thread; whatever happens, the taker learns that it is over.
    """
    error: HeadwaterError | None = SourceError(
        f"source {source.description} stopped by a fault of its own; the log has the traceback, please report it"
    )
    try:
        for capture in source.captures(stop):
            if not queue.put(capture, stop):
                break
        error = None
    except HeadwaterError as failure:
        error = failure
    finally:
        queue.end(error)
        source.close()
