"""What waits to be sent or confirmed: the spool on disk, the order of sending, and the frames still in memory."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from edge.delivery import Delivery
from edge.keeping import Full
from edge.ledger import Drop, Ledger
from edge.room import Room
from edge.spool import Key, Note, Spool
from edge.traces import Story, Traces
from headwater.clock import Stage
from headwater.errors import SpoolError, WireError
from headwater.logs import event
from headwater.messages import Frame, decode

log = logging.getLogger(__name__)

FRESH_FRAMES: Final = 32
"""How many frames are kept decoded in memory until they are first sent; further ones are read back from the disk."""
UNSAVED_FRAMES: Final = 32
UNSAVED_BYTES: Final = 8_000_000
"""So many frames, of so many bytes, are held in memory while the disk takes none: with a link they still arrive.
A source that can wait runs no further ahead of the disk: half of it, and what is on its way here, are less."""
RETRY_S: Final = 1.0
"""A disk that took nothing is asked again after so long."""


class Offered(NamedTuple):
    """A new frame."""

    frame: Frame
    message: bytes
    answer: bytes | None = None
    """What to send in its place when its time has passed."""
    age_s: float = 0.0
    """How long ago it was captured."""

    @property
    def key(self) -> Key:
        """Return the frame's key."""
        return Key(self.frame.id.boot, self.frame.id.sequence)

    @property
    def size_bytes(self) -> int:
        """Return what it takes of the spool's bound."""
        return len(self.message) + len(self.answer or b"")


class _Unsaved(NamedTuple):
    offered: Offered
    since_s: float
    """When it was captured, by the clock that `commit` is given."""


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


