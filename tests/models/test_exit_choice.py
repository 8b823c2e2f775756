"""Places for exits are chosen by the multiply-adds expected at the allowed loss."""

from __future__ import annotations

import numpy as np
import pytest

from models.answers import Place
from models.branches.choice import Candidate, Judges, choose, threshold, weigh
from models.branches.train import Settings, train_task
from models.errors import ModelError
from models.tasks import Task

TRUTH = np.array([0, 1] * 50)
KIND = Task("kind", "classification", "kind", ("a", "b"))
TIGHT = 0.005  # half a picture, which is taken for lost
AGE = Task("age", "regression", "age")


def scores(right: np.ndarray, sure: np.ndarray) -> np.ndarray:
    """Two probabilities each, the higher one where `right` says."""
    said = np.where(right, TRUTH, 1 - TRUTH)
    return np.stack([np.where(said == 0, sure, 1 - sure), np.where(said == 1, sure, 1 - sure)], axis=1)


def candidate(name: str, madds: int, wrong: int, *, spread: float = 0.4) -> Candidate:
    """Right about all but its least sure pictures."""
    sure = np.linspace(0.5 + spread, 0.51, len(TRUTH))
    right = np.arange(len(TRUTH)) < len(TRUTH) - wrong
    return Candidate(name, 100, madds, 1, {"kind": scores(right, sure)}, {})


JUDGES = Judges(Place("end", {"kind": scores(np.ones(100, bool), np.full(100, 0.99))}, 1000), {"kind": TRUTH}, {})


def test_a_threshold_lets_as_many_leave_as_may() -> None:
    """The surest pictures leave until one more would lose more than allowed."""
    one = candidate("early", 100, 30)
    for allowed, lost in ((0.005, 0.0), (0.056, 0.05), (1.0, 0.3)):
        found = weigh([one], JUDGES, allowed)
        assert found.outcome.shares[0] == pytest.approx(0.7 + lost)
        assert found.outcome.loss["kind"] == pytest.approx(lost)
    assert weigh([one], JUDGES, 0.004).outcome.shares[0] == 0.0
    assert found.outcome.madds == 101
    allsame = Candidate("flat", 1, 1, 1, {"kind": scores(np.arange(100) < 70, np.full(100, 0.8))}, {})
    assert threshold(allsame, JUDGES, 0.1) > 1.0


def test_the_place_with_the_fewest_expected_multiply_adds_wins() -> None:
    """An early place that lets half leave beats a late one that lets nearly all leave."""
    places = [candidate("early", 100, 50), candidate("middle", 400, 20), candidate("late", 900, 1)]
    costs = [weigh([one], JUDGES, TIGHT).outcome.madds for one in places]
    assert costs == pytest.approx([0.5 * 101 + 0.5 * 1001, 0.8 * 401 + 0.2 * 1001, 0.99 * 901 + 0.01 * 1001])
    assert [one.name for one in choose(places, JUDGES, 1, TIGHT).exits] == ["middle"]


def test_more_exits_come_greedily_and_stop_when_they_do_not_pay() -> None:
    """Two exits share the allowed loss; a third that saves next to nothing is left out."""
    places = [candidate("early", 100, 50), candidate("middle", 400, 20), candidate("late", 990, 1)]
    found = choose(places, JUDGES, 4, 4 * TIGHT)
    assert [one.name for one in found.exits] == ["early", "middle"]
    assert found.outcome.shares == pytest.approx((0.5, 0.3, 0.2))
    assert found.outcome.madds == pytest.approx(0.5 * 101 + 0.3 * 402 + 0.2 * 1002)


def test_where_nothing_pays_it_says_what_to_do() -> None:
    """A branch that is sure and wrong lets nobody leave."""
    hopeless = Candidate("early", 1, 100, 1, {"kind": scores(np.arange(100) > 5, np.linspace(0.9, 0.5, 100))}, {})
    with pytest.raises(ModelError, match=r"no exit saves 2% .* within a loss of 1 points; raise --max-loss, give more"):
        choose([hopeless], JUDGES, 1, 0.01)


def test_every_task_must_be_kept() -> None:
    """A second task that is wrong early keeps pictures from leaving; a picture without its label counts not."""
    one = candidate("early", 100, 0)
    wrong = scores(np.arange(100) >= 40, np.full(100, 0.99))
    both = Candidate("early", 1, 100, 1, {**one.scores, "other": wrong}, {})
    finals = Place("end", {**JUDGES.final.scores, "other": JUDGES.final.scores["kind"]}, 1000)
    judges = Judges(finals, {"kind": TRUTH, "other": TRUTH}, {})
    assert weigh([both], judges, 0.105).outcome.shares[0] == pytest.approx(0.1)
    unknown = Judges(finals, {"kind": TRUTH, "other": np.where(np.arange(100) < 40, -1, TRUTH)}, {})
    assert weigh([both], unknown, 0.01).outcome.shares[0] == pytest.approx(1.0)


def test_a_branch_learns_labels_and_values_the_same_way_twice() -> None:
    """Two clouds are told apart, a slope is found, and the same seed gives the same weights."""
    random = np.random.default_rng(0)
    features = (random.normal(0, 1, (300, 5)) * [1, 5, 0.1, 1, 100]).astype(np.float16)
    truth = (features[:, 0] + 10 * features[:, 2] > 0).astype(float)
    answers = np.eye(2)[truth.astype(int)]
    made = train_task(KIND, features, truth, answers, Settings())
    assert (made.answer(features).argmax(axis=1) == truth).mean() > 0.95
    again = train_task(KIND, features, truth, answers, Settings())
    assert made.hidden.tobytes() == again.hidden.tobytes()
    assert made.hidden.tobytes() != train_task(KIND, features, truth, answers, Settings(seed=1)).hidden.tobytes()
    ages = 40 + 10 * features[:, 0].astype(float)
    told = train_task(AGE, features, ages, ages[:, None], Settings(dropout=0.0))
    assert np.abs(told.answer(features)[:, 0] - ages).mean() < 2


def test_the_final_answer_can_teach_where_labels_are_missing() -> None:
    """With a teacher, pictures without a label teach through what the network itself says of them."""
    features = np.random.default_rng(0).normal(0, 1, (200, 4)).astype(np.float16)
    truth = (features[:, 0] > 0).astype(int)
    unknown = np.where(np.arange(200) < 190, np.nan, truth)
    made = train_task(KIND, features, unknown, np.eye(2)[truth], Settings(teacher=0.5))
    assert (made.answer(features).argmax(axis=1) == truth).mean() > 0.9
