"""Which frame to send next, which to wait for, and which to send again: values and times in, decisions out."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from edge.backoff import backoff_s
from edge.pace import Pace
from edge.spool import Key

AFTER_RECONNECT_S: Final = 2.0
"""How long a frame that the broker had before the connection broke may still be answered before it is sent again."""


@dataclass
class _Sent:
    due_s: float
    attempts: int
    """How often it was sent, this time included."""
    sent_s: float
    acknowledged_s: float | None = None
    """When the broker had it."""
    was_put_off: bool = False


class Delivery:
    """The order of sending, a window of unconfirmed frames, and a time-out that doubles with every attempt.

    The time-out runs from the broker's acknowledgement: what still stands in the queue of a slow link is not sent
    again behind itself. `jitter` gives numbers in [0, 1); it stretches a time-out by up to a quarter: a fleet must not
    resend in step. Window and first time-out follow the pace of the answers.
    """

    def __init__(self, timeout_s: float, longest_s: float, jitter: Callable[[], float]) -> None:
        self._longest_s, self._jitter = longest_s, jitter
        self.pace = Pace(timeout_s, longest_s)
        self._waiting: OrderedDict[Key, int] = OrderedDict()  # to how often each was sent before
        self._later: OrderedDict[Key, int] = OrderedDict()  # the same, for what is sent when nothing else is to be
        self._sent: OrderedDict[Key, _Sent] = OrderedDict()

    def __len__(self) -> int:
        return self.waiting + len(self._sent)

    @property
    def unconfirmed(self) -> int:
        """Return how many frames are sent and not yet answered."""
        return len(self._sent)

    @property
    def waiting(self) -> int:
        """Return how many frames are to be sent."""
        return len(self._waiting) + len(self._later)

    def is_waiting(self, key: Key) -> bool:
        """Tell whether a frame is to be sent."""
        return key in self._waiting or key in self._later

    def all_waiting(self) -> list[Key]:
        """Return the frames that are to be sent, the next one first."""
        return [*self._waiting, *self._later]

    def keys(self) -> list[Key]:
        """Return every frame, sent or not."""
        return [*self._sent, *self._waiting, *self._later]

    def front(self) -> Key | None:
        """Return the frame that has waited longest of those that are not put off."""
        return next(iter(self._waiting), None)

    def put_off(self, key: Key) -> None:
        """Send a frame that waits when no other is to be sent."""
        if key in self._waiting:
            self._later[key] = self._waiting.pop(key)

    def put_back(self, key: Key) -> None:
        """Take back that a frame was sent: it could not be. It is tried when no other is to be sent."""
        self._later[key] = self._sent.pop(key).attempts - 1

    def add(self, keys: Iterable[Key]) -> None:
        """Queue frames behind all others."""
        self._waiting.update((key, 0) for key in keys)

    def window(self, most: int) -> int:
        """Return how many frames may be unconfirmed now, `most` at the most."""
        return int(min(most, self.pace.size))

    def next(self, now_s: float, window: int) -> Key | None:
        """Return the frame to send now, counted as sent from now on; None when the window is full or nothing waits."""
        lane = self._waiting or self._later
        if not lane or len(self._sent) >= self.window(window):
            return None
        key, attempts = lane.popitem(last=False)
        due_s = now_s + self._stretched(self._longest_s)
        self._sent[key] = _Sent(due_s, attempts + 1, now_s, was_put_off=lane is self._later)
        return key

    def acknowledged(self, key: Key, now_s: float) -> None:
        """Note that the broker has a frame: from now on its time-out runs."""
        sent = self._sent.get(key)
        if sent is not None and sent.acknowledged_s is None:
            sent.acknowledged_s = now_s
            patience_s = backoff_s(sent.attempts - 1, self.pace.patience_s, self._longest_s)
            sent.due_s = now_s + self._stretched(patience_s)

    def answered(self, key: Key, now_s: float, took_s: float | None = None) -> bool:
        """Forget a frame that has its answer, `took_s` after the sending that it belongs to; tell if it was known.

        The workers' pace is what an answer takes from the broker on; None: nobody knows.
        """
        unanswered, sent = len(self._sent), self._sent.get(key)
        if not self.drop(key):
            return False
        if took_s is not None:
            self.pace.answered(max(0.0, took_s - _on_the_wire_s(sent, now_s)), now_s, unanswered)
        return True

    def drop(self, key: Key) -> bool:
        """Forget a frame, sent or not; tell whether it was known."""
        return any(place.pop(key, None) is not None for place in (self._sent, self._waiting, self._later))

    def oldest_waiting(self) -> Key | None:
        """Return the frame that has waited longest without being sent."""
        return next(iter(self._waiting or self._later), None)

    def again(self, now_s: float) -> list[Key]:
        """Put frames whose time-out has passed at the front of the queue and return them."""
        late = [key for key, sent in self._sent.items() if sent.due_s <= now_s]
        for key in late:
            self.pace.late(self._sent[key].sent_s, now_s, len(self._sent))
        for key in reversed(late):
            sent = self._sent.pop(key)
            lane = self._later if sent.was_put_off else self._waiting
            lane[key] = sent.attempts
            lane.move_to_end(key, last=False)
        return late

    def reconnected(self, now_s: float) -> None:
        """Wait only a moment longer for what the broker had before: it may have lost it. paho itself sends the rest."""
        for sent in self._sent.values():
            if sent.acknowledged_s is not None:
                sent.due_s = min(sent.due_s, now_s + AFTER_RECONNECT_S * (1 + self._jitter()))

    def next_due_s(self) -> float | None:
        """Return when the next time-out passes."""
        return min((sent.due_s for sent in self._sent.values()), default=None)

    def _stretched(self, patience_s: float) -> float:
        return patience_s * (1 + self._jitter() / 4)


def _on_the_wire_s(sent: _Sent | None, now_s: float) -> float:
    """Return what the link took of an answer's time: until the broker had the frame; 0 of one that is not sent now."""
    if sent is None:
        return 0.0
    return (now_s if sent.acknowledged_s is None else sent.acknowledged_s) - sent.sent_s
