"""The messages on their way to the broker, and what their acknowledgements, or their absence, tell of the link."""

from __future__ import annotations

from typing import NamedTuple

from edge.link import LinkEstimate, LinkSeen
from edge.spool import Key
from headwater.messages import Link


class OnTheWire(NamedTuple):
    """A message that the broker has not acknowledged yet."""

    key: Key | None
    size_bytes: int
    since_s: float
    ahead_bytes: int | None
    """What was on the wire before it; None where nobody knows."""


class Wire:
    """What is on the wire now. Used by the sender's thread; `seen` may be asked by any."""

    def __init__(self, message_bytes: int, now_s: float) -> None:
        """Begin without a connection; `message_bytes` is the longest message that the workers take."""
        self._sent: dict[int, OnTheWire] = {}
        self._estimate = LinkEstimate()
        self._most_bytes = self._message_bytes = message_bytes
        self._silent_s: float | None = now_s
        self._heard_s = float("-inf")
        self._asked_s: float | None = None

    def __len__(self) -> int:
        return len(self._sent)

    def put(self, mid: int, key: Key | None, size_bytes: int, now_s: float) -> None:
        """Note a message that was published just now; `key` is its frame's."""
        known = all(sent.ahead_bytes is not None for sent in self._sent.values())
        ahead_bytes = sum(sent.size_bytes for sent in self._sent.values()) if known else None
        self._sent[mid] = OnTheWire(key, size_bytes, now_s, ahead_bytes)

    def acknowledged(self, mid: int, at_s: float, *, more_waits: bool = False) -> OnTheWire | None:
        """Take an acknowledgement in and return its message; None where it is not known.

        `more_waits` says that frames wait for room on the wire.
        """
        sent = self._sent.pop(mid, None)
        if sent is not None:
            self._heard_s = at_s
            self._estimate.acknowledged(
                sent.size_bytes, sent.since_s, at_s, ahead_bytes=sent.ahead_bytes, more_waits=more_waits
            )
        return sent

    def reconnected(self, now_s: float) -> None:
        """Note a new connection. What was on the wire paho sends again; its time says nothing about the link."""
        self._sent = {mid: sent._replace(ahead_bytes=None, since_s=now_s) for mid, sent in self._sent.items()}
        self._estimate.interrupted()

    def answered(self) -> None:
        """Note that a worker has answered a frame, whichever."""
        self._asked_s = None

    def listen(self, *, connected: bool, unanswered: int, message_bytes: int, now_s: float) -> None:
        """Note since when nothing comes back: not connected, no acknowledgement, or no answer to `unanswered` frames.

        `message_bytes` is the longest message that the broker takes.
        """
        self._message_bytes = min(self._most_bytes, message_bytes)
        if not unanswered:
            self._asked_s = None
        elif self._asked_s is None:
            self._asked_s = now_s
        if not connected:
            self._silent_s = now_s if self._silent_s is None else self._silent_s
            return
        oldest = next(iter(self._sent.values()), None)
        unheard = [self._asked_s, None if oldest is None else max(oldest.since_s, self._heard_s)]
        self._silent_s = min((since_s for since_s in unheard if since_s is not None), default=None)

    def seen(self) -> LinkSeen:
        """Return what is known of the link now."""
        return LinkSeen(self._estimate.s_per_bit, self._estimate.round_trip_s, self._silent_s, self._message_bytes)

    def link(self) -> Link | None:
        """Return the link's figures as a status says them, or None before the first measurement."""
        return self._estimate.link()
