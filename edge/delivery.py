"""Which frame to send next, which to wait for, and which to send again: values and times in, decisions out."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from edge.backoff import backoff_s
from edge.spool import Key

AFTER_RECONNECT_S: Final = 2.0
"""How long a frame that the broker had before the connection broke may still be answered before it is sent again."""


@dataclass
class _Sent:
    due_s: float
    attempts: int
    """How often it was sent, this time included."""
    at_broker: bool = False


class Delivery:
    """The order of sending, a window of unconfirmed frames, and a time-out that doubles with every attempt.

    The time-out runs from the broker's acknowledgement: what still stands in the queue of a slow link is not sent
    again behind itself. `jitter` gives numbers in [0, 1); it stretches a time-out by up to a quarter: a fleet must not
    resend in step.
    """

    def __init__(self, timeout_s: float, longest_s: float, jitter: Callable[[], float]) -> None:
        self._timeout_s, self._longest_s, self._jitter = timeout_s, longest_s, jitter
        self._waiting: OrderedDict[Key, int] = OrderedDict()  # to how often each was sent before
        self._sent: OrderedDict[Key, _Sent] = OrderedDict()

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
        self._waiting.update((key, 0) for key in keys)

    def next(self, now_s: float, window: int) -> Key | None:
        """Return the frame to send now, counted as sent from now on; None when the window is full or nothing waits."""
        if not self._waiting or len(self._sent) >= window:
            return None
        key, attempts = self._waiting.popitem(last=False)
        self._sent[key] = _Sent(now_s + self._stretched(self._longest_s), attempts + 1)
        return key

    def acknowledged(self, key: Key, now_s: float) -> None:
        """Note that the broker has a frame: from now on its time-out runs."""
        sent = self._sent.get(key)
        if sent is not None and not sent.at_broker:
            sent.at_broker = True
            sent.due_s = now_s + self._stretched(backoff_s(sent.attempts - 1, self._timeout_s, self._longest_s))

    def drop(self, key: Key) -> bool:
        """Forget a frame, sent or not; tell whether it was known."""
        return self._sent.pop(key, None) is not None or self._waiting.pop(key, None) is not None

    def oldest_waiting(self) -> Key | None:
        """Return the frame that has waited longest without being sent."""
        return next(iter(self._waiting), None)

    def again(self, now_s: float) -> list[Key]:
        """Put frames whose time-out has passed at the front of the queue and return them."""
        late = [key for key, sent in self._sent.items() if sent.due_s <= now_s]
        for key in reversed(late):
            self._waiting[key] = self._sent.pop(key).attempts
            self._waiting.move_to_end(key, last=False)
        return late

    def reconnected(self, now_s: float) -> None:
        """Wait only a moment longer for what the broker had before: it may have lost it. paho itself sends the rest."""
        for sent in self._sent.values():
            if sent.at_broker:
                sent.due_s = min(sent.due_s, now_s + AFTER_RECONNECT_S * (1 + self._jitter()))

    def next_due_s(self) -> float | None:
        """Return when the next time-out passes."""
        return min((sent.due_s for sent in self._sent.values()), default=None)

    def _stretched(self, patience_s: float) -> float:
        return patience_s * (1 + self._jitter() / 4)
