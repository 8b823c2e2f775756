"""How sure an answer is, and what becomes of its frame."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.exits import MEASURES, ExitRule, entropy, is_sure, margin, normalised_entropy, top_probability


@dataclass(frozen=True)
class Said:
    task: str
    scores: list[float] = field(default_factory=list)
    label: str | None = "x"


SURE, TORN = Said("kind", [0.98, 0.01, 0.01]), Said("kind", [0.34, 0.33, 0.33])


def test_the_measures_are_those_of_the_field() -> None:
    """By hand: two even classes have ln 2 nats, a certain answer none; ln 3 is the most that three can have."""
    even, certain = np.array([0.5, 0.5, 0.0]), np.array([0.0, 1.0, 0.0])
    assert entropy(even) == pytest.approx(math.log(2))
    assert normalised_entropy(even) == pytest.approx(math.log(2) / math.log(3))
    assert (top_probability(even), margin(even)) == (0.5, 0.0)
    assert (entropy(certain), normalised_entropy(certain)) == (0.0, 0.0)
    assert (top_probability(certain), margin(certain)) == (1.0, 1.0)
    assert (normalised_entropy(np.array([1.0])), margin(np.array([1.0]))) == (0.0, 1.0)


@given(arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(2, 12)), elements=st.floats(1e-6, 1)))
def test_the_measures_stay_in_their_bounds(rows: np.ndarray) -> None:
    """Rows at once give what each gives alone, between nothing and the most there can be."""
    rows = rows / rows.sum(axis=1, keepdims=True)
    classes = rows.shape[1]
    most = {"entropy": math.log(classes)}
    for name, measure in MEASURES.items():
        values = measure(rows)
        assert values.shape == rows.shape[:1]
        assert np.all((values >= -1e-12) & (values <= most.get(name, 1.0) + 1e-9))
        assert np.array_equal(values, [measure(row) for row in rows])


@pytest.mark.parametrize(
    ("rule", "always", "never"),
    [("entropy", math.inf, 0.0), ("normalised-entropy", 1.1, 0.0), ("top-probability", 0.0, 1.1), ("margin", 0.0, 1.1)],
)
def test_thresholds_can_let_all_pass_and_none(rule: str, always: float, never: float) -> None:
    """The ends of each scale."""
    for said in (SURE, TORN, Said("kind", [1.0, 0.0, 0.0])):
        assert ExitRule(rule, {"kind": always}).decide([said]) == "leave"  # type: ignore[arg-type]
        assert ExitRule(rule, {"kind": never}).decide([said]) == "go on"  # type: ignore[arg-type]


def test_a_value_at_the_threshold_is_decided() -> None:
    """An entropy must be below its threshold, a probability may be at it."""
    assert not is_sure("entropy", np.array(0.6), 0.6)
    assert is_sure("top-probability", np.array(0.9), 0.9)


def test_all_tasks_must_be_sure_and_a_regression_rides_along() -> None:
    """One task that is torn, or has no threshold, keeps the frame; a number has no say."""
    rule = ExitRule("entropy", {"kind": 0.6, "other": 0.6})
    years = Said("age", [], None)
    other = Said("other", [0.9, 0.1])
    assert rule.decide([SURE, other, years]) == "leave"
    assert rule.decide([TORN, other, years]) == "go on"
    assert ExitRule("entropy", {"kind": 0.6}).decide([SURE, other]) == "go on"
    assert rule.decide([years]) == "go on"


def test_hopeless_frames_are_dropped_only_where_asked() -> None:
    """Every task with a drop threshold must be less sure than it; a frame that is sure enough leaves first."""
    rule = ExitRule("normalised-entropy", {"kind": 0.3}, {"kind": 0.9})
    assert rule.decide([TORN]) == "drop"
    assert rule.decide([Said("kind", [0.7, 0.2, 0.1])]) == "go on"
    assert rule.decide([SURE]) == "leave"
    two = ExitRule("normalised-entropy", {}, {"kind": 0.9, "other": 0.9})
    assert two.decide([TORN, Said("other", [0.99, 0.01])]) == "go on"
    assert two.decide([TORN, Said("other", [0.5, 0.5])]) == "drop"


def test_an_exit_where_nobody_can_end_is_known() -> None:
    """Without thresholds, or with one task's missing, no frame leaves; a drop threshold can still end one."""
    both = frozenset({"kind", "other"})
    assert not ExitRule("entropy", {}, {}, both).can_end
    assert not ExitRule("entropy", {"kind": 0.5}, {}, both).can_end
    assert ExitRule("entropy", {"kind": 0.5, "other": 0.5}, {}, both).can_end
    assert ExitRule("entropy", {}, {"kind": 0.9}, both).can_end
