"""How often somebody may fail to sign in, by name and by address, in bounded memory."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from visualizer.door.proxies import place

MOST_KEYS: Final = 10_000


@dataclass(frozen=True)
class Bound:
    """So many tries in so long a time."""

    most: int
    span_s: float


ONE_NAME_FROM_ONE_PLACE: Final = Bound(5, 300)
ONE_PLACE: Final = Bound(30, 900)
ONE_NAME: Final = Bound(100, 3600)
"""From all places: a hundred thousand machines that guess the same password get a hundred guesses an hour. So two
places, which fail sixty times an hour each, suffice to keep out who has that name; one does not."""

Key = tuple[Bound, str]


def keys(name: str, address: str) -> list[Key]:
    """Return what a try is counted under."""
    tried_from = place(address)
    return [(ONE_NAME_FROM_ONE_PLACE, f"{name} {tried_from}"), (ONE_PLACE, tried_from), (ONE_NAME, name)]


class Throttle:
    """Counts tries that have not succeeded. Any thread may use it."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s, self._lock = now_s, threading.Lock()
        self._tries: OrderedDict[Key, deque[float]] = OrderedDict()

    def begin(self, tried: Sequence[Key]) -> float:
        """Count a try and return 0, or return how many seconds must pass before there may be one.

        It counts before it is known to fail: many tries at once are held up as they would be one after the other.
        """
        now_s = self._now_s()
        with self._lock:
            wait_s = max(self._wait_s(key, now_s) for key in tried)
            if wait_s <= 0:
                for key in tried:
                    self._count(key, now_s)
            return max(0.0, wait_s)

    def succeeded(self, tried: Sequence[Key]) -> None:
        """Forget the failures of this name at this place, and the try that was none."""
        with self._lock:
            self._take_back(tried)
            for key in tried:
                if key[0] is ONE_NAME_FROM_ONE_PLACE:
                    self._tries.pop(key, None)

    def was_none(self, tried: Sequence[Key]) -> None:
        """Forget a try that told nobody whether the password is right."""
        with self._lock:
            self._take_back(tried)

    def _take_back(self, tried: Sequence[Key]) -> None:
        for key in tried:
            times = self._tries.get(key)
            if times:
                times.pop()
            if not times:
                self._tries.pop(key, None)

    def count(self) -> int:
        """Return how many names and places are remembered."""
        with self._lock:
            return len(self._tries)

    def _wait_s(self, key: Key, now_s: float) -> float:
        bound, times = key[0], self._tries.get(key)
        return times[0] + bound.span_s - now_s if times and len(times) >= bound.most else 0.0

    def _count(self, key: Key, now_s: float) -> None:
        if key not in self._tries and len(self._tries) >= MOST_KEYS:
            self._forget_one(now_s)
        self._tries.setdefault(key, deque(maxlen=key[0].most)).append(now_s)
        self._tries.move_to_end(key)

    def _forget_one(self, now_s: float) -> None:
        """Forget the oldest of those that hold nobody up, so that a flood of other names lets nobody guess on.

        Only where all of them do it is the oldest of all: five tries for each, more than can be made in their time.
        """
        free = (key for key in self._tries if self._wait_s(key, now_s) <= 0)
        del self._tries[next(free, next(iter(self._tries)))]
