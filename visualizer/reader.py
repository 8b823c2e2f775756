"""Reads a fleet's results and journeys from Redis or Valkey, and keeps the window filled."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from headwater.errors import StoreError, WireError
from headwater.logs import event, without_password
from headwater.messages import Record, StoredJourney, decode_json
from visualizer.traces import SiteTraces
from visualizer.window import Sighting, Window

log = logging.getLogger(__name__)

RECORD_LIMIT_BYTES: Final = 200_000
PAGE: Final = 250
BLOCK_S: Final = 1.0
LATE_JOURNEY_MS: Final = 600_000
BEGINNING: Final = "0-0"

Entry = tuple[str, bytes]
"""The id of a stream's entry and the JSON in it."""


class Store(Protocol):
    """What the site needs of a store; every method raises StoreError and nothing else."""

    def newest(self, kind: str, count: int) -> list[Entry]:
        """Return the newest entries of a stream (`results` or `journeys`), oldest first."""

    def wait(self, after: dict[str, str], timeout_s: float) -> dict[str, list[Entry]]:
        """Return what came after the given entry of each stream, waiting for the first."""

    def between(self, kind: str, start: str, end: str, count: int) -> list[Entry]:
        """Return at most `count` entries from `start` to `end` (ids or milliseconds), oldest first."""


class RedisStore:
    """A Redis or Valkey server."""

    def __init__(self, url: str, fleet: str) -> None:
        import redis

        self._keys = {kind: f"headwater:{fleet}:{kind}" for kind in FIELDS}
        self._errors = (redis.RedisError, OSError)
        try:
            self._redis = redis.Redis.from_url(
                url, protocol=2, socket_timeout=BLOCK_S + 4, socket_connect_timeout=4, socket_keepalive=True
            )
        except ValueError:  # its text may quote the password
            shown = without_password(url)
            raise StoreError(f"store: got {shown!r}, expected redis://HOST[:PORT][/DB]; correct it") from None

    def newest(self, kind: str, count: int) -> list[Entry]:
        """Return the newest entries of a stream, oldest first."""
        found: list[Entry] = []
        end = "+"
        while len(found) < count:
            page = self._ask("xrevrange", self._keys[kind], end, "-", min(PAGE, count - len(found)))
            found += _entries(kind, page)
            if len(page) < PAGE:
                break
            end = f"({found[-1][0]}"
        return found[::-1]

    def wait(self, after: dict[str, str], timeout_s: float) -> dict[str, list[Entry]]:
        """Return what came after the given entries, waiting for the first."""
        streams = {self._keys[kind]: entry for kind, entry in after.items()}
        found = self._ask("xread", streams, count=4 * PAGE, block=max(1, int(timeout_s * 1000)))
        kinds = {key.encode(): kind for kind, key in self._keys.items()}
        return {kinds[key]: _entries(kinds[key], page) for key, page in found}

    def between(self, kind: str, start: str, end: str, count: int) -> list[Entry]:
        """Return at most `count` entries from `start` to `end`, oldest first."""
        return _entries(kind, self._ask("xrange", self._keys[kind], start, end, count))

    def _ask(self, command: str, *arguments: Any, **options: Any) -> list[Any]:
        try:
            return getattr(self._redis, command)(*arguments, **options) or []
        except self._errors as error:
            raise StoreError(f"store: {error}; is it running?") from None


FIELDS: Final = {"results": b"record", "journeys": b"journey"}


def _entries(kind: str, page: list[Any]) -> list[Entry]:
    return [(key.decode(), fields.get(FIELDS[kind], b"")) for key, fields in page if fields is not None]


@dataclass(frozen=True)
class Connection:
    """Whether something is there, and since when not (wall clock, for people)."""

    there: bool
    since_ns: int


class Follower:
    """One thread that follows both streams into the window and outlives the store's absences."""

    def __init__(self, store: Store, window: Window, wall_ns: Callable[[], int] = time.time_ns) -> None:
        self.store, self.window = store, window
        self.on_change: Callable[[], None] = lambda: None
        self.traces: SiteTraces | None = None
        self._wall_ns = wall_ns
        self.connection = Connection(False, wall_ns())
        self.errors = 0
        self.read_s = time.monotonic()
        """When the store has last answered, or the start."""
        self._after: dict[str, str] = dict.fromkeys(FIELDS, "")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="store", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; a second at most, while the store answers."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=BLOCK_S + 1)

    def _follow(self) -> None:
        pause_s = 0.25
        while not self._stop.is_set():
            try:
                self.fill()
                pause_s = 0.25
                while not self._stop.is_set():
                    self.step()
            except StoreError as error:
                self.errors += 1
                self._connected(False, str(error))
                self._stop.wait(pause_s)
                pause_s = min(5.0, pause_s * 2)

    def fill(self) -> None:
        """Read the newest entries of both streams; after an absence this also closes the gap."""
        for kind in FIELDS:
            page = self.store.newest(kind, self.window.capacity)
            newest = page[-1][0] if page else BEGINNING
            if self._after[kind] and entry_order(newest) >= entry_order(self._after[kind]):
                page = [entry for entry in page if entry_order(entry[0]) > entry_order(self._after[kind])]
            self._take(kind, page)
            self._after[kind] = newest
        self.read_s = time.monotonic()
        self._connected(True, "")

    def step(self) -> None:
        """Wait for new entries and take them."""
        for kind, page in self.store.wait(self._after, BLOCK_S).items():
            self._take(kind, page, self.traces)
            self._after[kind] = page[-1][0] if page else self._after[kind]
        self.read_s = time.monotonic()

    def _take(self, kind: str, page: list[Entry], traces: SiteTraces | None = None) -> None:
        came_ns = 0 if traces is None else traces.now_ns()
        for entry, content in page:
            try:
                if kind == "results":
                    record = decode_json(Record, content, RECORD_LIMIT_BYTES)
                    if self.window.add(entry, record) and traces is not None:
                        traces.read(record, self.window.seen - 1, came_ns)
                else:
                    self.window.add_journey(decode_json(StoredJourney, content, RECORD_LIMIT_BYTES))
            except WireError as error:
                self.window.refuse()
                log.debug(event("entry refused", stream=kind, entry=entry, reason=error))
        if page:
            self.on_change()

    def _connected(self, there: bool, reason: str) -> None:
        if there != self.connection.there:
            self.connection = Connection(there, self._wall_ns())
            log.info(event("store", there=there, reason=reason))
            self.on_change()


def entry_order(entry: str) -> tuple[int, int]:
    """Return a stream id as something that compares: milliseconds and counter."""
    milliseconds, _, counter = entry.partition("-")
    return int(milliseconds), int(counter or 0)


def decoded(page: list[Entry]) -> list[Sighting]:
    """Return the frames of entries that the window does not hold; what is no record of ours is left out."""
    sightings = []
    for entry, content in page:
        try:
            sightings.append(Sighting(entry, decode_json(Record, content, RECORD_LIMIT_BYTES)))
        except WireError:
            continue
    return sightings
