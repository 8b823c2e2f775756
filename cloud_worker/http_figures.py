"""What a worker over HTTP tells of itself: its health, and its figures for Prometheus."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from headwater.clock import Stage
from headwater.prometheus import Histogram, Labels, family, histogram_family

STUCK_S: Final = 60.0
"""A request that is computed for so long: something hangs."""


class Figures:
    """Counts and times of one worker. Only the event loop writes, but for what is in hand."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s, self._since_s = now_s, now_s()
        self._requests: Counter[Labels] = Counter()
        self._stages: dict[Labels, Histogram] = {}
        self._finished_s: float | None = None
        self._begun_s: float | None = None
        self.waiting = 0
        self.held_bytes = 0

    def begin(self) -> None:
        """Note that a request is taken in hand. Runs on the model's thread, as `end` does."""
        self._begun_s = self._now_s()

    def end(self) -> None:
        """Note that nothing is in hand."""
        self._begun_s = None

    def answered(self, route: str, status: int, stages_ns: Mapping[Stage, int]) -> None:
        """Count one answer."""
        self._requests[("route", route), ("status", str(status))] += 1
        for stage, took_ns in stages_ns.items():
            self._stages.setdefault((("route", route), ("stage", stage)), Histogram()).add(took_ns / 1e9)
        if stages_ns:
            self._finished_s = self._now_s()

    @property
    def finished(self) -> int:
        """How many requests got predictions."""
        return sum(n for labels, n in self._requests.items() if labels[1][1] == "200")

    def health(self) -> dict[str, Any]:
        """Return how the worker is: `stuck` when a request has been computed for over a minute."""
        now_s, begun_s = self._now_s(), self._begun_s
        in_hand_s = None if begun_s is None else round(now_s - begun_s, 3)
        return {
            "status": "stuck" if in_hand_s is not None and in_hand_s > STUCK_S else "ok",
            "up_s": round(now_s - self._since_s, 3),
            "finished": self.finished,
            "last_finished_s_ago": None if self._finished_s is None else round(now_s - self._finished_s, 3),
            "waiting": self.waiting,
            "in_hand_s": in_hand_s,
        }

    def exposition(self) -> str:
        """Return all figures in Prometheus's text format."""
        lines = [
            *family("headwater_http_requests_total", "counter", "Answers by route and status.", self._requests),
            *histogram_family("headwater_http_stage_seconds", "Time by stage of answered requests.", self._stages),
            *family("headwater_http_waiting", "gauge", "Requests in hand or waiting.", {(): self.waiting}),
            *family("headwater_http_held_bytes", "gauge", "Bytes of bodies held.", {(): self.held_bytes}),
            *family("headwater_http_up_seconds", "gauge", "Age.", {(): self._now_s() - self._since_s}),
        ]
        return "\n".join(lines) + "\n"
