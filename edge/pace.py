"""How many frames may be unanswered, and how long an answer may take: as the workers' own pace shows."""

from __future__ import annotations

from typing import Final

from planning.live import Smoothed, smoothed

LEAST: Final = 2.0
"""Of two frames one may never be answered, and the other still tells when workers are back."""
COMFORT: Final = 0.5
"""Answers that take more of the time-out than this share say that enough is on its way."""
PATIENCE: Final = 2.0
"""An answer may take so many times the mean."""


class Pace:
    """A window that opens while answers come soon and closes when they are late or stay away.

    Half open after each round that lost a frame, nearly shut after one without any answer; then it doubles with each
    round of answers up to where it was half, and grows by one a round beyond. Answers that take over half of the
    time-out close it before any is late, so no frame is sent again only because many wait. Source: RFC 5681, section
    3.1 (slow start, congestion avoidance), and for answers that get slower TCP Vegas (Brakmo and Peterson, 1995).
    """

    def __init__(self, timeout_s: float, longest_s: float) -> None:
        self._timeout_s, self._longest_s = timeout_s, longest_s
        self._size = self._calm = float("inf")
        self._usual_s: Smoothed | None = None
        self._answered_s = self._cut_s = float("-inf")

    @property
    def size(self) -> float:
        """Return how many frames may be sent and not answered; without bound until one is late."""
        return self._size

    @property
    def patience_s(self) -> float:
        """Return how long the first answer to a frame may take."""
        usual_s = 0.0 if self._usual_s is None else self._usual_s.mean
        return min(self._longest_s, max(self._timeout_s, PATIENCE * usual_s))

    def answered(self, took_s: float, now_s: float, unanswered: int) -> None:
        """Take in that an answer came so long after the broker had its frame, when so many were unanswered."""
        self._answered_s = now_s
        self._usual_s = smoothed(self._usual_s, took_s, now_s)
        if took_s <= COMFORT * self._timeout_s:
            self._size += 1.0 if self._size < self._calm else 1.0 / self._size
        else:
            self._size = max(LEAST, min(self._size, unanswered) - 0.5)
            self._calm = self._size

    def late(self, sent_s: float, now_s: float, unanswered: int) -> None:
        """Take in that a frame sent then has no answer in time; `unanswered` counts it, too."""
        if sent_s <= self._cut_s:
            return  # of the same round as one before
        self._cut_s = now_s
        now = min(self._size, float(unanswered))
        self._calm = max(LEAST, now / 2)
        self._size = self._calm if self._answered_s >= sent_s else LEAST
