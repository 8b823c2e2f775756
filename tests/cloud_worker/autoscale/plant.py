"""A made-up plant of workers: frames come, wait and are finished, so that decisions can be tried without an engine."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from cloud_worker.autoscale.decide import Decision, Limits, Look, decide


@dataclass
class PlantWorker:
    """One worker: when it is free again, and the frames it was given (came, begins, ends)."""

    begins_s: float
    free_s: float = 0.0
    frames: list[tuple[float, float, float]] = field(default_factory=list)

    def give(self, at_s: float, frame_s: float) -> None:
        begins_s = max(at_s, self.free_s, self.begins_s)
        self.free_s = begins_s + frame_s
        self.frames.append((at_s, begins_s, self.free_s))

    def waiting_s(self, since_s: float, now_s: float) -> float:
        """As a worker tells it: the mean of those finished lately, at least as the oldest that waits."""
        done = [begins - came for came, begins, ends in self.frames if since_s < ends <= now_s]
        left = [now_s - came for came, begins, _ in self.frames if begins > now_s]
        return max(sum(done) / len(done) if done else 0.0, max(left, default=0.0))

    def busy(self, since_s: float, now_s: float) -> float:
        worked_s = sum(max(0.0, min(ends, now_s) - max(begins, since_s)) for _, begins, ends in self.frames)
        return worked_s / (now_s - since_s)


@dataclass
class Plant:
    """Frames come at a rate that changes with time, and go to each worker in turn, as a broker gives them."""

    rate_per_s: Callable[[float], float]
    frame_s: float
    limits: Limits
    interval_s: float = 5.0
    start_s: float = 3.0
    """How long a new worker takes to be ready."""
    seed: int | None = None
    """Frames come at random; evenly without one."""
    workers: list[PlantWorker] = field(default_factory=lambda: [PlantWorker(0.0)])
    history: deque[Look] = field(default_factory=deque)
    decisions: list[tuple[float, Decision]] = field(default_factory=list)
    changed_s: float | None = None
    turn: int = 0

    def run(self, until_s: float) -> None:
        chance, came_s, look_s = random.Random(self.seed), 0.0, self.interval_s
        while look_s <= until_s:
            while came_s <= look_s:
                self._come(came_s)
                rate = self.rate_per_s(came_s)
                gap_s = 0.05 if rate == 0 else chance.expovariate(rate) if self.seed is not None else 1 / rate
                came_s += gap_s
            self._look(look_s)
            look_s += self.interval_s

    def _come(self, at_s: float) -> None:
        if self.rate_per_s(at_s) > 0:
            ready = [one for one in self.workers if one.begins_s <= at_s] or self.workers
            self.turn += 1
            ready[self.turn % len(ready)].give(at_s, self.frame_s)

    def _look(self, now_s: float) -> None:
        since_s = now_s - self.interval_s
        heard = [one for one in self.workers if one.begins_s < since_s]
        waits_s = tuple(one.waiting_s(since_s, now_s) for one in heard)
        busy = tuple(one.busy(since_s, now_s) for one in heard)
        self.history.append(Look(now_s, len(self.workers), waits_s, busy, self.frame_s if sum(busy) else 0.0))
        for one in self.workers:
            one.frames = [frame for frame in one.frames if frame[2] > now_s]
        decision = decide(self.history, self.changed_s, self.limits)
        self.decisions.append((now_s, decision))
        if decision.wanted != decision.workers:
            self.changed_s = now_s
        new = decision.wanted - decision.workers
        self.workers = self.workers[: decision.wanted] + [PlantWorker(now_s + self.start_s) for _ in range(new)]
        oldest_s = now_s - max(self.limits.settle_s, self.limits.cool_down_s)
        while len(self.history) > 1 and self.history[1].at_s <= oldest_s:
            self.history.popleft()

    def changes(self, since_s: float = 0.0) -> list[tuple[float, int, int]]:
        """When the number changed since then, from what, to what."""
        return [
            (at_s, one.workers, one.wanted)
            for at_s, one in self.decisions
            if one.wanted != one.workers and at_s >= since_s
        ]
