"""What a result tells the device: its frame is done, how long each stage took, how far the worker's clock is ahead."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from edge.keeping import LATE
from edge.ledger import Ledger
from edge.outbox import Outbox, SentFrame
from edge.spool import Key
from edge.traces import Ways
from headwater.clock import ClockOffset, Offset, RoundTrip, Stage, one_way_ns
from headwater.errors import WireError
from headwater.logs import event
from headwater.messages import VERSION, Finished, Journey, Journeys, Result, decode

log = logging.getLogger(__name__)

RESULT_LIMIT_BYTES: Final = 1_000_000
KNOWN_WORKERS: Final = 64
JOURNEYS_IN_A_MESSAGE: Final = 256
OnAnswer = Callable[[str, str, Result, int], None]


class Confirmations:
    """Takes results in, lets their frames go, and gathers the journeys to report."""

    def __init__(self, device: str, outbox: Outbox, ledger: Ledger, on_answer: OnAnswer) -> None:
        """Tell `on_answer` what a worker says of each frame that was not finished here, by its split and codec."""
        self._device, self._outbox, self._ledger, self._on_answer = device, outbox, ledger, on_answer
        self._offsets: OrderedDict[str, ClockOffset] = OrderedDict()
        self._journeys: list[Journey] = []

    def answered(self, payload: bytes, at_ns: int, now_s: float) -> None:
        """Take one result as it came in at `at_ns`; one that is unreadable, or not waited for, is only counted."""
        try:
            result = decode(Result, payload, RESULT_LIMIT_BYTES)
        except WireError as error:
            self._ledger.tally.add("results_unreadable")
            log.warning(event("result refused", error=error))
            return
        key = Key(result.id.boot, result.id.sequence)
        if result.id.device != self._device:
            return
        sent = self._outbox.remembered(key)
        finished_here = self._is_finished_here(key, sent, result)
        took_s = (at_ns - result.sent_ns) / 1e9 if sent is not None and _is_ours(sent, result, at_ns) else None
        if not self._outbox.confirmed(key, now_s, took_s):
            self._ledger.tally.add("results_again")
            return
        if result.refused is not None:
            log.warning(event("frame refused", sequence=key.sequence, worker=result.worker, reason=result.refused))
            self._ledger.dropped("refused")
            if sent is not None:
                self._outbox.traces.refused(sent.story, result, at_ns)
            if sent is not None and not finished_here:
                self._on_answer(sent.split, sent.codec, result, at_ns)
            return
        self._ledger.finished("device" if finished_here else "worker", result.exit if finished_here else None)
        if sent is not None:
            if not finished_here:
                self._on_answer(sent.split, sent.codec, result, at_ns)
            self._tell(key, sent, result, at_ns)

    def _is_finished_here(self, key: Key, sent: SentFrame | None, result: Result) -> bool:
        """Tell who finished a frame; of one that only an earlier run has sent the spool knows it."""
        if sent is not None:  # a worker may have finished what the device then answered, too late
            return sent.finished_here and (sent.codec != LATE or result.exit is not None)
        frame = self._outbox.load(key)
        return frame is not None and isinstance(frame.body, Finished)

    def _tell(self, key: Key, sent: SentFrame, result: Result, at_ns: int) -> None:
        trip = RoundTrip(result.sent_ns, result.received_ns, result.replied_ns, at_ns)
        offset = self._offset_of(result.worker, trip, at_ns) if _is_ours(sent, result, at_ns) else None
        if offset is None:
            self._outbox.traces.confirmed(sent.story, result, at_ns)
            return
        self._ledger.clock = offset
        uplink_ns, downlink_ns = one_way_ns(trip, offset)
        spool_ns = max(0, result.sent_ns - sent.spooled_ns)
        total_ns = sum(sent.stages_ns.values()) + spool_ns + max(0, at_ns - result.sent_ns)
        own_ns: dict[Stage, int] = {**sent.stages_ns, "spool": spool_ns, "uplink": uplink_ns, "downlink": downlink_ns}
        self._ledger.journey({**result.stages_ns, **own_ns}, total_ns)
        self._outbox.traces.confirmed(sent.story, result, at_ns, Ways(uplink_ns, downlink_ns, offset))
        journey = Journey(key.boot, key.sequence, uplink_ns, downlink_ns, offset.uncertainty_ns, total_ns)
        if len(self._journeys) < JOURNEYS_IN_A_MESSAGE:
            self._journeys.append(journey)

    def _offset_of(self, worker: str, trip: RoundTrip, at_ns: int) -> Offset | None:
        clock = self._offsets.setdefault(worker, ClockOffset())
        self._offsets.move_to_end(worker)
        if len(self._offsets) > KNOWN_WORKERS:
            self._offsets.popitem(last=False)
        clock.add(trip)
        return clock.estimate(at_ns)

    def journeys(self) -> Journeys | None:
        """Return the journeys since the last call, or None when there are none."""
        if not self._journeys:
            return None
        entries, self._journeys = self._journeys, []
        return Journeys(VERSION, entries)


def _is_ours(sent: SentFrame, result: Result, at_ns: int) -> bool:
    """Tell whether a result hands back a stamp that we gave; another would spoil what is learnt of clocks and pace."""
    return sent.spooled_ns <= result.sent_ns <= at_ns
