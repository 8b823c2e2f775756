"""How time is taken, and how a measured value is held against its goal."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Row:
    """One measured value; with a goal, whether it is met."""

    what: str
    value: float
    unit: str
    goal: float | None = None
    better: Literal["lower", "higher"] = "lower"

    def text(self) -> str:
        """Return the value for people."""
        digits = 0 if abs(self.value) >= 1000 else 1 if abs(self.value) >= 100 else 2 if abs(self.value) >= 1 else 3
        return f"{self.value:,.{digits}f} {self.unit}"

    def goal_text(self) -> str:
        """Return the goal for people."""
        if self.goal is None:
            return ""
        return f"{'≤' if self.better == 'lower' else '≥'} {self.goal:g} {self.unit}"

    def is_met(self) -> bool | None:
        """Tell whether the goal is met; None where there is none."""
        if self.goal is None:
            return None
        return self.value <= self.goal if self.better == "lower" else self.value >= self.goal

    def verdict(self) -> str:
        """Return a word for the goal."""
        return {None: "", True: "met", False: "MISSED"}[self.is_met()]

    def as_dict(self) -> dict[str, Any]:
        """Return the row as it is kept."""
        return {**asdict(self), "met": self.is_met()}


def median_ms(run: Callable[[], object], repeats: int = 200, warm_up: int = 20, *, pause_s: float = 0.0) -> float:
    """Return the median time of `run` in milliseconds, with a pause before each."""
    for _ in range(warm_up):
        run()
    times_ns = []
    for _ in range(repeats):
        if pause_s:
            time.sleep(pause_s)
        begin_ns = time.perf_counter_ns()
        run()
        times_ns.append(time.perf_counter_ns() - begin_ns)
    return statistics.median(times_ns) / 1e6


def interleaved_ms(runs: Sequence[Callable[[], object]], repeats: int = 300, warm_up: int = 30) -> list[float]:
    """Return the median time of each of `runs`, taken in turn, so that a drifting machine is fair to all."""
    times_ns: list[list[int]] = [[] for _ in runs]
    for turn in range(repeats + warm_up):
        for number, run in enumerate(runs):
            begin_ns = time.perf_counter_ns()
            run()
            if turn >= warm_up:
                times_ns[number].append(time.perf_counter_ns() - begin_ns)
    return [statistics.median(times) / 1e6 for times in times_ns]
