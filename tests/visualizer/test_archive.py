"""Frames older than the window."""

from __future__ import annotations

from itertools import pairwise

import pytest
from msgspec.structs import replace

from headwater.messages import Prediction
from tests.visualizer.fake_fleet import FakeDevice
from tests.visualizer.listed_store import ListedStore
from visualizer import archive
from visualizer.reader import PAGE
from visualizer.window import Window

MS = 1_000_000


@pytest.mark.parametrize(("start", "end", "count"), [(0, 99, 20), (5, 5, 20), (0, 7, 20), (1000, 123_456, 7)])
def test_slices_cover_a_span_without_gap_or_overlap(start: int, end: int, count: int) -> None:
    """Every millisecond is in exactly one slice."""
    found = list(archive.slices(start, end, count))
    assert found[0][0] == start
    assert found[-1][1] == end
    assert all(after[0] == before[1] + 1 for before, after in pairwise(found))
    assert len(found) <= count


def test_a_span_is_read_by_time_of_capture() -> None:
    """A frame that waited in a spool is found under the time it was captured."""
    store, device = ListedStore(), FakeDevice("cam1")
    for captured_ms in (900, 950, 2000):
        store.add(device.record(captured_ms * MS + 60 * MS))
    past = archive.between(store, 890, 960, now_ms=10_000)
    assert [s.record.captured_ns // MS for s in past.sightings] == [900, 950]
    assert not past.thinned


def test_a_long_span_is_thinned_and_says_so() -> None:
    """No slice brings more than a page."""
    store, device = ListedStore(), FakeDevice("cam1")
    for _ in range(3 * PAGE):
        store.add(device.record(1500 * MS))
    past = archive.between(store, 0, 100_000, now_ms=100_000)
    assert past.thinned
    assert len(past.sightings) <= archive.SLICES * PAGE


@pytest.mark.parametrize("oldest_ms", [1_000_000, 1])
def test_a_custom_span_is_shown_from_its_start_to_its_end(oldest_ms: int) -> None:
    """Ten minutes of a day long gone: every frame is there, although the fleet went on for hours."""
    store, device = ListedStore(), FakeDevice("cam1")
    start_ms, end_ms, now_ms = 1_000_000, 1_600_000, 30_000_000
    store.add_at(oldest_ms, device.record(oldest_ms * MS))
    for at_ms in range(start_ms + 1000, now_ms, 1000):
        store.add_at(at_ms, device.record(at_ms * MS))
    past = archive.between(store, start_ms, end_ms, now_ms)
    seconds = [s.record.captured_ns // 1_000_000_000 for s in past.sightings]
    assert seconds[-600:] == [*range(1000, 1600)]
    assert not past.thinned


def test_an_open_span_is_laid_over_what_the_store_holds() -> None:
    """From 1970 on: the slices begin with the oldest entry, so that the newest frames are among those found."""
    store, device = ListedStore(), FakeDevice("cam1")
    first_ms, step_ms = 10**12, 1000
    for n in range(2000):
        store.add_at(first_ms + n * step_ms, device.record((first_ms + n * step_ms) * MS))
    past = archive.between(store, 0, first_ms + 2000 * step_ms, first_ms + 2000 * step_ms)
    assert len(past.sightings) == 2000


def test_a_frame_that_came_hours_later_is_found() -> None:
    """It lay in a device's spool; a day after the span is searched too."""
    store, device = ListedStore(), FakeDevice("cam1")
    store.add_at(5_000_000, device.record(1_000_500 * MS))
    past = archive.between(store, 1_000_000, 1_600_000, 30_000_000)
    assert len(past.sightings) == 1


def test_an_old_frame_is_found_with_its_journey() -> None:
    """The window has forgotten it; the store has not."""
    store, device, window = ListedStore(), FakeDevice("cam1"), Window(1)
    record = device.record(1)
    entry = store.add(record)
    store.add(device.journey(record))
    sighting, journey = archive.find(store, window, entry, "cam1-9f3c2a1b-0")
    assert sighting is not None
    assert journey is not None
    assert (sighting.record, journey.sequence) == (record, 0)


def test_scores_that_the_window_left_out_come_from_the_store() -> None:
    """Details of a frame tell its best scores; with the store away, the rest of it."""
    store, window = ListedStore(), Window(1)
    species = Prediction("species", "owl", None, 0.9, [0.0, 0.9, *[0.0] * 100])
    record = replace(FakeDevice("cam1").record(1), predictions=[species])
    entry = store.add(record)
    window.add(entry, record)
    found = [archive.find(store, window, entry, "cam1-9f3c2a1b-0")[0]]
    store.away = True
    found.append(archive.find(store, window, entry, "cam1-9f3c2a1b-0")[0])
    assert [len(s.record.predictions[0].scores) for s in found if s] == [102, 0]


@pytest.mark.parametrize(
    ("entry", "name"), [("", "x"), ("* MAXLEN 0", "x"), ("-", "cam1-9f3c2a1b-0"), ("1001-0", "else")]
)
def test_a_wrong_entry_finds_nothing(entry: str, name: str) -> None:
    """What a browser sends is not passed on to the store unchecked, and must name the frame it means."""
    store = ListedStore()
    store.add(FakeDevice("cam1").record(1))
    assert archive.find(store, Window(1), entry, name) == (None, None)
