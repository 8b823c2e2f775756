"""When frames leave the places where they wait: one server, one server for each owner, and a pool of workers. Pure.

One server first come, first served, needs no events: departure n is the later of departure n - 1 and arrival n, plus
the service (Lindley's recursion), which numpy works out for all frames at once. The workers take what waits in batches
and write to one store, so they are walked through event by event, on a heap that holds one event for each worker.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass

import numpy as np

Seconds = np.ndarray
"""(frames,) float64."""


def fifo(arrive_s: Seconds, service_s: Seconds) -> Seconds:
    """Return when each frame leaves one server that serves in the order of arrival; `arrive_s` never falls.

    Source: Lindley 1952, "The theory of queues with a single server", written as a running maximum.
    """
    worked = np.cumsum(service_s)
    departed: Seconds = worked + np.maximum.accumulate(arrive_s - (worked - service_s))
    return departed


def fifo_by_owner(arrive_s: Seconds, service_s: Seconds, owner: np.ndarray) -> Seconds:
    """Return when each frame leaves its owner's own server; frames stand by owner, and by arrival within each.

    The owners' days are laid end to end, so far apart that none reaches into the next.
    """
    if not len(arrive_s):
        return arrive_s
    of_each = np.bincount(owner, weights=service_s)
    apart_s = float(arrive_s.max() + of_each.max()) + 1.0
    shift = owner * apart_s
    departed: Seconds = fifo(arrive_s + shift, service_s) - shift
    return departed


@dataclass(frozen=True)
class WorkerTimes:
    """What frames take a worker, each (frames,) seconds: after a rest, right behind others, and being answered."""

    rested_s: Seconds
    """From being taken out of the inbox until the store has it, alone, by a worker that had nothing to do before."""
    next_s: Seconds
    """Computing it, by a worker that comes from another frame: its caches are warm."""
    write_s: Seconds
    """What it adds to that to write a batch that it begins."""
    reply_s: Seconds
    """Answering and acknowledging, which keeps the worker busy after the store has the batch."""
    store_s: Seconds
    """How long the store itself is busy with it; part of `rested_s`, and of `write_s` and `next_s`."""


@dataclass(frozen=True)
class Pool:
    """Workers side by side, to which a broker hands frames in turn."""

    workers: int
    batch: int = 8
    settle_s: float = 0.02
    """A batch that is so old is stored and answered before the worker goes on."""


@dataclass(frozen=True)
class Worked:
    """What became of the frames at the workers, in the order of their arrival."""

    begun_s: Seconds
    answered_s: Seconds
    busy_s: Seconds
    """(workers,): how long each worked."""
    batches: int


def work(arrive_s: Seconds, times: WorkerTimes, pool: Pool) -> Worked:
    """Return when each frame is begun and answered by a pool that takes frames in turn; `arrive_s` never falls.

    A shared subscription hands frame after frame to the next worker, busy or not: every worker has a queue of its own.
    All write to one store, which serves in the order of asking.
    """
    lanes = [_Lane(arrive_s, times, pool, number) for number in range(min(pool.workers, len(arrive_s)))]
    begun, answered = np.zeros(len(arrive_s)), np.zeros(len(arrive_s))
    busy = np.zeros(pool.workers)
    asking = [(asked_s, number) for number, lane in enumerate(lanes) if (asked_s := lane.take(-math.inf)) is not None]
    heapq.heapify(asking)
    store_free_s = 0.0
    batches = 0
    while asking:
        asked_s, number = asking[0]
        lane = lanes[number]
        stored_s = max(asked_s, store_free_s) + lane.store_s
        store_free_s, batches = stored_s, batches + 1
        free_s = lane.settle(stored_s)
        busy[number] += free_s - lane.began_s
        following = lane.take(free_s)
        if following is None:
            heapq.heappop(asking)
            begun[number :: pool.workers], answered[number :: pool.workers] = lane.begun, lane.answered
        else:
            heapq.heapreplace(asking, (following, number))
    return Worked(begun, answered, busy, batches)


class _Lane:
    """One worker and the frames that it is handed; lists, because a loop reads them faster than arrays."""

    def __init__(self, arrive_s: Seconds, times: WorkerTimes, pool: Pool, number: int) -> None:
        def own(values: Seconds) -> list[float]:
            found: list[float] = values[number :: pool.workers].tolist()
            return found

        self._arrive, self._rested, self._next_s = own(arrive_s), own(times.rested_s), own(times.next_s)
        self._write, self._reply, self._store = own(times.write_s), own(times.reply_s), own(times.store_s)
        self._batch, self._settle_s = pool.batch, pool.settle_s
        self._following = self._from = 0
        self.began_s = self.store_s = 0.0
        self.begun: list[float] = []
        self.answered: list[float] = []

    def take(self, free_s: float) -> float | None:
        """Take the next batch once free, and return when it asks the store; None when no frame is left."""
        at = self._from = self._following
        if at == len(self._arrive):
            return None
        is_rested = self._arrive[at] > free_s
        self.began_s = self._arrive[at] if is_rested else free_s
        last = min(at + self._batch, len(self._arrive))
        computed_s = self._rested[at] if is_rested else self._next_s[at] + self._write[at]
        self.store_s = self._store[at]
        at += 1
        while at < last and self._arrive[at] <= self.began_s and computed_s <= self._settle_s:
            computed_s += self._next_s[at]
            self.store_s += self._store[at]
            at += 1
        self._following = at
        return self.began_s + max(0.0, computed_s - self.store_s)

    def settle(self, stored_s: float) -> float:
        """Answer the batch that the store has since `stored_s`, and return when the worker is free again."""
        for at in range(self._from, self._following):
            self.begun.append(self.began_s)
            self.answered.append(stored_s)
            stored_s += self._reply[at]
        return stored_s
