"""The newest frames of a fleet in memory, shared by every browser."""

from __future__ import annotations

import secrets
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from msgspec.structs import replace

from headwater.messages import Prediction, Record, StoredJourney
from visualizer.palette import Palette

CAPACITY: Final = 5000
MOST_SCORES: Final = 64
"""So many raw scores of a frame are remembered; the store keeps all that came."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A finished frame as the site knows it; `serial` counts the frames this window has seen, -1 outside of it."""

    entry: str
    """The id of its entry in the results stream: milliseconds of the store's clock, a dash, a counter."""
    record: Record
    serial: int = -1
    ordinals: tuple[int, int, int, int] = (0, 0, 0, 0)
    """How many frames came before: in all, of its device, of its split, of both. Steady places on an axis."""
    whole: bool = True
    """False where labels lack scores that the store's entry has."""

    @property
    def frame_id(self) -> str:
        """Return device-boot-sequence."""
        return f"{self.record.device}-{self.record.boot}-{self.record.sequence}"

    def ordinal(self, device: str | None, split: str | None) -> int:
        """Return its place among the frames of that device and split."""
        return self.ordinals[(device is not None) + 2 * (split is not None)]


class Window:
    """A bounded memory of frames and their journeys; safe to use from every thread."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.capacity, self.run = capacity, secrets.token_hex(4)
        self.palette = Palette()
        self.seen = self.refused = self.version = 0
        self._lock = threading.Lock()
        self._frames: deque[Sighting] = deque()
        self._by_id: dict[str, Sighting] = {}
        self._journeys: OrderedDict[str, StoredJourney] = OrderedDict()
        self._counts: Counter[tuple[str | None, str | None]] = Counter()

    def add(self, entry: str, record: Record) -> bool:
        """Take one more frame and forget the oldest beyond the capacity; False for a frame that is here already."""
        short = shortened(record)
        whole = all(a.label is None or len(a.scores) == len(b.scores) for a, b in _pairs(short, record))
        with self._lock:
            sighting = Sighting(entry, short, self.seen, self._ordinals(record), whole)
            if sighting.frame_id in self._by_id:
                return False
            self._count(record)
            self._frames.append(sighting)
            self._by_id[sighting.frame_id] = sighting
            while len(self._frames) > self.capacity:
                del self._by_id[self._frames.popleft().frame_id]
            self.seen += 1
            self.version += 1
            self.palette.add(record.predictions)
            return True

    def learn(self, sightings: Iterable[Sighting]) -> bool:
        """Take the tasks and labels of frames that are not kept here; True when some were new."""
        with self._lock:
            before = self.palette.version
            for sighting in sightings:
                self.palette.add(sighting.record.predictions)
            learnt = self.palette.version != before
            self.version += learnt
            return learnt

    def add_journey(self, journey: StoredJourney) -> None:
        """Take what a device reported of one frame's round trip."""
        with self._lock:
            self._journeys[f"{journey.device}-{journey.boot}-{journey.sequence}"] = journey
            while len(self._journeys) > self.capacity:
                self._journeys.popitem(last=False)
            self.version += 1

    def refuse(self) -> None:
        """Count an entry of the store that is no record of ours."""
        with self._lock:
            self.refused += 1
            self.version += 1

    def _ordinals(self, record: Record) -> tuple[int, int, int, int]:
        keys: list[tuple[str | None, str | None]] = list(_keys(record))
        return self._counts[keys[0]], self._counts[keys[1]], self._counts[keys[2]], self._counts[keys[3]]

    def _count(self, record: Record) -> None:
        self._counts.update(_keys(record))
        if len(self._counts) > 8 * self.capacity:  # names from the network: bounded, at the price of a jump on an axis
            self._counts.clear()

    def after(self, serial: int) -> list[Sighting]:
        """Return the frames with a higher serial, oldest first."""
        with self._lock:
            fresh = min(len(self._frames), self.seen - 1 - serial)
            return list(islice(reversed(self._frames), max(0, fresh)))[::-1]

    def holds_all_after(self, serial: int) -> bool:
        """Tell whether nothing has been forgotten since the frame with that serial."""
        with self._lock:
            return self.seen - len(self._frames) <= serial + 1 <= self.seen

    def newest(self, count: int, device: str | None = None, split: str | None = None) -> list[Sighting]:
        """Return at most `count` frames of that device and split, oldest first."""
        with self._lock:
            matching = (s for s in reversed(self._frames) if _matches(s.record, device, split))
            return list(islice(matching, count))[::-1]

    def find(self, frame_id: str) -> Sighting | None:
        """Return the frame of that id if it is still here."""
        with self._lock:
            return self._by_id.get(frame_id)

    def journey(self, frame_id: str) -> StoredJourney | None:
        """Return the frame's journey if its device has reported it."""
        with self._lock:
            return self._journeys.get(frame_id)

    def journeys(self, sightings: Iterable[Sighting]) -> dict[str, StoredJourney]:
        """Return the known journeys of those frames by id."""
        with self._lock:
            return {s.frame_id: self._journeys[s.frame_id] for s in sightings if s.frame_id in self._journeys}

    def count(self) -> int:
        """Return how many frames are here."""
        with self._lock:
            return len(self._frames)


def shortened(record: Record) -> Record:
    """Return the record with at most MOST_SCORES scores, all of them of labels: memory is bounded in bytes too."""
    kept: list[Prediction] = []
    room = MOST_SCORES
    for prediction in record.predictions:
        fits = prediction.label is not None and len(prediction.scores) <= room
        room -= len(prediction.scores) if fits else 0
        kept.append(prediction if fits or not prediction.scores else replace(prediction, scores=[]))
    return replace(record, predictions=kept)


def _pairs(one: Record, other: Record) -> Iterator[tuple[Prediction, Prediction]]:
    return zip(one.predictions, other.predictions, strict=True)


def _keys(record: Record) -> Iterator[tuple[str | None, str | None]]:
    """Yield the groups a frame counts in, in the order of `Sighting.ordinals`."""
    yield None, None
    yield record.device, None
    yield None, record.split
    yield record.device, record.split


def _matches(record: Record, device: str | None, split: str | None) -> bool:
    return (device is None or record.device == device) and (split is None or record.split == split)
