"""The link as its own traffic shows it: how long small messages take, and how much longer large ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from headwater.messages import Link
from planning.live import TELLING_BYTES, Smoothed, smoothed

SMALL_BYTES: Final = 2_000
"""A message of at most this size tells the round trip; it fits into two Ethernet packets."""
PLAIN_S: Final = 0.1
"""A message under TELLING_BYTES tells the bandwidth where it takes so much longer than the round trip."""
GATHERED_BYTES: Final = 20_000
"""So much must have passed a busy link before its pace is a measurement."""
QUEUED: Final = 2.0
"""A message that takes so many round trips has waited behind others: the link is busy."""


@dataclass(frozen=True)
class LinkSeen:
    """What is known of the link at one moment."""

    s_per_bit: Smoothed | None
    round_trip_s: Smoothed | None
    silent_s: float | None
    """Since when, by the monotonic clock, it has said nothing that it should have said; None: it works."""
    message_bytes: float
    """The longest message that it and the workers take."""


class LinkEstimate:
    """Smoothed round trip and bandwidth from the times between publishing messages and their acknowledgements.

    A message alone on the wire tells by its own time. Where messages queue, a link's pace shows between
    acknowledgements: the time from one to the next is what the next one's bytes took.
    """

    def __init__(self) -> None:
        self.round_trip_s: Smoothed | None = None
        self.s_per_bit: Smoothed | None = None
        self._last_s = float("-inf")
        self._gathered_bytes, self._gathered_s = 0, 0.0

    def acknowledged(self, message_bytes: int, sent_s: float, at_s: float, *, alone: bool) -> None:
        """Take one measurement: a message of this size, sent and acknowledged by the broker at these times.

        `alone` says that nothing else was on the wire when it was sent.
        """
        before_s, self._last_s = self._last_s, at_s
        if alone:
            self._alone(message_bytes, at_s - sent_s, at_s)
        elif self.round_trip_s is None:
            return
        elif at_s - sent_s < QUEUED * self.round_trip_s.mean:
            self._passing(message_bytes, at_s - sent_s, at_s)
        elif sent_s <= before_s:
            self._queued(message_bytes, at_s - before_s, at_s)

    def interrupted(self) -> None:
        """Note that the connection was lost: the time until the next acknowledgement says nothing."""
        self._last_s = float("-inf")
        self._gathered_bytes, self._gathered_s = 0, 0.0

    def _alone(self, message_bytes: int, took_s: float, at_s: float) -> None:
        self._gathered_bytes, self._gathered_s = 0, 0.0
        if self.round_trip_s is None or message_bytes <= SMALL_BYTES or took_s <= self.round_trip_s.mean:
            self.round_trip_s = smoothed(self.round_trip_s, took_s, at_s)
        else:
            self._passing(message_bytes, took_s, at_s)

    def _passing(self, message_bytes: int, took_s: float, at_s: float) -> None:
        """Take a message that did not wait for others: what it takes beyond the round trip is its transfer."""
        round_trip_s = self.round_trip_s.mean if self.round_trip_s else 0.0
        least_bytes = SMALL_BYTES + 1 if took_s > round_trip_s + PLAIN_S else TELLING_BYTES
        if took_s > round_trip_s and message_bytes >= least_bytes:
            self._paced((took_s - round_trip_s) / (8 * message_bytes), at_s)

    def _queued(self, message_bytes: int, after_s: float, at_s: float) -> None:
        self._gathered_bytes += message_bytes
        self._gathered_s += after_s
        if self._gathered_bytes >= GATHERED_BYTES and self._gathered_s > 0:
            self._paced(self._gathered_s / (8 * self._gathered_bytes), at_s)
            self._gathered_bytes, self._gathered_s = 0, 0.0

    def _paced(self, s_per_bit: float, at_s: float) -> None:
        self.s_per_bit = smoothed(self.s_per_bit, s_per_bit, at_s)

    def link(self) -> Link | None:
        """Return what is known, or None before the first measurement."""
        if self.round_trip_s is None:
            return None
        bandwidth = None if self.s_per_bit is None else 1 / self.s_per_bit.mean
        return Link(bandwidth, self.round_trip_s.mean * 1e3)
