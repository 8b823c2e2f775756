"""Figures of stage times, tested on their data."""

from __future__ import annotations

import math

import pytest

from headwater.clock import STAGES
from tests.visualizer.fake_fleet import FakeDevice
from visualizer.figures import STAGE_COLOURS, frame_timeline, stage_bars, stage_percentiles, stages_ms
from visualizer.percentiles import TOTAL, percentiles, stage_times
from visualizer.window import Window


@pytest.fixture
def window() -> Window:
    window = Window(100)
    device = FakeDevice("cam1")
    for n in range(20):
        record = device.record(1_700_000_000_000_000_000 + n * 10**9)
        window.add(f"{n}-0", record)
        if n < 15:
            window.add_journey(device.journey(record))
    return window


def test_bars_stack_every_stage_in_the_order_of_the_walk(window: Window) -> None:
    """One trace per stage, left to right as a frame walks, in the stage's own colour."""
    sightings = window.newest(10)
    figure = stage_bars(sightings, window.journeys(sightings))
    assert [trace.name for trace in figure.data] == list(STAGES)
    assert [trace.marker.color for trace in figure.data] == [STAGE_COLOURS[stage] for stage in STAGES]
    heads = next(trace for trace in figure.data if trace.name == "head")
    assert list(heads.y) == [round(s.record.stages_ns["head"] / 1e6, 3) for s in sightings]
    assert figure.layout.barmode == "stack"


def test_a_round_trip_not_yet_reported_has_no_height(window: Window) -> None:
    """The newest frames lack uplink and downlink until the device reports them."""
    sightings = window.newest(10)
    figure = stage_bars(sightings, window.journeys(sightings))
    uplink = next(trace for trace in figure.data if trace.name == "uplink")
    assert [y > 0 for y in uplink.y] == [True] * 5 + [False] * 5


def test_a_bar_keeps_its_place_when_newer_ones_come(window: Window) -> None:
    """A zoomed view goes on showing the same frames; uirevision keeps it."""
    before = stage_bars(window.newest(10), {}, "cam1")
    window.add("99-0", FakeDevice("cam1", sequence=50).record(1))
    after = stage_bars(window.newest(10), {}, "cam1")
    places = [dict(zip((c[0] for c in f.data[0].customdata), f.data[0].x, strict=True)) for f in (before, after)]
    shared = places[0].keys() & places[1].keys()
    assert len(shared) == 9
    assert all(places[0][name] == places[1][name] for name in shared)
    assert before.layout.uirevision == after.layout.uirevision != stage_bars([], {}).layout.uirevision


def test_percentiles_are_numpys() -> None:
    """100 durations of 1 to 100 ms: half below 50.5 ms."""
    found = percentiles([n * 1_000_000 for n in range(1, 101)])
    assert (found.frames, found.p50_ms) == (100, 50.5)
    assert math.isclose(found.p95_ms, 95.05)
    assert math.isclose(found.p99_ms, 99.01)


def test_percentiles_of_stages_come_with_the_whole(window: Window) -> None:
    """Every stage that occurs, from left to right, and the device's own total last."""
    sightings = window.newest(99)
    times = stage_times(sightings, window.journeys(sightings))
    assert list(times) == [*STAGES, TOTAL]
    assert (times["head"].frames, times["uplink"].frames, times[TOTAL].frames) == (20, 15, 15)
    figure = stage_percentiles(times)
    assert figure.layout.xaxis.type == "log"
    assert list(figure.layout.yaxis.categoryarray) == [*STAGES, TOTAL][::-1]
    p95 = next(trace for trace in figure.data if trace.name == "p95")
    assert list(p95.x) == [times[stage].p95_ms for stage in times]


def test_a_timeline_shows_the_uncertainty_of_both_ways() -> None:
    """Error bars stand at uplink and downlink and nowhere else; without a journey there are none."""
    device = FakeDevice("cam1")
    record = device.record(1)
    journey = device.journey(record)
    figure = frame_timeline(record, journey)
    sure = {trace.name: trace.error_x.visible for trace in figure.data}
    assert [name for name, visible in sure.items() if visible] == ["uplink", "downlink"]
    uplink = next(trace for trace in figure.data if trace.name == "uplink")
    assert uplink.error_x.array[0] == journey.uncertainty_ns / 1e6
    assert "uplink" not in [trace.name for trace in frame_timeline(record, None).data]


def test_stages_are_told_in_their_order() -> None:
    """Whatever the order on the wire."""
    record = FakeDevice("cam1").record(1)
    assert list(stages_ms(record, None)) == [stage for stage in STAGES if stage in record.stages_ns]


def test_no_frames_make_an_empty_figure_and_no_error() -> None:
    """An empty installation draws empty axes."""
    empty = stage_bars([], {})
    assert len(empty.data) == 0
    assert empty.layout.annotations[0].text == "No frames yet"
    assert len(stage_percentiles({}).data) == 3
