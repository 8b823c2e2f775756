"""Thresholds of exits chosen for an allowed loss, and the figures behind them."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from models.answers import Answers, Place, outcome
from models.calibration import calibrate
from models.certainty import bet, calibration_error, least_pictures, temperature
from models.choices import Rule
from models.exits import ExitRule
from models.tasks import Prediction

RULES: tuple[Rule, ...] = ("entropy", "normalised-entropy", "top-probability", "margin")


def _network(pictures: int, seed: int, skills: tuple[float, ...] = (2.0, 3.0, 4.0), overrated: float = 1.7) -> Answers:
    """A made-up network with two exits over pictures of different difficulty; logits `overrated` times too large."""
    rng = np.random.default_rng(seed)
    truth, hard = rng.integers(0, 5, pictures), rng.gamma(2, 1, pictures)
    places = []
    for name, skill, madds in zip(("exit1", "exit2", "end"), skills, (20, 50, 100), strict=True):
        logits = rng.normal(0, 1, (pictures, 5)) * hard[:, None]
        logits[np.arange(pictures), truth] += skill * 1.5
        powers = np.exp((logits - logits.max(axis=1, keepdims=True)) * overrated)
        scores = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
        places.append(Place(name, {"kind": scores}, madds))
    return Answers(tuple(places[:2]), places[2], {"kind": truth})


@pytest.mark.parametrize("rule", RULES)
def test_an_outcome_is_what_the_exit_rule_decides(rule: Rule) -> None:
    """Vectorised over pictures, thresholds do exactly what the device's own rule does picture by picture."""
    answers = _network(200, 0)
    limits = {"entropy": 0.6, "normalised-entropy": 0.4, "top-probability": 0.8, "margin": 0.6}
    thresholds = {"exit1": {"kind": limits[rule]}, "exit2": {"kind": limits[rule] * 0.9}}
    found = outcome(answers, thresholds, rule)
    for number in range(200):
        leaves = 2
        for place, exit_ in reversed(list(enumerate(answers.exits))):
            scores = [float(s) for s in exit_.scores["kind"][number]]
            said = Prediction("kind", "some", None, max(scores), scores)
            if ExitRule(rule, thresholds[exit_.name]).decide([said]) == "leave":
                leaves = place
        assert found.left[number] == leaves
    assert sum(found.shares) == pytest.approx(1.0)
    assert found.madds == pytest.approx(np.dot(found.shares, (20, 50, 100)))
    ends = answers.final.scores["kind"].argmax(axis=1) == answers.truth["kind"]
    assert found.loss["kind"] == pytest.approx(ends.mean() - found.accuracy["kind"])


def test_all_tasks_of_an_exit_must_be_sure() -> None:
    """A picture leaves only where each task is; a task without threshold keeps everybody."""
    sure, torn = [0.99, 0.01], [0.5, 0.5]
    first = Place("exit1", {"a": np.array([sure, sure, torn]), "b": np.array([sure, torn, sure])}, 1)
    last = Place("end", {task: np.array([sure] * 3) for task in "ab"}, 2)
    answers = Answers((first,), last, {task: np.zeros(3, int) for task in "ab"})
    assert outcome(answers, {"exit1": {"a": 0.9, "b": 0.9}}, "top-probability").left.tolist() == [0, 1, 1]
    assert outcome(answers, {"exit1": {"a": 0.9}}, "top-probability").left.tolist() == [1, 1, 1]


def test_a_regression_rides_along() -> None:
    """The error of a value is that of the place where the picture left; unknown truths are left out."""
    first = Place("exit1", {"a": np.array([[0.9, 0.1], [0.5, 0.5]])}, 1, {"age": np.array([10.0, 10.0])})
    last = Place("end", {"a": np.array([[0.9, 0.1], [0.9, 0.1]])}, 2, {"age": np.array([20.0, 20.0])})
    answers = Answers((first,), last, {"a": np.zeros(2, int)}, {"age": np.array([12.0, 27.0])})
    assert outcome(answers, {"exit1": {"a": 0.8}}, "margin").error == {"age": pytest.approx((2 + 7) / 2)}


def test_nothing_but_the_bound_is_promised_and_it_is_kept() -> None:
    """Over many calibrations the true loss is over the bound in at most the stated share, on fresh pictures."""
    fresh = _network(60_000, 999)
    broken, found = 0, 0
    for seed in range(40):
        result = calibrate(_network(1500, seed), "entropy", max_loss=0.02, confidence=0.9, seed=seed)
        if result.is_found:
            found += 1
            true = outcome(fresh.tempered(result.temperatures), result.chosen.thresholds, "entropy")
            broken += true.loss["kind"] > 0.02
    assert found >= 20
    assert broken <= 0.1 * 40


