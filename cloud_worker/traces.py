"""What a worker tells of a frame, or of a request, to a collector of traces: its part, and below it each stage.

Whether it tells is not decided here where a `traceparent` came along: whoever began the trace has decided that.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cloud_worker.refusals import REASON_CHARACTERS
from headwater.trace_context import TraceContext, read_traceparent
from headwater.traces import Facts, Lap, Span, Tell, below, frame_facts, in_a_row, new_span_id

if TYPE_CHECKING:
    from cloud_worker.answering import Answer, Request
    from cloud_worker.inbox import Delivery
    from cloud_worker.tail import Work
    from headwater.messages import Frame


@dataclass(slots=True)
class Trail:
    """One traced frame on its way through this worker."""

    parent: TraceContext
    """The device's span below which this worker's stands."""
    own: TraceContext
    laps: list[Lap] = field(default_factory=list)
    """Its stages as they came, `batch` between the others."""

    def lap(self, stage: str, begun_ns: int, ended_ns: int) -> None:
        """Note a stage; one that took no time is left out."""
        if ended_ns > begun_ns:
            self.laps.append((stage, begun_ns, ended_ns))


TrailOf = Callable[[str | None], Trail | None]
"""Which frames are followed, by their `traceparent`."""


def no_trail(_traceparent: str | None) -> Trail | None:
    """Follow no frame."""
    return None


def follow(traceparent: str | None) -> Trail | None:
    """Return the trail of a frame whose device has it sampled; None for all others."""
    parent = read_traceparent(traceparent)
    if parent is None or not parent.is_sampled:
        return None
    return Trail(parent, replace(parent, span_id=new_span_id()))


class WorkerTraces:
    """Tells of the frames that come over MQTT."""

    def __init__(self, tell: Tell, worker: str, fleet: str) -> None:
        self._tell, self._worker, self._fleet = tell, worker, fleet

    def finished(self, works: Sequence[Work], is_new: Sequence[bool]) -> None:
        """Tell of frames that are stored and answered; one that is not new was stored before."""
        for work, new in zip(works, is_new, strict=True):
            if work.trail is None:
                continue
            facts = {**self._facts(work.frame, work.delivery), "headwater.duplicate": not new}
            trail, began_ns = work.trail, work.delivery.received_ns
            whole = _span(trail, "finish", began_ns, max(began_ns, work.since_ns), facts)
            self._tell([whole, *below(whole, trail.laps)])

    def refused(self, delivery: Delivery, frame: Frame | None, error: Exception, at_ns: int) -> None:
        """Tell of a frame that will never be finished."""
        trail = follow(delivery.message.traceparent)
        if trail is not None:
            facts = self._facts(frame, delivery)
            reason = f"{type(error).__name__}: {error}"[:REASON_CHARACTERS]
            self._tell([_span(trail, "finish", delivery.received_ns, max(delivery.received_ns, at_ns), facts, reason)])

    def _facts(self, frame: Frame | None, delivery: Delivery) -> Facts:
        facts: Facts = {
            "headwater.fleet": self._fleet,
            "headwater.worker": self._worker,
            "headwater.bytes": len(delivery.message.payload),
        }
        return facts if frame is None else {**facts, **frame_facts(frame)}


def _span(trail: Trail, name: str, begun_ns: int, ended_ns: int, facts: Facts, error: str | None = None) -> Span:
    own, above = trail.own, trail.parent.span_id
    return Span(name, own.trace_id, own.span_id, above, begun_ns, ended_ns, "consumer", facts, error)


def told_by(worker: str, fleet: str, tell: Tell | None) -> tuple[WorkerTraces | None, TrailOf]:
    """Return what tells of a worker's frames, and which it follows: none where nobody is told."""
    return (None, no_trail) if tell is None else (WorkerTraces(tell, worker, fleet), follow)


class HttpTraces:
    """Tells of the requests that come over HTTP: as who asks has decided, else of a share of them."""

    def __init__(
        self,
        tell: Tell,
        worker: str,
        share: float,
        now_ns: Callable[[], int],
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._tell, self._worker, self._share = tell, worker, share
        self._now_ns, self._draw = now_ns, draw

    def answered(self, route: str, traceparents: Sequence[str], request: Request, answer: Answer) -> None:
        """Tell of a request that has its answer; more than one `traceparent` is as good as none."""
        came = read_traceparent(traceparents[0]) if len(traceparents) == 1 else None
        if not (self._draw() < self._share if came is None else came.is_sampled):
            return
        said, began_ns = answer.said, request.received_ns
        facts: Facts = {
            "http.request.method": "POST",
            "http.route": route,
            "http.response.status_code": answer.status,
            "headwater.worker": self._worker,
            "headwater.bytes": len(request.body),
        }
        if said is not None:
            facts = {**facts, "headwater.bundle": said.bundle, "headwater.digest": said.digest}
            facts = {**facts, "headwater.split": said.split}
        laps = in_a_row(answer.stages_ns.items(), began_ns)
        ended_ns = max([self._now_ns() if said is None else said.replied_ns, began_ns, *(lap[2] for lap in laps)])
        trace_id, parent_id = (os.urandom(16).hex(), None) if came is None else (came.trace_id, came.span_id)
        error = f"status {answer.status}" if answer.status >= 500 else None
        name, own_id = f"POST {route}", new_span_id()
        whole = Span(name, trace_id, own_id, parent_id, began_ns, ended_ns, "server", facts, error)
        self._tell([whole, *below(whole, laps)])
