"""Colours and rows of the map."""

from __future__ import annotations

import json

from msgspec.structs import replace

from headwater.messages import Prediction
from tests.visualizer.fake_fleet import FakeDevice, prediction
from visualizer.fleet_map import COLUMNS, rows
from visualizer.palette import COLOURS, MOST_LABELS, MOST_TASKS, OTHER, Palette, colour, label_place
from visualizer.window import Sighting


def test_a_label_has_the_colour_of_its_place_in_the_model() -> None:
    """Which label comes first does not matter: clean is class 0, dirty class 1, after every restart."""
    for order in ((0.9, 0.1), (0.1, 0.9)):
        palette = Palette()
        for dirty in order:
            palette.add([prediction(dirty)])
        assert palette.legend() == [{"task": "litter", "labels": [["clean", COLOURS[0]], ["dirty", COLOURS[1]]]}]


def test_labels_of_many_have_the_colour_of_their_text() -> None:
    """Whoever comes first, and whether the frame has the scores or was finished on a device without."""
    said = [Prediction("thing", f"class-{n}") for n in (500, 3, 700)]
    said[1] = replace(said[1], scores=[0.0] * 3 + [1.0] + [0.0] * 996)
    legends = []
    for order in (said, said[::-1]):
        palette = Palette()
        palette.add(order)
        legends.append(palette.legend())
    assert legends[0] == legends[1]
    assert {found for _, found in legends[0][0]["labels"]} <= set(COLOURS)
    assert label_place(said[1]) == label_place(Prediction("thing", "class-3"))


def test_one_score_is_a_probability() -> None:
    """Of the second label."""
    assert label_place(Prediction("x", "yes", scores=[0.8])) == 1


def test_a_regression_has_a_range() -> None:
    """A task of values is drawn on a scale from its lowest to its highest."""
    palette = Palette()
    palette.add([Prediction("age", value=31.0)])
    palette.add([Prediction("age", value=12.5)])
    assert palette.legend() == [{"task": "age", "low": 12.5, "high": 31.0}]


def test_tasks_and_labels_from_the_network_are_bounded() -> None:
    """A device that invents labels does not fill the memory."""
    palette = Palette()
    palette.add([Prediction(f"task{n}", "x") for n in range(1000)])
    palette.add([Prediction("task0", f"label{n}") for n in range(1000)])
    assert len(palette.legend()) == MOST_TASKS
    assert len(palette.legend()[0]["labels"]) == MOST_LABELS
    assert colour(len(COLOURS)) == OTHER


def test_a_row_is_all_that_a_point_needs() -> None:
    """One frame is one flat row, with its place, its source, and what every task says."""
    record = FakeDevice("cam1", source="made-up").record(1_700_000_000_060_000_000)
    (drawn,) = rows([Sighting("5-0", record)])
    row = dict(zip(COLUMNS, drawn, strict=True))
    assert (row["id"], row["entry"], row["device"]) == ("cam1-9f3c2a1b-0", "5-0", "cam1")
    assert (row["captured_ms"], row["source"], row["name"]) == (1_700_000_000_000, "made-up", "DSCN0000.jpg")
    assert row["predictions"][0][:2] == ["litter", record.predictions[0].label]
    assert len(json.dumps(drawn)) < 250


def test_a_frame_without_position_is_a_row_too() -> None:
    """It is listed beside the map instead of being lost."""
    (drawn,) = rows([Sighting("5-0", FakeDevice("cam1", placed=False).record(1))])
    assert drawn[4:7] == [None, None, None]
