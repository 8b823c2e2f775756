"""Hands frames to the link: as many as wire and workers take, none past its time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from edge.envelope import envelope
from edge.freshness import AT_ONCE, Freshness
from edge.happenings import Publisher, Reporter
from edge.ledger import Ledger
from edge.outbox import Outbox, SentFrame
from edge.spool import Key
from edge.wire import Wire
from headwater.clock import StageClock
from headwater.errors import TooLarge
from headwater.logs import event
from headwater.messages import Finished, Frame, encode
from headwater.session import UNACKNOWLEDGED

log = logging.getLogger(__name__)

OWN_PLACES: Final = 1
"""Places on the wire for what the device says of itself."""


class Dispatch:
    """Sends frames of one outbox. Used by the sender's thread."""

    def __init__(
        self,
        topic: Callable[[str], str],
        outbox: Outbox,
        ledger: Ledger,
        clock: StageClock,
        reporter: Reporter,
        wire: Wire,
        freshness: Freshness,
        *,
        window: int,
        max_frame_bytes: int,
    ) -> None:
        self._topic, self._outbox, self._ledger, self._clock = topic, outbox, ledger, clock
        self._reporter, self._wire, self._freshness = reporter, wire, freshness
        self._window, self._max_frame_bytes = window, max_frame_bytes

    def send(self, link: Publisher, now_s: float) -> bool:
        """Send what may be sent now, what got no answer in time first; tell whether there may be more to do at once."""
        late = self._outbox.delivery.again(now_s)
        if late:
            log.debug(event("sending again", frames=len(late), window=self._outbox.delivery.window(self._window)))
        has_more = self._freshness.sweep(now_s)
        on_the_wire = max(1, min(UNACKNOWLEDGED, link.limits.receive_maximum) - OWN_PLACES)
        for _ in range(AT_ONCE):
            may_send = link.is_connected and len(self._wire) < on_the_wire
            due = self._outbox.next_to_send(now_s, self._window) if may_send else None
            if due is None:
                return has_more
            key, whole = due
            frame = self._freshness.timely(key, whole, now_s)
            if frame is not None:
                self._publish(link, key, frame, now_s)
        return True

    def _publish(self, link: Publisher, key: Key, frame: Frame, now_s: float) -> None:
        spooled_ns, sent_ns = frame.sent_ns, self._clock.now_ns()
        stages_ns = {**frame.stages_ns, "spool": max(0, sent_ns - spooled_ns)}
        message = encode(replace(frame, sent_ns=sent_ns, stages_ns=stages_ns))
        finished_here = isinstance(frame.body, Finished)
        if not finished_here:
            self._reporter.sized(frame.split, frame.codec, len(message))
        if len(message) > self._max_frame_bytes:
            limit = {"got_bytes": len(message), "max_frame_bytes": self._max_frame_bytes}
            log.warning(event("over what workers take; split later, or raise it there and here", **limit))
            self._outbox.drop(key, "too_large", frame)
            return
        outbox = self._outbox
        left_s, traceparent = self._freshness.left_s(key, frame, now_s), outbox.traces.traceparent(frame.id)
        try:
            properties = envelope(frame, self._topic("result"), left_s, traceparent)
            mid = link.publish(self._topic("frame"), message, properties=properties)
        except TooLarge as error:
            log.warning(event("over the broker's limit", error=error))
            outbox.drop(key, "too_large", frame)
            return
        self._wire.put(mid, key, len(message), now_s)
        before = outbox.remembered(key)
        story = outbox.traces.sent(frame, sent_ns, len(message), before.story if before else None)
        sent = SentFrame(spooled_ns, frame.stages_ns, finished_here, frame.split, frame.codec, story)
        first = outbox.remember(key, sent)
        self._ledger.sent(len(message), now_s, first=first)
        if not first:
            self._ledger.resent(1)
