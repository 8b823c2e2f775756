"""The parts of a running device that are looked at from outside."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from edge.control import Control
from edge.health import Seen
from edge.ledger import Ledger
from edge.progress import Progress
from edge.scheduler import AutoSplit
from edge.sender import Sender
from edge.spool import Spool
from headwater.session import Session
from headwater.verdict import since_s


@dataclass(frozen=True)
class Parts:
    """What one device is made of."""

    name: str
    bundle: str
    ledger: Ledger
    spool: Spool
    control: Control
    sender: Sender
    session: Session
    progress: Progress
    auto: AutoSplit | None
    rate: float | None
    stale_after_s: float = 0.0

    def seen(self) -> Seen:
        """Return the device as it is now."""
        now_s, progress = time.monotonic(), self.progress
        return Seen(
            hungry_s=since_s(progress.hungry_since_s, now_s),
            in_hand_s=since_s(progress.begun_since_s, now_s),
            silent_s=since_s(self.sender.turned_s, now_s),
            failure=progress.failure,
            expected_every_s=1 / self.rate if self.rate else 0.0,
            finished_s=since_s(self.ledger.last_finished_s, now_s),
            broker_away_s=since_s(self.session.away_since_s, now_s),
            same_s=since_s(progress.sameness.since_s, now_s),
            stale_after_s=self.stale_after_s,
            unwritten_s=self.spool.failing_s(),
        )


InSight = Callable[[Parts], AbstractContextManager[None]]
"""What tells of a device while it runs."""


def together(*all_of: InSight) -> InSight:
    """Return what tells all that these do."""

    @contextmanager
    def telling(parts: Parts) -> Iterator[None]:
        with ExitStack() as stack:
            for one in all_of:
                stack.enter_context(one(parts))
            yield

    return telling


out_of_sight: Final = together()
"""Tells nobody."""
