"""Which frame to send next, which to wait for, and which to send again: values and times in, decisions out."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from edge.spool import Key

AFTER_RECONNECT_S: Final = 2.0
"""How long a frame sent before the connection broke may still be answered before it is sent again."""


@dataclass
class _Sent:
    due_s: float
    attempts: int


class Delivery:
    """The order of sending, a window of unconfirmed frames, and a time-out that doubles with every attempt.

    `jitter` gives numbers in [0, 1); it stretches a time-out by up to a quarter: a fleet must not resend in step.
    """

    def __init__(self, timeout_s: float, longest_s: float, jitter: Callable[[], float]) -> None:
        self._timeout_s, self._longest_s, self._jitter = timeout_s, longest_s, jitter
        self._waiting: deque[Key] = deque()
        self._sent: OrderedDict[Key, _Sent] = OrderedDict()
        self._attempts: dict[Key, int] = {}

    def __len__(self) -> int:
        return len(self._waiting) + len(self._sent)

    @property
    def unconfirmed(self) -> int:
        """Return how many frames are sent and not yet answered."""
        return len(self._sent)

    @property
    def waiting(self) -> int:
        """Return how many frames are to be sent."""
        return len(self._waiting)

    def add(self, keys: Iterable[Key]) -> None:
        """Queue frames behind all others."""
        self._waiting.extend(keys)

    def next(self, now_s: float, window: int) -> Key | None:
        """Return the frame to send now, counted as sent from now on; None when the window is full or nothing waits."""
        if not self._waiting or len(self._sent) >= window:
            return None
        key = self._waiting.popleft()
        attempts = self._attempts.pop(key, 0)
        patience_s = min(self._timeout_s * 2**attempts, self._longest_s) * (1 + self._jitter() / 4)
        self._sent[key] = _Sent(now_s + patience_s, attempts + 1)
        return key

    def drop(self, key: Key) -> bool:
        """Forget a frame, sent or not; tell whether it was known."""
        self._attempts.pop(key, None)
        if self._sent.pop(key, None) is not None:
            return True
        try:
            self._waiting.remove(key)
        except ValueError:
            return False
        return True

    def oldest_waiting(self) -> Key | None:
        """Return the frame that has waited longest without being sent."""
        return self._waiting[0] if self._waiting else None

    def again(self, now_s: float) -> list[Key]:
        """Put frames whose time-out has passed at the front of the queue and return them."""
        late = [key for key, sent in self._sent.items() if sent.due_s <= now_s]
        for key in reversed(late):
            self._attempts[key] = self._sent.pop(key).attempts
            self._waiting.appendleft(key)
        return late

    def reconnected(self, now_s: float) -> None:
        """Wait only a moment longer for what was sent over the connection before: the broker may have lost it."""
        for sent in self._sent.values():
            sent.due_s = min(sent.due_s, now_s + AFTER_RECONNECT_S * (1 + self._jitter()))

    def next_due_s(self) -> float | None:
        """Return when the next time-out passes."""
        return min((sent.due_s for sent in self._sent.values()), default=None)