def test_more_certainty_costs_early_exits() -> None:
    """The sample mean alone lets most leave, certainty of 95 % fewer; all stay within the bound on these pictures."""
    answers = _network(3000, 1)
    early = []
    for confidence in (0.0, 0.5, 0.95):
        result = calibrate(answers, "normalised-entropy", max_loss=0.02, confidence=confidence)
        assert result.chosen.outcome.loss["kind"] <= 0.03
        early.append(result.chosen.outcome.early)
    assert early[0] >= early[1] >= early[2] > 0.2


def test_a_few_pictures_certify_nothing() -> None:
    """With fewer pictures than the statement takes nobody leaves, and the curve is still there to look at."""
    result = calibrate(_network(60, 2), "entropy", max_loss=0.005, confidence=0.95)
    assert not result.is_found
    assert result.chosen.outcome.early == 0.0
    assert len(result.curve) > 20
    assert least_pictures(0.005, 0.95) > 60
    assert least_pictures(0.005, 0.0) == 1


def test_the_curve_goes_from_nobody_to_everybody() -> None:
    """The first point lets nobody leave, the last everybody; expected multiply-adds only fall."""
    curve = calibrate(_network(900, 3), "margin", max_loss=0.01, confidence=0.9).curve
    assert curve[0].outcome.early == 0.0
    assert curve[-1].outcome.early == 1.0
    costs = [point.outcome.madds for point in curve]
    assert all(then <= now for now, then in pairwise(costs))
    assert all(limit >= 0 for point in curve for limits in point.thresholds.values() for limit in limits.values())


def test_a_bet_is_honest_and_grows_with_evidence() -> None:
    """At the bound itself p is rarely small; far below it p falls with the number of pictures; over it stays large."""
    rng = np.random.default_rng(0)
    at_bound = [bet(np.where(rng.random(400) < 0.05, 1.0, 0.0), 0.05) for _ in range(300)]
    assert np.mean(np.array(at_bound) <= 0.1) <= 0.1
    assert bet(np.zeros(2000), 0.01) < bet(np.zeros(500), 0.01) < 0.05
    assert bet(np.where(rng.random(1000) < 0.1, 1.0, 0.0), 0.01) > 0.5
    assert bet(np.zeros(0), 0.01) == 1.0
    count = least_pictures(0.01, 0.95)
    assert bet(np.zeros(count), 0.01) > bet(np.zeros(2 * count), 0.01)


def test_temperature_undoes_overconfidence() -> None:
    """Logits that are 1.7 times too large get a temperature near what fits, and the calibration error falls."""
    answers = _network(6000, 4, overrated=3.0)
    scores, truth = answers.final.scores["kind"], answers.truth["kind"]
    found = answers.tempered(answers.temperatures()).final.scores["kind"]
    assert temperature(scores, truth) > 1.5
    assert calibration_error(found, truth) < calibration_error(scores, truth) / 2
    assert temperature(scores, np.full(6000, -1)) == 1.0


def test_the_calibration_error_is_the_gap_between_saying_and_being_right() -> None:
    """Confidence 0.9 and right in half the cases is an error of 0.4; right in nine of ten, none."""
    scores = np.tile([0.9, 0.1], (100, 1))
    assert calibration_error(scores, np.array([0, 1] * 50)) == pytest.approx(0.4)
    assert calibration_error(scores, np.array([0] * 90 + [1] * 10)) == pytest.approx(0.0, abs=1e-12)
    assert calibration_error(scores, np.full(100, -1)) == 0.0
    assert math.isfinite(calibration_error(np.tile([1.0, 0.0], (3, 1)), np.zeros(3, int)))


def test_answers_that_share_a_value_leave_together() -> None:
    """An int8 file is equally sure of most pictures: the first step lets all of these leave, not none."""
    sure, torn = [1.0, 0.0], [0.6, 0.4]
    first = Place("exit1", {"kind": np.array([sure] * 900 + [torn] * 300, np.float32)}, 1)
    last = Place("end", {"kind": np.array([sure] * 1200, np.float32)}, 4)
    answers = Answers((first,), last, {"kind": np.array([0] * 900 + [0, 1] * 150)})
    for rule in RULES:
        result = calibrate(answers, rule, max_loss=0.01, confidence=0.95)
        assert result.is_found
        assert result.chosen.outcome.shares[0] in {0.75, 1.0}
