"""The worker's loop: take a batch, finish it, store it, answer it, acknowledge it.

Publish, then acknowledge: a worker that stops and one that is killed leave the same behind, unacknowledged messages,
and the device sends again what was not answered. The store keeps a frame once, however often it comes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from cloud_worker.answers import result
from cloud_worker.hand import REFUSED, key_of
from cloud_worker.inbox import Delivery, Inbox, grouped, next_batch
from cloud_worker.keeper import Keeper, read_journeys
from cloud_worker.progress import Progress
from cloud_worker.refusals import FAULTS, FailedFrame, PoisonFrame, correlated_id, dead, refusal
from cloud_worker.replies import Replies
from cloud_worker.tail import Finisher, Work, portions
from cloud_worker.telling import Telling
from cloud_worker.traces import WorkerTraces
from headwater.errors import WireError
from headwater.logs import event
from headwater.messages import Frame, StoredJourney
from headwater.metrics import Counters
from headwater.stopping import Stop
from headwater.topics import Topics
from models.errors import ModelError

log = logging.getLogger(__name__)

T = TypeVar("T")

IDLE_S: Final = 0.1
QUIET_S: Final = 0.3
"""When nothing has come for so long after the end of the subscriptions, nothing more comes."""
DRAIN_S: Final = 5.0
"""So long at most a worker that stops goes on with what it was given before."""
ANSWER_WITHIN_NS: Final = 20_000_000
"""Frames of a batch that were finished this long ago are stored and answered before the next tail runs."""


@dataclass(frozen=True)
class Identity:
    """Who a worker is: its name, and the topics of its fleet."""

    name: str
    topics: Topics


@dataclass(frozen=True)
class Bounds:
    """How many frames one step takes, and how long it waits for them."""

    batch: int = 8
    batch_wait_s: float = 0.0


class Worker:
    """Finishes what comes into its inboxes, frames and journeys, until told to stop."""

    def __init__(
        self,
        identity: Identity,
        inboxes: tuple[Inbox, Inbox],
        finisher: Finisher,
        keeper: Keeper,
        replies: Replies,
        counters: Counters,
        now_ns: Callable[[], int],
        bounds: Bounds = Bounds(),
        progress: Progress | None = None,
        traces: WorkerTraces | None = None,
    ) -> None:
        self.name, self._topics = identity.name, identity.topics
        self._frames, self._journeys = inboxes
        self._finisher, self._keeper, self._replies = finisher, keeper, replies
        self._counters, self._now_ns, self._bounds = counters, now_ns, bounds
        self._progress, self._traces = progress or Progress(now_ns), traces
        self._telling = Telling(now_ns)

    def run(self, stop: Stop) -> None:
        """Finish batches until told to stop; the batch in hand is finished first."""
        while not stop.is_set():
            self._turn(IDLE_S)
            self.keep_journeys()

    def drain(self, within_s: float = DRAIN_S) -> None:
        """Finish what is still there, until nothing more comes, the time is over or the store is away."""
        until_ns = self._now_ns() + round(within_s * 1e9)
        while self._keeper.away_since_ns is None and self._now_ns() < until_ns and self._turn(QUIET_S):
            pass
        self.keep_journeys()

    def _turn(self, idle_s: float) -> bool:
        """Finish the next batch; return whether there was one and it could be stored."""
        bounds = self._bounds
        with self._progress.waiting():
            batch = next_batch(self._frames, bounds.batch, bounds.batch_wait_s, idle_s=idle_s, now_ns=self._now_ns)
        if not batch.deliveries:
            return False
        self._progress.batch(len(batch.deliveries), batch.release)
        with self._progress.busy():
            return self.finish(batch.deliveries)

    def finish(self, batch: Sequence[Delivery]) -> bool:
        """Finish, store, answer and acknowledge a batch; what cannot be stored before the stop is left unanswered.

        Return whether all could be stored.
        """
        self._counters.add("received", len(batch))
        works = [work for delivery in batch if (work := self._prepared(delivery))]
        finished: list[Work] = []
        since_ns = self._now_ns()
        for group in grouped(works, lambda work: work.key):
            for portion in portions(group):
                finished += self._ran(portion)
                if finished and self._now_ns() - since_ns > ANSWER_WITHIN_NS:
                    if not self._settle(finished):
                        return False
                    finished, since_ns = [], self._now_ns()
        return not finished or self._settle(finished)

    def _prepared(self, delivery: Delivery) -> Work | None:
        delivery.key = key_of(delivery.message)
        if self._progress.hand.strikes(delivery.key) >= REFUSED:
            self._refuse(delivery, None, PoisonFrame())
            return None
        frame = self._attempt(delivery, None, self._finisher.read, delivery)
        return None if frame is None else self._attempt(delivery, frame, self._finisher.prepare, delivery, frame)

    def _ran(self, portion: Sequence[Work]) -> list[Work]:
        """Run some frames at once, or one by one when there is one or that fails; return those that were finished.

        One by one, too, when a process has ended with one of them in hand.
        """
        if len(portion) > 1 and not any(map(self._is_suspect, portion)) and self._run_at_once(portion):
            return list(portion)
        return [work for work in portion if self._attempt(work.delivery, work.frame, self._run, work)]

    def _is_suspect(self, work: Work) -> bool:
        return self._progress.hand.strikes(work.delivery.key) > 0

    def _run_at_once(self, works: Sequence[Work]) -> bool:
        try:
            with self._progress.in_hand(*(work.delivery for work in works)):
                self._finisher.run_at_once(works)
        except FAULTS as error:
            log.info(event("frames failed together, now one by one", frames=len(works), error=type(error).__name__,
                           reason=error))  # fmt: skip
            return False
        return True

    def _run(self, work: Work) -> Work:
        self._finisher.run(work)
        return work

    def _attempt(self, delivery: Delivery, frame: Frame | None, step: Callable[..., T], *arguments: object) -> T | None:
        """Return what one step gives; a frame that cannot be finished is refused and gives None."""
        try:
            with self._progress.in_hand(delivery):
                return step(*arguments)
        except (WireError, ModelError) as error:
            self._refuse(delivery, frame, error)
        except FAULTS as error:
            self._refuse(delivery, frame, FailedFrame(error), fault=error)
        return None

    def _refuse(
        self, delivery: Delivery, frame: Frame | None, error: Exception, fault: Exception | None = None
    ) -> None:
        self._tell(delivery, error, fault)
        self._counters.add("refused")
        self._counters.add(f"refused_{type(error).__name__}")
        self._progress.refused()
        if self._traces is not None:
            self._traces.refused(delivery, frame, error, self._now_ns())
        frame_id = frame.id if frame else correlated_id(delivery, self._topics)
        if frame_id is not None:
            sent_ns = frame.sent_ns if frame else 0
            self._replies.result(refusal(delivery, frame_id, sent_ns, error, self.name, self._now_ns()))
        self._replies.ack(delivery)

    def _tell(self, delivery: Delivery, error: Exception, fault: Exception | None = None) -> None:
        """Report a refused message to log and operators, but of a flood only some; a fault has its traceback."""
        kind = type(error).__name__
        if not self._telling.tells(kind):
            self._counters.add("refusals_untold")
            return
        untold, self._telling.untold = self._telling.untold, 0
        level = logging.WARNING if fault is None else logging.ERROR
        said = event("refused", error=kind, topic=delivery.message.topic, reason=error, untold_before=untold)
        log.log(level, said, exc_info=fault)
        self._replies.dead(dead(delivery, error, self.name, self._now_ns()))

    def _settle(self, works: Sequence[Work]) -> bool:
        """Store, answer, acknowledge; False when told to stop while the store was away."""
        with self._progress.waiting():
            is_new = self._keeper.keep(works)
        if is_new is None:
            return False
        for work in works:
            self._replies.result(result(work, self.name, self._now_ns()))
            if log.isEnabledFor(logging.DEBUG):
                log.debug(event("finished", frame=work.frame.id, split=work.frame.split, found=work.predictions))
        for work in works:
            self._replies.ack(work.delivery)
        self._progress.finished(works)
        if self._traces is not None:
            self._traces.finished(works, is_new)
        self._counters.add("answered", len(works))
        self._counters.add("stored", sum(is_new))
        self._counters.add("duplicates", len(works) - sum(is_new))
        return True

    def keep_journeys(self) -> None:
        """Store the journeys that came in; those that cannot be read are refused."""
        entries: list[StoredJourney] = []
        for delivery in self._journeys.take(64, 0):
            try:
                entries += read_journeys(delivery, self._topics)
            except WireError as error:
                self._tell(delivery, error)
                self._counters.add("journeys_refused")
        if entries:
            with self._progress.waiting():
                self._keeper.keep_journeys(entries)
