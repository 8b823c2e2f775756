"""Which refused messages operators are told of: a flood of garbage must not make a second flood of reports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

TOLD_PER_S: Final = 10.0
TOLD_AT_ONCE: Final = 20
"""So many in a row, after a time of few."""


class Telling:
    """The first refusal of each kind, and of the others so many a second. For one thread."""

    def __init__(self, now_ns: Callable[[], int], per_s: float = TOLD_PER_S, at_once: int = TOLD_AT_ONCE) -> None:
        self._now_ns, self._per_s, self._at_once = now_ns, per_s, at_once
        self._left, self._since_ns = float(at_once), now_ns()
        self._known: set[str] = set()
        self.untold = 0
        """Since the last one that was told."""

    def tells(self, kind: str) -> bool:
        """Return whether to tell of this one; kinds are the names of errors, so there are few."""
        now_ns = self._now_ns()
        gained = max(0, now_ns - self._since_ns) / 1e9 * self._per_s
        self._left, self._since_ns = min(float(self._at_once), self._left + gained), now_ns
        if kind not in self._known:
            self._known.add(kind)
            return True
        if self._left < 1:
            self.untold += 1
            return False
        self._left -= 1
        return True
