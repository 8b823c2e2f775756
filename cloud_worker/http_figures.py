"""What a worker over HTTP tells of itself: its health, and its figures for Prometheus."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from headwater.clock import Stage
from headwater.prometheus import SECONDS, Figure, Figures, Reading, Values
from headwater.verdict import UNWELL_AFTER_S, Verdict, since_s, too_long

FIGURES: Final = (
    Figure("headwater_http_requests_total", "counter", "Answers, by route and status.", ("route", "status")),
    Figure(
        "headwater_http_stage_seconds",
        "histogram",
        "Time of each stage of the requests that got predictions.",
        ("route", "stage"),
        SECONDS,
    ),
    Figure("headwater_http_waiting_requests", "gauge", "Requests in hand or waiting."),
    Figure("headwater_http_held_bytes", "gauge", "Bytes of bodies held."),
    Figure("headwater_http_in_hand_seconds", "gauge", "How long the request in hand has been computed; 0: none is."),
    Figure("headwater_http_last_finished_timestamp_seconds", "gauge", "When the last request got its predictions."),
    Figure("headwater_http_well", "gauge", "1 where /health says well, else 0."),
)


class HttpFigures:
    """Counts and times of one worker. Only the event loop writes, but for what is in hand."""

    def __init__(
        self,
        name: str = "",
        now_s: Callable[[], float] = time.monotonic,
        *,
        unwell_after_s: float = UNWELL_AFTER_S,
        models: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self._name, self._unwell_after_s, self._models = name, unwell_after_s, models
        self._now_s, self._since_s = now_s, now_s()
        self._requests: Counter[tuple[str, str]] = Counter()
        self._finished_s: float | None = None
        self._begun_s: float | None = None
        self._figures = Figures(FIGURES, self.reading)
        self.exposition = self._figures.exposition
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
        self._requests[route, str(status)] += 1
        self._figures.observe_stages("headwater_http_stage_seconds", stages_ns, route)
        if stages_ns:
            self._finished_s = self._now_s()

    @property
    def finished(self) -> int:
        """How many requests got predictions."""
        return sum(n for (_, status), n in self._requests.items() if status == "200")

    def health(self) -> Verdict:
        """Return how the worker is: unwell when a request has been computed for too long."""
        now_s = self._now_s()
        in_hand_s = since_s(self._begun_s, now_s)
        return Verdict(
            "worker-http",
            self._name,
            tuple(too_long("one request has been computed", in_hand_s, self._unwell_after_s)),
            since_s(self._finished_s, now_s),
            now_s - self._since_s,
            {"finished": self.finished, "waiting": self.waiting},
            self._states(in_hand_s),
        )

    def _states(self, in_hand_s: float | None) -> dict[str, Any]:
        return {"in_hand_s": None if in_hand_s is None else round(in_hand_s, 3), "models": list(self._models())}

    def reading(self) -> Reading:
        """Return the figures as they are now."""
        found = self.health()
        finished_s: Values = {} if found.last_finished_s_ago is None else time.time() - found.last_finished_s_ago
        return {
            "headwater_http_requests_total": dict(self._requests),
            "headwater_http_waiting_requests": self.waiting,
            "headwater_http_held_bytes": self.held_bytes,
            "headwater_http_in_hand_seconds": found.states["in_hand_s"] or 0.0,
            "headwater_http_last_finished_timestamp_seconds": finished_s,
            "headwater_http_well": float(found.is_well),
        }
