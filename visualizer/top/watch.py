"""Listens to a fleet through its broker, writes nothing, and tells what is known of it now."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from headwater.errors import WireError
from headwater.messages import Journeys, Result, StoredJourney, decode, decode_json
from headwater.session import Address
from visualizer.devices import STATUS_LIMIT_BYTES, StatusReader
from visualizer.reader import RECORD_LIMIT_BYTES, Store
from visualizer.top.figures import View, device_figures, totals
from visualizer.top.lately import Lately
from visualizer.top.order import Sort, in_order

START_S: Final = 5.0
EARLIER: Final = 2000
"""So many journeys of before are read from the store."""


class Watch:
    """Hears statuses, journeys and results of a fleet, for as long as it runs."""

    def __init__(self, address: Address, fleet: str, wall_ns: Callable[[], int] = time.time_ns) -> None:
        self._address, self._fleet, self._wall_ns = address, fleet, wall_ns
        self._unreadable = 0
        self.lately = Lately()
        also = {"journey": self._journeys, "result": self._result}
        self._reader = StatusReader(address, fleet, wall_ns, who="top", decisions=False, also=also)

    def start(self) -> None:
        """Begin to listen. Raises: BrokerError when the broker is not there or refuses."""
        self._reader.start(START_S)

    def stop(self) -> None:
        """Say goodbye to the broker."""
        self._reader.stop()

    def remember(self, store: Store) -> None:
        """Take how long frames took before this listened. Raises: StoreError."""
        for _, content in store.newest("journeys", EARLIER):
            try:
                journey = decode_json(StoredJourney, content, RECORD_LIMIT_BYTES)
            except WireError:
                self._unreadable += 1
            else:
                self.lately.journeys(journey.device, [journey])

    def view(self, sort: Sort) -> View:
        """Return what is known of the fleet now."""
        now_ns, connection = self._wall_ns(), self._reader.connection
        heard = self._reader.heard()
        devices = [device_figures(one, self.lately.took(one.status.device), now_ns) for one in heard]
        is_away = connection is not None and not connection.there
        return View(
            fleet=self._fleet,
            broker=str(self._address),
            at_ns=now_ns,
            away_s=max(0.0, (now_ns - connection.since_ns) / 1e9) if connection and is_away else None,
            totals=totals(devices),
            devices=in_order(devices, sort),
            workers=self.lately.workers(),
            unreadable=self._unreadable + self._reader.refused,
        )

    def _journeys(self, device: str, payload: bytes) -> None:
        try:
            self.lately.journeys(device, decode(Journeys, payload, STATUS_LIMIT_BYTES).entries)
        except WireError:
            self._unreadable += 1

    def _result(self, _device: str, payload: bytes) -> None:
        try:
            self.lately.answered(decode(Result, payload, STATUS_LIMIT_BYTES))
        except WireError:
            self._unreadable += 1
