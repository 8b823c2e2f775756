"""Which frames go when the spool of a camera is full: a policy with a name."""

from __future__ import annotations

from typing import Final, Protocol

from edge.keeping import Full
from edge.ledger import Drop
from edge.spool import Key

SPARSEST: Final = 1 << 16
"""Thinner than one frame of so many the record is not made; then the oldest go."""


class Waiting(Protocol):
    """The frames that are to be sent."""

    def oldest_waiting(self) -> Key | None: ...
    def all_waiting(self) -> list[Key]: ...


class Room:
    """Chooses among frames that wait; it drops nothing itself."""

    def __init__(self, policy: Full) -> None:
        self._policy = policy
        self._every = 1

    def wants(self, key: Key) -> bool:
        """Tell whether a new frame belongs to what is kept: while thinned, one of so many."""
        return key.sequence % self._every == 0

    def relax(self) -> None:
        """Keep every frame again: the outage is over."""
        self._every = 1

    def victims(self, waiting: Waiting) -> tuple[Drop, list[Key]]:
        """Return which frames go to make room, and for what reason; none: the new one goes.

        Thinning keeps the frames whose number is divisible by 2, then by 4, and so on, of those that wait and of those
        to come, so what is left stays even in time however long the outage.
        """
        oldest = waiting.oldest_waiting()
        if self._policy == "newest" or oldest is None:
            return "overflow", []
        while self._policy == "thin" and self._every < SPARSEST:
            self._every *= 2
            found = [key for key in waiting.all_waiting() if not self.wants(key)]
            if found:
                return "thinned", found
        return "overflow", [oldest]
