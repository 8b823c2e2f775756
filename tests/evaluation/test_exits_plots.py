"""The figures of `headwater evaluate exits` say what they show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evaluation.exits_report import difficulty, plot_paths, plot_sureness
from models.answers import Answers, Place, outcome
from models.tasks import Task

pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:matplotlib")
TASKS = tuple(Task(name, "classification", name, ("a", "b")) for name in ("kind", "place"))
LIMITS = {"exit1": {"kind": 0.6, "place": 0.6}}


def answers(exits: int = 1) -> Answers:
    """Ten pictures that are always answered "a"; the label of two is not known, of three it is "b"."""
    scores = {task.name: np.tile([0.8, 0.2], (10, 1)) for task in TASKS}
    truth = np.array([-1, -1, 0, 0, 0, 0, 0, 1, 1, 1])
    places = tuple(Place(f"exit{number}", scores, 1) for number in range(1, exits + 1))
    return Answers(places, Place("end", scores, 2), {task.name: truth for task in TASKS})


def test_unknown_labels_are_neither_right_nor_wrong(tmp_path: Path) -> None:
    """The figure counts five right and three wrong, on an axis from nothing, beside the threshold in use."""
    plot_sureness(tmp_path / "a.svg", answers(), "entropy", LIMITS)
    text = (tmp_path / "a.svg").read_text()
    assert text.count("right (5)") == text.count("wrong (3)") == text.count("leaves below 0.6") == 2
    assert "after temperature scaling" in text
    assert ">100<" in text
    plot_sureness(tmp_path / "b.svg", answers(), "margin", LIMITS)
    assert "leaves from 0.6" in (tmp_path / "b.svg").read_text()


def test_easy_medium_and_hard_are_named(tmp_path: Path) -> None:
    """First exit, exits between, end: as the thesis calls them, for every task."""
    assert [difficulty(answers(3), place).partition(":")[0] for place in range(4)] == [
        "easy",
        "medium",
        "medium",
        "hard",
    ]
    assert [difficulty(answers(1), place) for place in range(2)] == ["easy: leave at exit1", "hard: go to the end"]
    plot_paths(tmp_path / "a.svg", answers(), outcome(answers(), LIMITS, "entropy"), TASKS)
    text = (tmp_path / "a.svg").read_text()
    assert all(wanted in text for wanted in ("easy: leave at exit1", ">kind<", ">place<", "(5)", "(3)"))
