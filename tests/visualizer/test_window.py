"""The bounded memory of the newest frames."""

from __future__ import annotations

import msgspec

from headwater.messages import Prediction
from tests.visualizer.fake_fleet import FakeDevice, prediction
from visualizer.palette import COLOURS, label_place
from visualizer.window import MOST_SCORES, Window


def filled(frames: int, capacity: int = 10, *names: str) -> Window:
    window = Window(capacity)
    devices = [FakeDevice(name) for name in names or ("cam1",)]
    for n in range(frames):
        window.add(f"{n + 1}-0", devices[n % len(devices)].record(n))
    return window


def test_oldest_frames_are_forgotten_beyond_the_capacity() -> None:
    """The window holds its capacity and counts all that it has seen."""
    window = filled(25)
    assert (window.count(), window.seen) == (10, 25)
    assert [s.serial for s in window.newest(99)] == list(range(15, 25))
    assert window.find("cam1-9f3c2a1b-14") is None
    assert window.find("cam1-9f3c2a1b-15") is not None


def test_a_frame_comes_once() -> None:
    """The same frame id again changes nothing."""
    window, device = Window(10), FakeDevice("cam1")
    record = device.record(1)
    assert window.add("1-0", record)
    assert not window.add("2-0", record)
    assert (window.seen, window.count()) == (1, 1)


def test_after_gives_only_what_is_newer() -> None:
    """A browser that knows serial 21 gets 22, 23, 24 and nothing twice."""
    window = filled(25)
    assert [s.serial for s in window.after(21)] == [22, 23, 24]
    assert window.after(24) == []
    assert len(window.after(-1)) == 10


def test_a_gap_is_known_as_one() -> None:
    """holds_all_after is false as soon as a frame after that serial has been forgotten."""
    window = filled(25)
    assert window.holds_all_after(14)
    assert not window.holds_all_after(13)
    assert not window.holds_all_after(25)


def test_ordinals_are_steady_places_per_device_and_split() -> None:
    """Each filter counts its own frames from 0, whatever comes between."""
    window = filled(6, 10, "cam1", "cam2")
    assert [s.ordinal("cam2", None) for s in window.newest(9, "cam2")] == [0, 1, 2]
    assert [s.ordinal(None, None) for s in window.newest(9, "cam2")] == [1, 3, 5]
    assert [s.ordinal("cam1", "block_5_add") for s in window.newest(9, "cam1", "block_5_add")] == [0, 1, 2]


def test_journeys_are_bounded_and_found_by_frame() -> None:
    """A journey belongs to its frame; the oldest are forgotten."""
    window, device = Window(2), FakeDevice("cam1")
    records = [device.record(n) for n in range(3)]
    for n, record in enumerate(records):
        window.add(f"{n}-0", record)
        window.add_journey(device.journey(record))
    assert window.journey("cam1-9f3c2a1b-0") is None
    assert set(window.journeys(window.newest(9))) == {"cam1-9f3c2a1b-1", "cam1-9f3c2a1b-2"}


def test_every_change_is_a_new_version() -> None:
    """Frames, journeys and refusals all make the window newer."""
    window, device = Window(2), FakeDevice("cam1")
    record = device.record(1)
    versions = [window.version]
    window.add("1-0", record)
    versions.append(window.version)
    window.add_journey(device.journey(record))
    versions.append(window.version)
    window.refuse()
    versions.append(window.version)
    assert versions == sorted(set(versions))


def test_raw_scores_beyond_a_bound_are_left_to_the_store() -> None:
    """A record may hold 200 KB of them; the window keeps the labels' first 64."""
    window, device = Window(2), FakeDevice("cam1")
    species = Prediction("species", "owl", None, 0.9, [0.0, 0.9, *[0.0] * 4000])
    height = Prediction("height", None, 1.8, None, [1.8])
    predictions = [prediction(0.9), species, height, *[Prediction(f"t{n}", "x", scores=[0.1] * 30) for n in range(5)]]
    window.add("1-0", msgspec.structs.replace(device.record(1), predictions=predictions))
    window.add("2-0", device.record(2))
    long, usual = window.newest(2)
    kept = long.record.predictions
    assert sum(len(p.scores) for p in kept) <= MOST_SCORES
    assert [len(p.scores) for p in kept[:4]] == [2, 0, 0, 30]
    assert [(p.task, p.label, p.value) for p in kept] == [(p.task, p.label, p.value) for p in predictions]
    assert (long.whole, usual.whole) == (False, True)
    without_scores = label_place(Prediction("species", "owl"))
    assert window.palette.legend()[1] == {"task": "species", "labels": [["owl", COLOURS[without_scores]]]}
