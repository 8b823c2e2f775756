"""What became of every captured frame, and how long its stages took."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

import numpy as np

from headwater.clock import STAGES, Offset
from headwater.metrics import Counters

KEPT_JOURNEYS: Final = 10_000
"""How many of the last finished frames the percentiles speak of."""
PERCENTILES: Final = (50, 95, 99)
RECENT_FRAMES: Final = 50
RECENT_S: Final = 30.0

Finisher = Literal["device", "worker"]
Drop = Literal[
    "stale",
    "overflow",
    "thinned",
    "too_large",
    "expired",
    "refused",
    "disk",
    "hopeless",
    "no_face",
    "unencodable",
    "stopped",
]
DROPS: Final[tuple[Drop, ...]] = get_args(Drop)
"""Why a frame may end without an answer; docs/device.md says what to do. Told as nought from the start."""


@dataclass
class Counts:
    """Frames by state: captured + recovered = finished + dropped + in flight, always."""

    captured: int = 0
    recovered: int = 0
    finished: dict[Finisher, int] = field(default_factory=lambda: {"device": 0, "worker": 0})
    exits: dict[str, int] = field(default_factory=dict)
    """Of those finished on the device: at an early exit, by its name."""
    unreported: int = 0
    dropped: dict[str, int] = field(default_factory=dict)

    @property
    def in_flight(self) -> int:
        """Return the frames that have not ended yet."""
        return self.captured + self.recovered - sum(self.finished.values()) - sum(self.dropped.values())


class Ledger:
    """Counts of one run of a device; any thread may write into it."""

    def __init__(
        self,
        recovered: int = 0,
        now_s: Callable[[], float] = time.monotonic,
        wall_ns: Callable[[], int] = time.time_ns,
        *,
        lost: int = 0,
    ) -> None:
        """Begin with what earlier runs left in the spool, and what was `lost` of it with a damaged one."""
        self._now_s, self._wall_ns = now_s, wall_ns
        self._first_s = self._last_s = 0.0
        self.last_finished_ns: int | None = None
        """When the last frame was finished, by the wall clock."""
        self._lock = threading.Lock()
        self._counts = Counts(recovered=recovered + lost, dropped={"disk": lost} if lost else {})
        self.tally = Counters()
        """What is counted beside the frames' states: messages sent again, bytes sent, results that cannot be read or
        are not waited for, frames answered from an exit because they were late."""
        self.clock: Offset | None = None
        """How far the clock of the worker that answered last is ahead."""
        self.on_journey: Callable[[Mapping[str, int], int], None] = lambda stages_ns, total_ns: None
        self._journeys: deque[dict[str, int]] = deque(maxlen=KEPT_JOURNEYS)
        self._recent: deque[tuple[float, int]] = deque(maxlen=RECENT_FRAMES)
        self._captures: deque[float] = deque(maxlen=RECENT_FRAMES)
        self._sent_bytes = self._sent_frames = 0

    def captured(self, n: int = 1) -> None:
        """Count pictures taken."""
        with self._lock:
            self._first_s = self._first_s or self._now_s()
            self._counts.captured += n
            self._captures.extend([self._now_s()] * min(n, RECENT_FRAMES))

    def dropped(self, reason: Drop, n: int = 1) -> int:
        """Count frames that ended without an answer, and return how many there are now for that reason."""
        with self._lock:
            self._counts.dropped[reason] = self._counts.dropped.get(reason, 0) + n
            return self._counts.dropped[reason]

    def finished(self, by: Finisher, at_exit: str | None = None, *, reported: bool = True) -> None:
        """Count one frame that has its answer, from the whole model or at an early exit."""
        with self._lock:
            self._last_s = self._now_s()
            self.last_finished_ns = self._wall_ns()
            self._counts.finished[by] += 1
            if at_exit is not None:
                self._counts.exits[at_exit] = self._counts.exits.get(at_exit, 0) + 1
            self._counts.unreported += not reported

    def sent(self, message_bytes: int, now_s: float, *, first: bool = True) -> None:
        """Count one message that goes out, for the first time or again."""
        self.tally.add("sent_bytes", message_bytes)
        if not first:
            return
        with self._lock:
            self._sent_bytes += message_bytes
            self._sent_frames += 1
            self._recent.append((now_s, message_bytes))

    def resent(self, n: int) -> None:
        """Count messages sent once more."""
        self.tally.add("resent", n)

    def journey(self, stages_ns: Mapping[Any, int], total_ns: int) -> None:
        """Keep the stage times of one finished frame."""
        with self._lock:
            self._journeys.append({**stages_ns, "total": total_ns})
        self.on_journey(stages_ns, total_ns)

    @property
    def last_finished_s(self) -> float | None:
        """When the last frame was finished, by the monotonic clock."""
        return self._last_s or None

    def counts(self) -> Counts:
        """Return a copy of the counts."""
        with self._lock:
            c = self._counts
            return Counts(c.captured, c.recovered, dict(c.finished), dict(c.exits), c.unreported, dict(c.dropped))

    def rates(self, now_s: float) -> tuple[float, float]:
        """Return (frames captured a second, bytes of a frame sent) of the last half minute."""
        with self._lock:
            captures = [at_s for at_s in self._captures if at_s > now_s - RECENT_S]
            sizes = [size for at_s, size in self._recent if at_s > now_s - RECENT_S]
        frames_per_s = (len(captures) - 1) / max(now_s - captures[0], 1e-6) if len(captures) > 1 else 0.0
        return frames_per_s, sum(sizes) / len(sizes) if sizes else 0.0

    def summary(self) -> dict[str, Any]:
        """Return the figures of the whole run, as `--json` prints them."""
        counts = self.counts()
        with self._lock:
            journeys = list(self._journeys)
            mean_bytes = self._sent_bytes / self._sent_frames if self._sent_frames else 0.0
            span_s = max(self._last_s - self._first_s, 1e-9)
        return {
            "captured": counts.captured,
            "recovered": counts.recovered,
            "finished": counts.finished,
            "exits": counts.exits,
            "unreported": counts.unreported,
            "dropped": counts.dropped,
            "in_flight": counts.in_flight,
            "late": self.tally["late"],
            "resent": self.tally["resent"],
            "results_again": self.tally["results_again"],
            "frames_per_s": round(sum(counts.finished.values()) / span_s, 2),
            "bytes_per_frame": round(mean_bytes, 1),
            "stages_ms": stage_percentiles(journeys),
        }


def stage_percentiles(journeys: list[dict[str, int]]) -> dict[str, dict[str, float]]:
    """Return p50, p95 and p99 in milliseconds of every stage that occurs, in the frame's order, and of the whole."""
    out = {}
    for stage in (*STAGES, "total"):
        times_ns = [journey[stage] for journey in journeys if stage in journey]
        if times_ns:
            values = np.percentile(np.array(times_ns, np.float64) / 1e6, PERCENTILES)
            out[stage] = {f"p{p}": round(float(v), 3) for p, v in zip(PERCENTILES, values, strict=True)}
    return out
