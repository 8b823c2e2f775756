"""A frame as its device tells it to a collector of traces: one span for the frame, below it one for each stage.

All ids follow from the frame's own, so that a frame that is sent again, by the device's next start even, stays in its
trace, and nothing has to be kept for it in the spool.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from edge.spool import Key
from headwater.clock import STAGES, Offset
from headwater.messages import Frame, FrameId, Result
from headwater.trace_context import TraceContext
from headwater.traces import Facts, Lap, Span, Tell, below, frame_facts, in_a_row, new_span_id

RANDOM_BITS: Final = 56
"""Those that decide: the lowest of a trace id. Source: W3C Trace Context Level 2, Random Trace ID Flag."""


@dataclass(frozen=True)
class Tracing:
    """Whom a device tells of its frames, and of what share of them."""

    tell: Tell
    share: float


class Ids(NamedTuple):
    """The ids of one frame's trace."""

    trace: str
    frame: str
    """Of the span that is the whole frame."""
    send: str
    """Of the span below which workers put theirs."""

    @classmethod
    def of(cls, fleet: str, frame_id: FrameId) -> Ids:
        """Return the ids that follow from a frame's own id, evenly spread."""
        digest = hashlib.sha256(f"{fleet}/{frame_id}".encode()).hexdigest()
        return cls(digest[:32], digest[32:48], digest[48:])

    def is_sampled(self, share: float) -> bool:
        """Tell whether it is among the share that is told of; a larger share has all that a smaller one has."""
        return int(self.trace[-RANDOM_BITS // 4 :], 16) < share * (1 << RANDOM_BITS)


@dataclass(frozen=True)
class Story:
    """What is known of a sampled frame while it is under way."""

    ids: Ids
    facts: Facts
    laps: Sequence[Lap]
    """The stages before the spool, by the device's stage clock."""
    spooled_ns: int
    sent_ns: int | None = None
    """When it was handed to the network last."""
    attempts: int = 0


@dataclass(frozen=True)
class End:
    """How a frame ended."""

    at_ns: int
    facts: Facts
    sent_ns: int | None = None
    """When it left: the sending that was answered, or the last one."""
    ways: Sequence[Lap] = ()
    """Uplink and downlink."""
    error: str | None = None


@dataclass(frozen=True)
class Ways:
    """How long an answered frame took there and back, and what is known of the worker's clock."""

    uplink_ns: int
    downlink_ns: int
    offset: Offset


class Traces:
    """Tells of the sampled frames of one device; of none without `tracing`. Any thread may use it."""

    def __init__(self, fleet: str, device: str, now_ns: Callable[[], int], tracing: Tracing | None = None) -> None:
        self._fleet, self._device, self._now_ns, self._tracing = fleet, device, now_ns, tracing

    @classmethod
    def off(cls) -> Traces:
        """Return what tells nobody anything."""
        return cls("", "", lambda: 0)

    @property
    def is_on(self) -> bool:
        """Tell whether anybody is told."""
        return self._tracing is not None

    def traceparent(self, frame_id: FrameId) -> str | None:
        """Return what travels with a frame; of one that is not sampled that it is not, so that nobody else decides."""
        if self._tracing is None:
            return None
        ids = Ids.of(self._fleet, frame_id)
        return str(TraceContext(ids.trace, ids.send, ids.is_sampled(self._tracing.share)))

    def samples(self, key: Key) -> bool:
        """Tell whether a frame of this device is sampled."""
        return self._sampled(FrameId(self._device, *key)) is not None

    def begun(self, frame: Frame) -> Story | None:
        """Return what is known of a frame when it is complete; None for one that is not sampled."""
        ids = self._sampled(frame.id)
        if ids is None:
            return None
        stages_ns = [(stage, frame.stages_ns[stage]) for stage in STAGES if stage in frame.stages_ns]
        laps = in_a_row(stages_ns, frame.sent_ns - sum(took_ns for _, took_ns in stages_ns))
        return Story(ids, {"headwater.fleet": self._fleet, **frame_facts(frame)}, laps, frame.sent_ns)

    def sent(self, frame: Frame, sent_ns: int, size_bytes: int, before: Story | None) -> Story | None:
        """Return what is known of a frame when it is sent; `before` is what was known when it was sent before."""
        story = None if self._tracing is None else before or self.begun(frame)
        if story is None:
            return None
        attempts = story.attempts + 1
        facts = {**story.facts, "headwater.bytes": size_bytes, "headwater.attempts": attempts}
        return replace(story, facts=facts, sent_ns=sent_ns, attempts=attempts)

    def confirmed(self, story: Story | None, result: Result, at_ns: int, ways: Ways | None = None) -> None:
        """Tell of a frame whose result has come; without `ways` where its stamps tell nothing of them."""
        if story is None:
            return
        facts: Facts = {"headwater.outcome": "finished", "headwater.worker": result.worker}
        if ways is None:
            self._tell(story, End(at_ns, facts, story.sent_ns))
            return
        facts = {
            **facts,
            "headwater.clock.offset_ns": ways.offset.offset_ns,
            "headwater.clock.uncertainty_ns": ways.offset.uncertainty_ns,
        }
        laps = [
            ("uplink", result.sent_ns, min(result.sent_ns + ways.uplink_ns, at_ns)),
            ("downlink", max(at_ns - ways.downlink_ns, result.sent_ns), at_ns),
        ]
        self._tell(story, End(at_ns, facts, result.sent_ns, laps))

    def refused(self, story: Story | None, result: Result, at_ns: int) -> None:
        """Tell of a frame that a worker will never finish."""
        if story is not None:
            facts: Facts = {"headwater.outcome": "refused", "headwater.worker": result.worker}
            self._tell(story, End(at_ns, facts, story.sent_ns, error=result.refused))

    def dropped(self, story: Story | None, reason: str) -> None:
        """Tell of a frame that was given up on its way."""
        if story is not None:
            self._tell(story, End(self._now_ns(), {"headwater.outcome": reason}, story.sent_ns, error=reason))

    def ended_here(self, frame: Frame, outcome: str) -> None:
        """Tell of a frame that goes no further than the head."""
        story = self.begun(frame)
        if story is not None:
            self._tell(story, End(story.spooled_ns, {"headwater.outcome": outcome}))

    def _sampled(self, frame_id: FrameId) -> Ids | None:
        if self._tracing is None:
            return None
        ids = Ids.of(self._fleet, frame_id)
        return ids if ids.is_sampled(self._tracing.share) else None

    def _tell(self, story: Story, end: End) -> None:
        if self._tracing is not None:
            self._tracing.tell(spans_of(story, end))


def spans_of(story: Story, end: End, new_id: Callable[[], str] = new_span_id) -> list[Span]:
    """Return a frame's spans: itself, its stages, and, once it was sent, the way there and back."""
    ids, begun_ns = story.ids, story.laps[0][1] if story.laps else story.spooled_ns
    # An earlier start's clock may have been ahead of the one that the frame was sent by, or ends by.
    left_ns = end.at_ns if end.sent_ns is None else max(end.sent_ns, story.spooled_ns)
    until_ns = max(end.at_ns, left_ns, story.spooled_ns)
    facts = {**story.facts, **end.facts}
    whole = Span("frame", ids.trace, ids.frame, None, begun_ns, until_ns, facts=facts, error=end.error)
    spool = [("spool", story.spooled_ns, left_ns)] if left_ns > story.spooled_ns else []
    spans = [whole, *below(whole, [*story.laps, *spool], new_id)]
    if end.sent_ns is not None:
        sent = Span("send", ids.trace, ids.send, ids.frame, left_ns, until_ns, "producer", error=end.error)
        spans += [sent, *below(sent, end.ways, new_id)]
    return spans
