"""What the device's loop is at. That loop writes; any thread reads, without a lock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edge.sameness import Sameness


class Progress:
    """Kept by one device of itself; times are the monotonic clock's, in seconds."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self.began_s = now_s()
        self.hungry_since_s: float | None = None
        """Since when the head waits for a picture."""
        self.begun_since_s: float | None = None
        """Since when the head works on one."""
        self.sameness = Sameness(now_s)
        """Of a camera's pictures; what reads files may give one twice."""
        self.failure: str | None = None
        """What the source ended with."""

    def hungry(self) -> None:
        """Note that a picture is waited for, from now on or still."""
        if self.hungry_since_s is None:
            self.hungry_since_s = self._now_s()

    def fed(self) -> None:
        """Note that none is waited for: one is there, or none will come."""
        self.hungry_since_s = None

    @contextmanager
    def in_hand(self) -> Iterator[None]:
        """Note that the head works while the block runs."""
        self.begun_since_s = self._now_s()
        try:
            yield
        finally:
            self.begun_since_s = None
