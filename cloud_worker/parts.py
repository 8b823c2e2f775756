"""The parts of a running worker that are looked at from outside."""

from __future__ import annotations

import time
from dataclasses import dataclass

from cloud_worker.health import Seen
from cloud_worker.inbox import Inbox
from cloud_worker.keeper import Keeper
from cloud_worker.progress import Progress
from cloud_worker.store import RedisStore
from headwater.clock import StageClock
from headwater.metrics import Counters
from headwater.session import Session
from headwater.verdict import since_s


@dataclass(frozen=True)
class Parts:
    """What one worker is made of."""

    name: str
    clock: StageClock
    counters: Counters
    progress: Progress
    inbox: Inbox
    keeper: Keeper
    session: Session
    store: RedisStore

    def seen(self, store_silent_since_ns: int | None) -> Seen:
        """Return the worker as it is now; the store may also be known from elsewhere not to answer, since then."""
        away_ns = [one for one in (self.keeper.away_since_ns, store_silent_since_ns) if one is not None]
        return Seen(
            in_hand_s=self.lasts_s(self.progress.begun_ns),
            waiting_s=self.lasts_s(self.inbox.waiting().oldest_ns),
            ended_s=self.lasts_s(self.progress.ended_ns),
            finished_s=self.lasts_s(self.progress.finished_ns),
            broker_away_s=since_s(self.session.away_since_s, time.monotonic()),
            store_away_s=self.lasts_s(min(away_ns, default=None)),
        )

    def lasts_s(self, since_ns: int | None) -> float | None:
        """Return how long ago a moment of the stage clock was."""
        return None if since_ns is None else max(0, self.clock.now_ns() - since_ns) / 1e9
