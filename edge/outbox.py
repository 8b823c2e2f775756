"""What waits to be sent or confirmed: the spool on disk, the order of sending, and the frames still in memory."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from edge.delivery import Delivery
from edge.ledger import Drop, Ledger
from edge.spool import Key, Spool
from edge.traces import Story, Traces
from headwater.clock import Stage
from headwater.errors import SpoolError, WireError
from headwater.logs import event
from headwater.messages import Frame, decode

log = logging.getLogger(__name__)

FRESH_FRAMES: Final = 32
"""How many frames are kept decoded in memory until they are first sent; further ones are read back from the disk."""


@dataclass(frozen=True)
class SentFrame:
    """What is remembered of a frame while its result is awaited."""

    spooled_ns: int
    """The device's stage clock when the frame came into the spool."""
    stages_ns: Mapping[Stage, int]
    """The stages before the spool."""
    finished_here: bool
    split: str
    codec: str
    story: Story | None = None
    """Of a frame that a collector of traces is told of."""


def age_s(frame: Frame) -> float:
    """Return how long ago a frame was captured, by the wall clock; 0 for one from the future."""
    return max(0.0, (time.time_ns() - frame.captured_ns) / 1e9)


class Outbox:
    """Frames of one device on their way. Used by one thread, without a network."""

    def __init__(self, spool: Spool, delivery: Delivery, ledger: Ledger, traces: Traces | None = None) -> None:
        self.spool, self.delivery, self.traces = spool, delivery, traces or Traces.off()
        self._ledger = ledger
        self._fresh: dict[Key, Frame] = {}
        self._remembered: dict[Key, SentFrame] = {}
        self._forget: list[Key] = []
        self._leaving_bytes = 0
        self._disk_failed = False
        delivery.add(spool.keys())

    def __len__(self) -> int:
        return len(self.delivery)

    def commit(self, offered: Sequence[tuple[Frame, bytes]]) -> None:
        """Write new frames and forget confirmed ones, in one transaction; what finds no room or disk is dropped."""
        if not offered and not self._forget:
            return
        kept = self._that_fit(offered)
        try:
            self.spool.commit([(key, message) for key, _, message in kept], self._forget)
        except SpoolError as error:
            self._report_once(error)
            for key, frame, _ in kept:
                self.drop(key, "disk", frame)
            return
        self._disk_failed = False
        self._forget, self._leaving_bytes = [], 0
        self.delivery.add(key for key, _, _ in kept)
        for key, frame, _ in kept:
            if len(self._fresh) < FRESH_FRAMES:
                self._fresh[key] = frame

    def _that_fit(self, offered: Sequence[tuple[Frame, bytes]]) -> list[tuple[Key, Frame, bytes]]:
        """Return the new frames that fit, after dropping the oldest unsent ones to make room for them."""
        kept: list[tuple[Key, Frame, bytes]] = []
        coming_bytes = 0
        for frame, message in offered:
            key = Key(frame.id.boot, frame.id.sequence)
            if len(message) > self.spool.limit_bytes:
                self.drop(key, "too_large", frame)
                continue
            while not self.spool.fits(coming_bytes + len(message) - self._leaving_bytes):
                oldest = self.delivery.oldest_waiting()
                if oldest is None:
                    break
                self.drop(oldest, "overflow")
            if self.spool.fits(coming_bytes + len(message) - self._leaving_bytes):
                coming_bytes += len(message)
                kept.append((key, frame, message))
            else:
                self.drop(key, "overflow", frame)
        return kept

    def next_to_send(self, now_s: float, window: int) -> tuple[Key, Frame] | None:
        """Return the next frame to send, counted as sent; None when the window is full or nothing waits."""
        while (key := self.delivery.next(now_s, window)) is not None:
            frame = self._fresh.pop(key, None) or self.load(key)
            if frame is not None:
                return key, frame
            self.drop(key, "disk")
        return None

    def load(self, key: Key) -> Frame | None:
        """Return a frame from the disk, or None when it cannot be read."""
        try:
            message = self.spool.read(key)
            return None if message is None else decode(Frame, message, len(message))
        except (SpoolError, WireError) as error:
            log.error(event("spooled frame unreadable", sequence=key.sequence, error=error))
            return None

    def remember(self, key: Key, sent: SentFrame) -> bool:
        """Keep what the result of a frame will need; tell whether the frame is sent for the first time in this run."""
        first = key not in self._remembered
        self._remembered[key] = sent
        return first

    def remembered(self, key: Key) -> SentFrame | None:
        """Return what was kept of a frame that was sent in this run."""
        return self._remembered.get(key)

    def confirmed(self, key: Key) -> bool:
        """Let go of a frame whose result is here; tell whether it was still waited for."""
        if not self.delivery.drop(key):
            return False
        self._let_go(key)
        return True

    def drop(self, key: Key, reason: Drop, frame: Frame | None = None) -> None:
        """Give a frame up and count it under `reason`; `frame` spares who is told of it a look into the spool."""
        so_far = self._ledger.dropped(reason)
        if so_far & (so_far - 1) == 0:  # the 1st, 2nd, 4th, 8th …: an outage must not fill the log
            log.warning(event("frame dropped", sequence=key.sequence, reason=reason, so_far=so_far))
        if self.traces.is_on:
            self.traces.dropped(self._story(key, frame, look=reason != "disk"), reason)
        self.delivery.drop(key)
        self._let_go(key)

    def _story(self, key: Key, frame: Frame | None, *, look: bool) -> Story | None:
        """Return what is known of a frame that is sampled and has not ended; `look` for it on the disk, if need be."""
        sent = self._remembered.get(key)
        if sent is not None:
            return sent.story
        if not self.traces.samples(key):
            return None
        whole = frame or self._fresh.get(key) or (self.load(key) if look else None)
        return None if whole is None else self.traces.begun(whole)

    def _let_go(self, key: Key) -> None:
        self._fresh.pop(key, None)
        self._remembered.pop(key, None)
        if key in self.spool:
            self._forget.append(key)
            self._leaving_bytes += self.spool.size_of(key)

    def _report_once(self, error: SpoolError) -> None:
        if not self._disk_failed:
            log.error(event("spool failed", error=error))
        self._disk_failed = True
