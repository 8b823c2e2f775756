"""Which refused messages operators are told of: a flood of garbage must not make a second flood of reports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

TOLD_PER_S: Final = 10.0
TOLD_AT_ONCE: Final = 20
"""So many in a row, after a time of few."""


class Telling:
    """Of the refusals of each kind so many a second: a flood of one kind hides no other. For one thread."""

    def __init__(self, now_ns: Callable[[], int], per_s: float = TOLD_PER_S, at_once: int = TOLD_AT_ONCE) -> None:
        self._now_ns, self._per_s, self._at_once = now_ns, per_s, at_once
        self._left: dict[str, tuple[float, int]] = {}
        """How many of each kind may be told of, and when that was so."""
        self.untold = 0
        """Of all kinds, since the last one that was told."""

    def tells(self, kind: str) -> bool:
        """Return whether to tell of this one; kinds are the names of errors, so there are few."""
        now_ns = self._now_ns()
        left, since_ns = self._left.get(kind, (float(self._at_once), now_ns))
        left = min(float(self._at_once), left + max(0, now_ns - since_ns) / 1e9 * self._per_s)
        is_told = left >= 1
        self._left[kind] = left - is_told, now_ns
        self.untold += not is_told
        return is_told
