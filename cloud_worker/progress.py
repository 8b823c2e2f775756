"""What a worker's thread is at, and what it has finished last. That thread writes; any thread reads."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from cloud_worker.hand import Hand
from cloud_worker.inbox import Delivery, Release
from cloud_worker.tail import Work
from headwater.messages import Finished, Picture

BODIES: Final = ("picture", "activation", "exit", "device")
"""What a frame brought: a picture, an activation, what an exit of the device said, or all that the device computed."""


class Progress:
    """Kept by one worker of itself; times are the stage clock's."""

    def __init__(self, now_ns: Callable[[], int], hand: Hand | None = None) -> None:
        """Make it; `on_finished` and `on_batch` may be set to hear of each frame and batch."""
        self._now_ns, self.hand = now_ns, hand or Hand()
        self.beats = 0
        """Grows with every step of the thread."""
        self.waits = False
        """The thread waits, for frames or for the store, which is not hanging."""
        self.holds: tuple[Delivery, ...] = ()
        self.begun_ns: int | None = None
        """Since when a step of one frame is in hand."""
        self.ended_ns: int | None = None
        """When the last frame was answered or refused."""
        self.finished_ns: int | None = None
        """When the last frame was answered."""
        self._busy_ns, self._busy_since_ns = 0, 0
        self._is_busy, self._lock = False, threading.Lock()
        self.answered: Counter[str] = Counter(dict.fromkeys(BODIES, 0))
        self.batches: Counter[str] = Counter(dict.fromkeys(("full", "emptied", "waited"), 0))
        self.on_finished: Callable[[Work], None] = lambda work: None
        self.on_batch: Callable[[int], None] = lambda size: None

    @contextmanager
    def in_hand(self, *deliveries: Delivery) -> Iterator[None]:
        """Note that a frame, or some at once, are worked on while the block runs."""
        self.hand.hold([delivery.key for delivery in deliveries])
        self.holds, self.begun_ns = deliveries, self._now_ns()
        self.beats += 1
        try:
            yield
        finally:
            self.hand.empty()
            self.holds, self.begun_ns = (), None
            self.beats += 1

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Note that the thread waits for others while the block runs; each of its waits ends by itself."""
        self.waits = True
        try:
            yield
        finally:
            self.beats += 1
            self.waits = False

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Note that the thread works, not waits, while the block runs."""
        with self._lock:
            self._is_busy, self._busy_since_ns = True, self._now_ns()
        try:
            yield
        finally:
            with self._lock:
                self._busy_ns += max(0, self._now_ns() - self._busy_since_ns)
                self._is_busy = False

    @property
    def busy_ns(self) -> int:
        """The time that the thread has worked so far; never less than it was."""
        with self._lock:
            return self._busy_ns + (max(0, self._now_ns() - self._busy_since_ns) if self._is_busy else 0)

    def batch(self, size: int, release: Release) -> None:
        """Note that a batch begins."""
        self.batches[release] += 1
        self.on_batch(size)

    def refused(self) -> None:
        """Note that a frame was refused."""
        self.ended_ns = self._now_ns()

    def finished(self, works: Sequence[Work]) -> None:
        """Note that frames are stored and answered."""
        for work in works:
            self.answered[body_of(work)] += 1
            self.on_finished(work)
        self.ended_ns = self.finished_ns = self._now_ns()


def body_of(work: Work) -> str:
    """Return which of BODIES a frame brought."""
    body = work.frame.body
    if isinstance(body, Finished):
        return "device" if body.exit is None else "exit"
    return "picture" if isinstance(body, Picture) else "activation"
