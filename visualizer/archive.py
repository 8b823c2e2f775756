"""Frames older than the window, read from the store on request, bounded and thinned."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from headwater.errors import StoreError, WireError
from headwater.messages import StoredJourney, decode_json
from visualizer.reader import LATE_JOURNEY_MS, PAGE, RECORD_LIMIT_BYTES, Store, decoded, entry_order
from visualizer.window import Sighting, Window

SLICES: Final = 20
LATE_SLICES: Final = 4
LATE_FRAME_MS: Final = 86_400_000
"""A frame may wait this long in a device's spool and is still found under its time of capture."""
_ENTRY = re.compile(r"^[0-9]{1,15}-[0-9]{1,10}\Z")


@dataclass(frozen=True)
class Past:
    """Frames of a span of time; `thinned` when some were left out."""

    sightings: list[Sighting]
    thinned: bool


def slices(start_ms: int, end_ms: int, count: int = SLICES) -> Iterator[tuple[int, int]]:
    """Yield `count` spans that cover start to end without gap or overlap."""
    step = max(1, -(-(end_ms - start_ms + 1) // count))
    for begin in range(start_ms, end_ms + 1, step):
        yield begin, min(end_ms, begin + step - 1)


def between(store: Store, start_ms: int, end_ms: int, now_ms: int) -> Past:
    """Return the frames captured from start to end, at most PAGE from each slice of time. Raises: StoreError.

    What came after the end is thinned only where it held frames of the span: the others are not missed.
    """
    found: list[Sighting] = []
    thinned = False
    for begin, end, late in _asked(store, start_ms, end_ms, now_ms):
        page = store.between("results", str(begin), str(end), PAGE)
        wanted = [s for s in decoded(page) if start_ms <= s.record.captured_ns // 1_000_000 <= end_ms]
        thinned = thinned or (len(page) == PAGE and bool(wanted or not late))
        found += wanted
    return Past(found, thinned)


def _asked(store: Store, start_ms: int, end_ms: int, now_ms: int) -> Iterator[tuple[int, int, bool]]:
    """Yield the slices of the span, then those of the time after it, in which late frames came (True)."""
    oldest = store.between("results", "-", "+", 1)
    if not oldest:
        return
    first, last = max(start_ms, entry_order(oldest[0][0])[0]), min(now_ms, end_ms)
    for begin, end in slices(first, last):
        yield begin, end, False
    for begin, end in slices(max(first, last + 1), min(now_ms, end_ms + LATE_FRAME_MS), LATE_SLICES):
        yield begin, end, True


def find(store: Store, window: Window, entry: str, frame_id: str) -> tuple[Sighting | None, StoredJourney | None]:
    """Return a frame and its journey, from the window or else from the store. Raises: StoreError."""
    sighting = window.find(frame_id)
    if sighting is None:
        old = _stored(store, entry, frame_id)
        return old, _old_journey(store, old) if old else None
    if not sighting.whole:
        sighting = _whole(store, sighting)
    return sighting, window.journey(frame_id)


def _whole(store: Store, sighting: Sighting) -> Sighting:
    """Return the frame with all its scores, or as it is when the store has it no more."""
    try:
        return _stored(store, sighting.entry, sighting.frame_id) or sighting
    except StoreError:
        return sighting


def _stored(store: Store, entry: str, frame_id: str) -> Sighting | None:
    if not _ENTRY.match(entry):
        return None
    return next((old for old in decoded(store.between("results", entry, entry, 1)) if old.frame_id == frame_id), None)


def _old_journey(store: Store, sighting: Sighting) -> StoredJourney | None:
    start_ms = int(sighting.entry.partition("-")[0])
    for _, content in store.between("journeys", str(start_ms), str(start_ms + LATE_JOURNEY_MS), 8 * PAGE):
        try:
            journey = decode_json(StoredJourney, content, RECORD_LIMIT_BYTES)
        except WireError:
            continue
        if f"{journey.device}-{journey.boot}-{journey.sequence}" == sighting.frame_id:
            return journey
    return None
