"""Whether a worker is well: by what it has in hand, what waits, and whom it reaches. Times in, verdict out."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from headwater.errors import StoreError
from headwater.logs import event
from headwater.verdict import too_long

log = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 1.0


@dataclass(frozen=True)
class Seen:
    """A worker at one moment; how long each thing has lasted, None: it is not so."""

    in_hand_s: float | None = None
    """One frame is being worked on."""
    waiting_s: float | None = None
    """Of the frames in the inbox: the oldest."""
    ended_s: float | None = None
    """Since the last frame was answered or refused."""
    finished_s: float | None = None
    """Since the last frame was answered."""
    broker_away_s: float | None = None
    store_away_s: float | None = None


def reasons(seen: Seen, limit_s: float) -> list[str]:
    """Return why a worker is unwell, as sentences; none for one that is well, and idle is well."""
    return [
        *too_long("one frame has been in hand", seen.in_hand_s, limit_s),
        *too_long("frames wait, and none was finished", _stalled_s(seen), limit_s),
        *too_long("no connection to the broker", seen.broker_away_s, limit_s),
        *too_long("the store has taken nothing", seen.store_away_s, limit_s),
    ]


def waits_for_others(seen: Seen) -> bool:
    """Tell whether broker or store are away; until they are back, nothing else can be held against the worker."""
    return seen.broker_away_s is not None or seen.store_away_s is not None


def _stalled_s(seen: Seen) -> float | None:
    """Return how long frames have waited without one being done with."""
    if seen.waiting_s is None or seen.ended_s is None:
        return seen.waiting_s
    return min(seen.waiting_s, seen.ended_s)


class StoreWatch:
    """Asks the store now and then whether it is there: a worker without frames would not know."""

    def __init__(self, ping: Callable[[], None], now_ns: Callable[[], int]) -> None:
        self._ping, self._now_ns = ping, now_ns
        self.away_since_ns: int | None = None

    def look(self) -> None:
        """Ask once."""
        asked_ns = self._now_ns()
        try:
            self._ping()
        except StoreError as error:
            if self.away_since_ns is None:
                self.away_since_ns = asked_ns
                log.info(event("store does not answer", reason=error))
        else:
            self.away_since_ns = None

    def run(self, over: threading.Event) -> None:
        """Ask until it is over."""
        while not over.wait(LOOK_EVERY_S):
            self.look()