class Outbox:
    """Frames of one device on their way. Used by one thread, without a network."""

    def __init__(
        self, spool: Spool, delivery: Delivery, ledger: Ledger, traces: Traces | None = None, full: Full = "oldest"
    ) -> None:
        self.spool, self.delivery, self.traces = spool, delivery, traces or Traces.off()
        self._ledger, self._room = ledger, Room(full)
        self._fresh: dict[Key, Frame] = {}
        self._remembered: dict[Key, SentFrame] = {}
        self._unsaved: dict[Key, _Unsaved] = {}
        self._unsaved_bytes = 0
        self._forget: dict[Key, int] = {}  # to the bytes that each gives back
        self._leaving_bytes = 0
        self._retry_s = float("-inf")
        delivery.add(spool.keys())

    def __len__(self) -> int:
        return len(self.delivery)

    def commit(self, offered: Sequence[Offered], now_s: float) -> None:
        """Write new frames and forget confirmed ones, in one transaction; what finds no room is dropped.

        A disk that takes nothing is asked again later; of the frames it should have taken the last few wait in memory.
        """
        for one in offered:
            self._take(one, now_s)
        if (self._unsaved or self._forget or self.is_failing) and now_s >= self._retry_s:
            self._save(now_s)
        self._bound_unsaved()
        for key in self.spool.lost():
            if self.delivery.is_waiting(key) and key not in self._fresh and key not in self.spool:
                self.drop(key, "disk")

    def _take(self, one: Offered, now_s: float) -> None:
        """Queue a new frame, or drop it; those that it pushes out are dropped, too."""
        key = one.key
        if not self.delivery.waiting:
            self._room.relax()
        if one.size_bytes > self.spool.limit_bytes:
            self.drop(key, "too_large", one.frame)
            return
        while self._room.wants(key) and not self._fits(one.size_bytes):
            reason, victims = self._room.victims(self.delivery)
            if not victims:
                break
            for victim in victims:
                self.drop(victim, reason)
        if not self._room.wants(key):
            self.drop(key, "thinned", one.frame)
        elif not self._fits(one.size_bytes):
            self.drop(key, "overflow", one.frame)
        else:
            self.delivery.add([key])
            self._hold(one, now_s - one.age_s)
            if len(self._fresh) < FRESH_FRAMES:
                self._fresh[key] = one.frame

    def _fits(self, size_bytes: int) -> bool:
        return self.spool.fits(size_bytes + self._unsaved_bytes - self._leaving_bytes)

    def _hold(self, one: Offered, since_s: float) -> None:
        self._unsaved[one.key] = _Unsaved(one, since_s)
        self._unsaved_bytes += one.size_bytes

    def _save(self, now_s: float) -> None:
        held = {key: (one.offered, now_s - one.since_s) for key, one in self._unsaved.items()}
        notes = {key: Note(age_s, one.answer) for key, (one, age_s) in held.items()}
        try:
            self.spool.commit([(key, one.message) for key, (one, _) in held.items()], self._forget, notes)
        except SpoolError as error:
            if not self.is_failing:
                log.error(event("spool failed", error=error))
            self._retry_s = now_s + RETRY_S
            self._forget_alone()
            return
        self._retry_s = float("-inf") if self.spool.failing_s() is None else now_s + RETRY_S
        self._unsaved.clear()
        self._forget.clear()
        self._unsaved_bytes = self._leaving_bytes = 0

    def _forget_alone(self) -> None:
        """Give the disk back what is confirmed: on a full one that takes less room than a new frame, and makes some."""
        gone = [key for key in self._forget if key not in self._unsaved]
        if self._unsaved and gone:
            with contextlib.suppress(SpoolError):
                self.spool.commit([], gone)
                for key in gone:
                    self._leaving_bytes -= self._forget.pop(key)

    def _bound_unsaved(self) -> None:
        """Let go of what finds no room in memory, first of answers to frames on the disk; the last one stays."""
        while len(self._unsaved) > UNSAVED_FRAMES or (len(self._unsaved) > 1 and self._unsaved_bytes > UNSAVED_BYTES):
            on_disk = next((key for key in self._unsaved if key in self.spool), None)
            if on_disk is not None:
                self._unsaved_bytes -= self._unsaved.pop(on_disk).offered.size_bytes
                self._leaving_bytes -= self._forget.pop(on_disk, 0)
                continue
            waiting = (key for key in self._unsaved if self.delivery.is_waiting(key))
            key = next(waiting, next(iter(self._unsaved)))
            self.drop(key, "disk", self._unsaved[key].offered.frame)

    @property
    def unsaved_bytes(self) -> int:
        """Return what is held in memory until the disk takes it."""
        return self._unsaved_bytes

    @property
    def is_failing(self) -> bool:
        """Tell whether the disk takes nothing."""
        return self._retry_s > float("-inf")

    @property
    def is_stuck(self) -> bool:
        """Tell whether, besides, not much more can be held in memory: who can wait should."""
        half_full = len(self._unsaved) >= UNSAVED_FRAMES / 2 or self._unsaved_bytes >= UNSAVED_BYTES / 2
        return self.is_failing and half_full

    def end(self, now_s: float) -> None:
        """Write what can be written, and drop what no next start will find."""
        self._retry_s = min(self._retry_s, now_s)
        self.commit([], now_s)
        for key in self.delivery.keys():  # noqa: SIM118  not a dict
            if key not in self.spool:
                self.drop(key, "disk")
            elif not self.spool.outlives_us:
                self.drop(key, "stopped")

    def next_to_send(self, now_s: float, window: int) -> tuple[Key, Frame] | None:
        """Return the next frame to send, counted as sent; None when the window is full or nothing waits."""
        while (key := self.delivery.next(now_s, window)) is not None:
            frame = self._fresh.pop(key, None) or self.load(key)
            if frame is not None:
                return key, frame
            if self.spool.is_torn:
                self.delivery.put_back(key)
                return None
            self.drop(key, "disk")
        return None

    def load(self, key: Key) -> Frame | None:
        """Return a frame from the disk, or None when it cannot be read."""
        held = self._unsaved.get(key)
        if held is not None:
            return held.offered.frame
        try:
            message = self.spool.read(key)
            return None if message is None else decode(Frame, message, len(message))
        except (SpoolError, WireError) as error:
            level = logging.DEBUG if self.spool.is_torn else logging.ERROR
            log.log(level, event("spooled frame unreadable", sequence=key.sequence, error=error))
            return None

    def age_s(self, key: Key, now_s: float) -> float:
        """Return how long ago a frame was captured, whatever was done to the wall clock since; 0: nobody knows."""
        held = self._unsaved.get(key)
        return (self.spool.age_s(key) or 0.0) if held is None else now_s - held.since_s

    def answer_in_place(self, key: Key, now_s: float) -> Frame | None:
        """Put what the device itself answers in a frame's place and return it; None where it has no answer."""
        held = self._unsaved.get(key)
        try:
            answer = self.spool.answer(key) if held is None else held.offered.answer
            frame = None if answer is None else decode(Frame, answer, len(answer))
        except (SpoolError, WireError) as error:
            log.error(event("spooled answer unreadable", sequence=key.sequence, error=error))
            return None
        if answer is None or frame is None:
            return None
        since_s = now_s - self.age_s(key, now_s)
        self._fresh.pop(key, None)
        self._off_the_disk(key)
        self._hold(Offered(frame, answer), since_s)
        return frame

    def remember(self, key: Key, sent: SentFrame) -> bool:
        """Keep what the result of a frame will need; tell whether the frame is sent for the first time in this run."""
        first = key not in self._remembered
        self._remembered[key] = sent
        return first

    def remembered(self, key: Key) -> SentFrame | None:
        """Return what was kept of a frame that was sent in this run."""
        return self._remembered.get(key)

    def confirmed(self, key: Key, now_s: float, took_s: float | None = None) -> bool:
        """Let go of a frame whose result is here, so long after it was sent; tell whether it was still waited for."""
        if not self.delivery.answered(key, now_s, took_s):
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
        self._off_the_disk(key)

    def _off_the_disk(self, key: Key) -> None:
        held = self._unsaved.pop(key, None)
        if held is not None:
            self._unsaved_bytes -= held.offered.size_bytes
        if key in self.spool and key not in self._forget:
            self._forget[key] = self.spool.size_of(key)
            self._leaving_bytes += self._forget[key]
