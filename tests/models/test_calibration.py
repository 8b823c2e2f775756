"""Thresholds of exits chosen for an allowed loss, and the figures behind them."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from models.answers import Answers, Place, Thresholds, outcome
from models.calibration import Calibration, calibrate
from models.certainty import bet, calibration_error, least_pictures, temperature
from models.choices import Rule
from models.exits import ExitRule
from models.tasks import Prediction

RULES: tuple[Rule, ...] = ("entropy", "normalised-entropy", "top-probability", "margin")
TWO = ("calm", "lossy")


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


def _said(right: np.ndarray, truth: np.ndarray, sure: np.ndarray) -> np.ndarray:
    """Return (n, 2) scores of answers that are right or not, and so sure of themselves."""
    first = np.where(np.where(right, truth, 1 - truth) == 0, sure, 1 - sure)
    return np.stack([first, 1 - first], axis=1).astype(np.float32)


def _one_task_loses(pictures: int, seed: int) -> Answers:
    """Of two tasks the exit answers `calm` as the end does, `lossy` the worse the less sure it is; the end is right."""
    rng = np.random.default_rng(seed)
    truth, sure = rng.integers(0, 2, (2, pictures)), rng.uniform(0.5, 1.0, (2, pictures))
    always, often = np.ones(pictures, bool), rng.random(pictures) < 1 - (1 - sure[1]) / 4
    ends = {name: _said(always, true, np.full(pictures, 0.9)) for name, true in zip(TWO, truth, strict=True)}
    exits = {"calm": _said(always, truth[0], sure[0]), "lossy": _said(often, truth[1], sure[1])}
    return Answers((Place("exit1", exits, 20),), Place("end", ends, 100), dict(zip(TWO, truth, strict=True)))


def _second_is_better_than_the_end(pictures: int, seed: int) -> Answers:
    """Exit 1 loses some of those that it is sure of, exit 2 wins more than these of what the end gets wrong."""
    rng = np.random.default_rng(seed)
    truth, easy = rng.integers(0, 2, pictures), rng.random(pictures) < 0.4
    middling, unsure = ~easy & (rng.random(pictures) < 0.6), rng.uniform(0.5, 0.8, pictures)
    sure = rng.uniform(0.9, 0.99, pictures)
    end = easy | (rng.random(pictures) < 0.85)
    first = rng.random(pictures) < np.where(easy, 0.97, 0.6)
    second = np.where(middling, rng.random(pictures) < 0.93, end)
    exits = (
        Place("exit1", {"kind": _said(first, truth, np.where(easy, sure, unsure))}, 20),
        Place("exit2", {"kind": _said(second, truth, np.where(easy | middling, sure, unsure))}, 50),
    )
    return Answers(exits, Place("end", {"kind": _said(end, truth, np.full(pictures, 0.95))}, 100), {"kind": truth})


def _p_values(result: Calibration, answers: Answers, thresholds: Thresholds, max_loss: float) -> list[float]:
    """Return how likely so good a test would be if a task lost more than allowed, task by task."""
    found = outcome(answers.tempered(result.temperatures).rows(result.held), thresholds, result.rule)
    return [bet(found.losses[task], max_loss) for task in answers.truth]


@pytest.mark.parametrize("seed", range(2))
def test_the_bound_holds_for_every_task(seed: int) -> None:
    """Of two tasks one loses nothing and the other does: it is the other that decides who may leave."""
    answers, fresh = _one_task_loses(3000, seed), _one_task_loses(60_000, 99)
    result = calibrate(answers, "top-probability", max_loss=0.02, confidence=0.95, seed=seed)
    chosen = result.chosen
    assert chosen.outcome.early > 0.1
    assert chosen.p_value == max(_p_values(result, answers, chosen.thresholds, 0.02)) <= 0.05
    assert outcome(fresh.tempered(result.temperatures), chosen.thresholds, result.rule).loss["lossy"] <= 0.02
    everybody = outcome(fresh, {"exit1": dict.fromkeys(TWO, 0.0)}, result.rule)
    assert everybody.loss["calm"] == 0.0 < 0.02 < everybody.loss["lossy"]


@pytest.mark.parametrize("seed", range(2))
def test_the_bound_holds_at_a_split_between_two_exits(seed: int) -> None:
    """An exit that is better than the end does not pay for what an exit before it loses: a split may be between."""
    answers, fresh = _second_is_better_than_the_end(6000, seed), _second_is_better_than_the_end(60_000, 99)
    result = calibrate(answers, "entropy", max_loss=0.005, confidence=0.95, seed=seed)
    assert result.is_found
    first = {name: limits for name, limits in result.chosen.thresholds.items() if name == "exit1"}
    for thresholds in (first, result.chosen.thresholds):
        assert max(_p_values(result, answers, thresholds, 0.005)) <= result.chosen.p_value <= 0.05
        assert outcome(fresh.tempered(result.temperatures), thresholds, "entropy").loss["kind"] <= 0.005


def _with_branches(answers: Answers, *branches: int) -> Answers:
    exits = tuple(replace(place, branch=branch) for place, branch in zip(answers.exits, branches, strict=True))
    return replace(answers, exits=exits)


def test_an_exit_that_costs_more_than_it_saves_stays_closed() -> None:
    """Where one in ten leaves, a branch of 15 that all pay is not worth the 80 that these save; a free one is."""
    truth, rng, exits = np.zeros(3000, int), np.random.default_rng(0), []
    for name, worst, madds in (("exit1", 0.9, 20), ("exit2", 0.4, 50)):
        sure = rng.permutation(3000) / 3000
        exits.append(Place(name, {"kind": _said(sure > worst, truth, 0.5 + 0.49 * sure)}, madds))
    end = Place("end", {"kind": _said(np.ones(3000, bool), truth, np.full(3000, 0.9))}, 100)
    answers = Answers(tuple(exits), end, {"kind": truth})
    chosen = [
        calibrate(_with_branches(answers, branch, 5), "margin", max_loss=0.01, confidence=0.95).chosen
        for branch in (0, 15)
    ]
    assert [list(one.thresholds) for one in chosen] == [["exit1", "exit2"], ["exit2"]]
    assert 0.5 < chosen[1].outcome.early < 0.62
    assert chosen[1].outcome.madds == pytest.approx(np.dot(chosen[1].outcome.shares, (20, 50, 105)))


def test_a_closed_exit_costs_nothing() -> None:
    """Who goes on pays for the branches of the open exits that he passed, and for no other."""
    scores = {"kind": _said(np.ones(3, bool), np.zeros(3, int), np.array([0.9, 0.8, 0.6]))}
    exits = (Place("exit1", scores, 20), Place("exit2", scores, 50))
    answers = _with_branches(Answers(exits, Place("end", scores, 100), {"kind": np.zeros(3, int)}), 15, 5)

    def madds(**limits: float) -> float:
        thresholds = {name: {"kind": limit} for name, limit in limits.items()}
        return outcome(answers, thresholds, "top-probability").madds

    assert madds() == 100
    assert outcome(answers, {"exit1": {}}, "top-probability").madds == 100
    assert madds(exit2=0.7) == pytest.approx((50 + 50 + 105) / 3)
    assert madds(exit1=0.85) == pytest.approx((20 + 115 + 115) / 3)
    assert madds(exit1=0.85, exit2=0.7) == pytest.approx((20 + 65 + 120) / 3)


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
