"""Keeps what was finished in a store that may be away for a while."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from cloud_worker.answers import record
from cloud_worker.inbox import Delivery
from cloud_worker.store import Store
from cloud_worker.tail import Work
from headwater import messages
from headwater.errors import Malformed, StoreError
from headwater.logs import event
from headwater.messages import Journeys, Name, StoredJourney
from headwater.metrics import Counters
from headwater.stopping import Stop
from headwater.topics import Topics

log = logging.getLogger(__name__)

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 2.0
MAX_JOURNEYS_BYTES: Final = 262_144


class Keeper:
    """Stores frames, waiting for the store as long as it takes, and journeys, without waiting."""

    def __init__(
        self, store: Store, topics: Topics, worker: str, counters: Counters, stop: Stop, now_ns: Callable[[], int]
    ) -> None:
        self._store, self._topics, self._worker = store, topics, worker
        self._counters, self._stop, self._now_ns = counters, stop, now_ns
        self._last_write_ns = 0
        self.away_since_ns: int | None = None

    def keep(self, works: Sequence[Work]) -> list[bool] | None:
        """Return for each frame whether it was new; None when told to stop while the store was away.

        A record cannot hold the time of its own writing: its `store` is the wait for the store so far and the time of
        this worker's last write. The frame's `stages_ns` get the true one.
        """
        since_ns, pause_s = self._now_ns(), FIRST_PAUSE_S
        for work in works:
            work.lap("batch", since_ns)
        while True:
            asked_ns = self._now_ns()
            store_ns = max(0, asked_ns - since_ns) + self._last_write_ns
            records = [record(work, self._topics.fleet, self._worker, asked_ns, store_ns) for work in works]
            try:
                is_new = self._store.add(records)
            except StoreError as error:
                self._note_away(error, asked_ns)
            else:
                self._note_back()
                return self._timed(works, is_new, asked_ns)
            if self._stop.wait(pause_s):
                log.warning(event("stopped while the store was away, frames go back", frames=len(works)))
                return None
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _timed(self, works: Sequence[Work], is_new: list[bool], asked_ns: int) -> list[bool]:
        stored_ns = self._now_ns()
        self._last_write_ns = max(0, stored_ns - asked_ns)
        for work in works:
            work.lap("store", stored_ns)
        return is_new

    def _note_away(self, error: StoreError, asked_ns: int) -> None:
        if self.away_since_ns is None:
            self.away_since_ns = asked_ns
            self._counters.add("store_outages")
            log.warning(event("store away, frames wait", reason=error))

    def _note_back(self) -> None:
        if self.away_since_ns is not None:
            self.away_since_ns = None
            log.info(event("store back"))

    def keep_journeys(self, journeys: Sequence[StoredJourney]) -> None:
        """Store journeys; they are dropped and counted while the store is away."""
        try:
            self._store.add_journeys(journeys)
            self._counters.add("journeys", len(journeys))
        except StoreError as error:
            self._counters.add("journeys_dropped", len(journeys))
            log.debug(event("journeys dropped", entries=len(journeys), reason=error))


def read_journeys(delivery: Delivery, topics: Topics) -> list[StoredJourney]:
    """Return the journeys in a message, each with the device that its topic names. Raises: WireError."""
    try:
        device = msgspec.convert(topics.device_in(delivery.message.topic), Name)
    except msgspec.ValidationError as error:
        raise Malformed(f"journeys: device in the topic: {error}") from None
    journeys = messages.decode(Journeys, delivery.message.payload, MAX_JOURNEYS_BYTES)
    return [StoredJourney(device, **msgspec.structs.asdict(entry)) for entry in journeys.entries]
