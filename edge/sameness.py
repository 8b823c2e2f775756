"""Notices a camera that goes on handing out the same picture: nothing that looks at a scene gives it twice."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from edge.sources.capture import Pixels

GRID: Final = 64
"""Of a larger picture every so many-th row and column is compared, about this many of each: a sensor's noise is
everywhere."""


class Sameness:
    """Since when a source gives the same picture. One thread shows it pictures; any may ask."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._last, self._first_s = b"", 0.0
        self.since_s: float | None = None
        """When the picture first came that has come ever since; None: the last one was another."""

    def saw(self, picture: Pixels) -> None:
        """Take in the next picture."""
        shown = sample(picture)
        if shown == self._last:
            self.since_s = self._first_s
        else:
            self._last, self._first_s, self.since_s = shown, self._now_s(), None

    def lasts(self, limit_s: float) -> bool:
        """Tell whether it has been the same for longer than the limit; never where that is 0."""
        since_s = self.since_s
        return since_s is not None and 0 < limit_s < self._now_s() - since_s


def sample(picture: Pixels) -> bytes:
    """Return the pixels that are compared, 48 KB at most."""
    rows, columns = (max(1, side // GRID) for side in picture.shape[:2])
    shown: bytes = picture[::rows, ::columns].tobytes()
    return shown
