"""Ends frames whose time has passed: dropped, or answered by what the device itself knows of them."""

from __future__ import annotations

from typing import Final

from edge.keeping import Late
from edge.ledger import Ledger
from edge.outbox import Outbox
from edge.spool import Key
from headwater.messages import Finished, Frame

AT_ONCE: Final = 64
"""So many waiting frames are looked at in one turn, so that the turn stays short."""


class Freshness:
    """Holds frames to `expire_s` from their capture; None: every frame is worth sending for ever."""

    def __init__(self, outbox: Outbox, ledger: Ledger, expire_s: float | None, late: Late) -> None:
        self._outbox, self._ledger, self._expire_s, self._late = outbox, ledger, expire_s, late

    def sweep(self, now_s: float) -> bool:
        """End frames that wait and whose time has passed, link or no link; tell whether there may be more.

        Answers wait for a disk that takes them.
        """
        if self._expire_s is None or (self._late == "answer" and self._outbox.is_failing):
            return False
        for _ in range(AT_ONCE):
            key = self._outbox.delivery.front()
            if key is None or not self._is_overdue(key, now_s):
                return False
            if self._late == "drop" or self._answered(key, None, now_s) is None:
                self._outbox.drop(key, "expired")
            else:
                self._outbox.delivery.put_off(key)
        return True

    def timely(self, key: Key, frame: Frame, now_s: float) -> Frame | None:
        """Return what to send of a frame whose turn has come: itself, its answer, or None where it is dropped."""
        if not self._is_overdue(key, now_s):
            return frame
        found = None if self._late == "drop" else self._answered(key, frame, now_s)
        if found is None:
            self._outbox.drop(key, "expired", frame)
        return found

    def left_s(self, key: Key, frame: Frame, now_s: float) -> float | None:
        """Return how long a frame is still worth delivering; None: for ever, as an answer is."""
        if self._expire_s is None or (self._late == "answer" and isinstance(frame.body, Finished)):
            return None
        return self._expire_s - self._outbox.age_s(key, now_s)

    def _is_overdue(self, key: Key, now_s: float) -> bool:
        return self._expire_s is not None and self._outbox.age_s(key, now_s) > self._expire_s

    def _answered(self, key: Key, frame: Frame | None, now_s: float) -> Frame | None:
        """Return a frame as the device answers it: finished before, or now from its deepest exit; None: it cannot."""
        found = self._outbox.answer_in_place(key, now_s)
        if found is not None:
            self._ledger.tally.add("late")
            return found
        whole = frame or self._outbox.load(key)
        return whole if whole is not None and isinstance(whole.body, Finished) else None
