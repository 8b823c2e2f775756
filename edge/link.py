"""The link as its own traffic shows it: how long small messages take, and how much longer large ones."""

from __future__ import annotations

import math
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
GATHERED_MESSAGES: Final = 20
"""… or so many messages have told that it is not busy but far."""
SPREAD: Final = 1.2
"""A link is the bottleneck where acknowledgements come so much further apart than their messages were sent."""
LEAST_SHARE: Final = 0.05
"""Of its time a message is taken to be transferred for this share at least: bandwidths have an end."""
QUEUED: Final = 2.0
"""A message that takes so many round trips has waited behind others: the link is busy."""


@dataclass
class _Gathered:
    """Messages that were acknowledged one after the other, each behind another."""

    messages: int = 0
    size_bytes: int = 0
    acknowledged_s: float = 0.0
    sent_s: float = 0.0
    more_waited: bool = False

    def add(self, size_bytes: int, acknowledged_s: float, sent_s: float) -> None:
        """Add one: how long after the one before it was acknowledged, and sent; infinite: it had to wait for that."""
        self.messages += 1
        self.size_bytes += size_bytes
        self.acknowledged_s += acknowledged_s
        self.more_waited = self.more_waited or math.isinf(sent_s)
        self.sent_s += 0.0 if math.isinf(sent_s) else sent_s


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
    acknowledgements: the time from one to the next is what the next one's bytes took. That they queue is told by
    acknowledgements that come further apart than their messages went, or by more that waits to be sent.
    """

    def __init__(self) -> None:
        self.round_trip_s: Smoothed | None = None
        self.s_per_bit: Smoothed | None = None
        self._last_s = self._last_sent_s = float("-inf")
        self._gathered = _Gathered()

    def acknowledged(
        self, message_bytes: int, sent_s: float, at_s: float, *, ahead_bytes: int | None, more_waits: bool = False
    ) -> None:
        """Take one measurement: a message of this size, sent and acknowledged by the broker at these times.

        `ahead_bytes` were on the wire when it was sent, None where nobody knows; `more_waits` says that others had to
        wait for room there.
        """
        took_s, before_s, before_sent_s = at_s - sent_s, self._last_s, self._last_sent_s
        self._last_s, self._last_sent_s = at_s, sent_s
        if ahead_bytes is not None and (ahead_bytes == 0 or ahead_bytes + message_bytes <= SMALL_BYTES):
            self._alone(message_bytes, took_s, at_s)
        elif self.round_trip_s is None or ahead_bytes is None:
            return
        elif message_bytes <= SMALL_BYTES:
            self._small(took_s, ahead_bytes, at_s)
        elif took_s < QUEUED * self.round_trip_s.mean:
            self._passing(message_bytes, took_s, at_s)
        elif sent_s <= before_s:
            self._gathered.add(message_bytes, at_s - before_s, math.inf if more_waits else sent_s - before_sent_s)
            self._look_at_gathered(took_s, at_s)

    def interrupted(self) -> None:
        """Note that the connection was lost: the time until the next acknowledgement says nothing."""
        self._last_s = self._last_sent_s = float("-inf")
        self._gathered = _Gathered()

    def _alone(self, message_bytes: int, took_s: float, at_s: float) -> None:
        self._gathered = _Gathered()
        if self.round_trip_s is None or message_bytes <= SMALL_BYTES:
            self.round_trip_s = smoothed(self.round_trip_s, took_s, at_s)
        else:
            self._passing(message_bytes, took_s, at_s)

    def _small(self, took_s: float, ahead_bytes: int, at_s: float) -> None:
        """Take a short message behind others: without what those took it tells the round trip."""
        ahead_s = 8 * ahead_bytes * (self.s_per_bit.mean if self.s_per_bit else 0.0)
        if ahead_s < took_s / 2:
            self.round_trip_s = smoothed(self.round_trip_s, took_s - ahead_s, at_s)

    def _passing(self, message_bytes: int, took_s: float, at_s: float) -> None:
        """Take a message that did not wait for others: what it takes beyond the round trip is its transfer.

        One that takes less than the round trip says that this is shorter, and that the transfer is too short to tell.
        """
        round_trip_s = self.round_trip_s.mean if self.round_trip_s else 0.0
        if took_s <= round_trip_s:
            self.round_trip_s = smoothed(self.round_trip_s, took_s, at_s)
        if message_bytes >= TELLING_BYTES or took_s > round_trip_s + PLAIN_S:
            self._paced(max(took_s - round_trip_s, LEAST_SHARE * took_s) / (8 * message_bytes), at_s)

    def _look_at_gathered(self, took_s: float, at_s: float) -> None:
        """Take what was gathered for the link's pace or, where acknowledgements only follow, for a long round trip."""
        found = self._gathered
        if found.size_bytes < GATHERED_BYTES and found.messages < GATHERED_MESSAGES:
            return
        self._gathered = _Gathered()
        if found.more_waited or found.acknowledged_s > SPREAD * found.sent_s:
            if found.size_bytes >= GATHERED_BYTES and found.acknowledged_s > 0:
                self._paced(found.acknowledged_s / (8 * found.size_bytes), at_s)
            return
        transfer_s = 8 * found.size_bytes / found.messages * (self.s_per_bit.mean if self.s_per_bit else 0.0)
        self.round_trip_s = smoothed(self.round_trip_s, max(0.0, took_s - transfer_s), at_s)

    def _paced(self, s_per_bit: float, at_s: float) -> None:
        self.s_per_bit = smoothed(self.s_per_bit, s_per_bit, at_s)

    def link(self) -> Link | None:
        """Return what is known, or None before the first measurement."""
        if self.round_trip_s is None:
            return None
        bandwidth = None if self.s_per_bit is None else 1 / self.s_per_bit.mean
        return Link(bandwidth, self.round_trip_s.mean * 1e3)
