"""Settings, choices and trade, from figures alone."""

from dataclasses import replace

import pytest

from evaluation.regret import (
    CLOCKS_GHZ,
    Guess,
    Ran,
    Setting,
    Tried,
    draw_settings,
    fit_law,
    guess,
    predictors,
    slowdown,
    summary,
)  # fmt: skip
from evaluation.regret_report import summaries, summary_rows, trade_lines, trade_rows
from evaluation.regret_run import expected_s
from evaluation.regret_trade import Point, beaten, trade
from models.operators import OperatorWork
from planning.decide import Rates
from planning.errors import PlanError
from planning.operator_times import OperatorTimes, Rate
from planning.predictors import PREDICTORS
from planning.ways import Conditions, Way

RATES = Rates(device_per_s=2.0, worker_per_s=1.0)
WAYS = [
    Way("image", "png", 0, 0.0, 500, payload_bytes=90_000, tail_s=0.030),
    Way("conv", "native", 1, 0.006, 500, payload_bytes=400_000, tail_s=0.024),
    Way("pool", "native", 2, 0.020, 500, payload_bytes=1_000, tail_s=0.010),
    Way("device", "none", 3, 0.030, 500, finishes=True),
]
WHOLES_S = [0.3 * 1.5 / clock for clock in CLOCKS_GHZ]
TRIED = Tried("alexnet", WAYS, [0, 2, 13, 19], WHOLES_S)
SETTINGS = [Setting(1, 8e6, 1.5), Setting(2, 4e6, 0.75)]
SHARE = 0.1


def ran(setting: Setting) -> list[Ran]:
    """Return what a perfect bench measures of WAYS: no round trip, a device as slow as its clock says."""
    slow = slowdown(setting, SHARE)
    sizes = [int(way.payload_bytes or way.finished_bytes) for way in WAYS]
    trips = [size * 8 / setting.bandwidth_bits_per_s + way.tail_s for size, way in zip(sizes, WAYS, strict=True)]
    return [
        Ran(
            "alexnet", setting.number, way.split, way.place, size, 0.0, way.head_s * slow, 0.0, trip, 0.0, way.tail_s, 3
        )
        for way, size, trip in zip(WAYS, sizes, trips, strict=True)
    ]


def guesses() -> list[Guess]:
    """Return what the three say of a perfect bench; the one by operators knows twice the true rates."""
    work = OperatorWork("CONV_2D float32", 10**6, 0)
    heads, tails = [[work] * count for count in (0, 6, 20, 30)], [[work] * count for count in (30, 24, 10, 0)]
    times = OperatorTimes({work.kind: Rate(2e-9, 0.0)}, Rate(0.0, 0.0), 0.0, 0.0)
    known = predictors(TRIED, fit_law([TRIED]), SHARE, times, heads, tails)
    return [
        guess(TRIED, name, known[name], setting.number, conditions(setting), ran(setting), RATES)
        for setting in SETTINGS
        for name in PREDICTORS
    ]


def conditions(setting: Setting) -> Conditions:
    """Return what holds in a setting of a perfect bench."""
    return Conditions(setting.bandwidth_bits_per_s, 0.0, slowdown(setting, SHARE))


def test_settings_follow_from_the_seed() -> None:
    """The same seed draws the same, another one others; all lie where the document's do."""
    drawn = draw_settings(15, 1)
    assert drawn == draw_settings(15, 1) != draw_settings(15, 2)
    assert [one.number for one in drawn] == list(range(1, 16))
    assert all(0.6 <= one.clock_ghz <= 1.5 and one.bandwidth_bits_per_s >= 1e6 for one in drawn)
    many = [one.bandwidth_bits_per_s / 1e6 for seed in range(200) for one in draw_settings(30, seed)]
    assert sum(many) / len(many) == pytest.approx(7.2, rel=0.02)
    with pytest.raises(PlanError, match="expected 1 to 30"):
        draw_settings(31, 1)


def test_what_is_measured_is_what_the_profile_says() -> None:
    """On a bench that does as the model says, the profile errs in nothing and regrets nothing; the line does."""
    found = guesses()
    perfect = [one for one in found if one.predictor == "profile"]
    assert [one.regret for one in perfect] == [0.0, 0.0]
    assert [one.rank for one in perfect] == [1, 1]
    assert [one.head_error for one in perfect] == pytest.approx([0.0, 0.0])
    for one in perfect:
        assert one.latency_s == pytest.approx([way.total_s for way in one.ran])
        assert one.cost == pytest.approx([way.cost(RATES) for way in one.ran])
    doubled = [one for one in found if one.predictor == "operators"]
    assert [one.head_error for one in doubled] == pytest.approx([1.0, 1.0])
    assert all(one.head_error > 0.05 for one in found if one.predictor == "linear")


def test_regret_and_rank_go_by_what_was_measured() -> None:
    """A choice that is third of four: its share of the way from best to worst, and in the top 3 but not the top 1."""
    rows = [replace(row, trip_s=trip_s, head_s=0.0) for row, trip_s in zip(ran(SETTINGS[0]), (3, 1, 2, 5), strict=True)]
    one = Guess("alexnet", 1, "linear", rows, [0.1, 0.4, 0.3, 0.2], [0.0] * 4, [0.0] * 4)
    assert one.fastest == 0
    assert one.regret == pytest.approx((3 - 1) / (5 - 1))
    assert one.rank == 3
    found = summary([replace(one, heads_s=[row.head_s for row in rows], ran=ran(SETTINGS[0]), latency_s=[1, 0, 2, 3])])
    assert found.worst_regret == found.mean_regret == 1.0  # the largest activation
    assert found.top == {1: 0.0, 3: 0.0, 5: 1.0}


def test_the_documents_predictor_uses_two_measurements() -> None:
    """At the lowest clock its whole network is near what was measured, and in the layer it is linear."""
    line = next(one for one in guesses() if one.predictor == "linear")
    assert line.heads_s[1] / line.heads_s[3] == pytest.approx(2 / 19)
    known = predictors(TRIED, fit_law([TRIED]), SHARE, OperatorTimes({}, Rate(0, 0), 0, 0), [], [])["linear"]
    slowest = conditions(Setting(1, 8e6, CLOCKS_GHZ[0]))
    assert known.head_s(3, slowest) == pytest.approx(WHOLES_S[0], rel=0.02)
    assert known.tail_s(0, slowest) == pytest.approx(WAYS[0].tail_s)


def test_tables_say_what_was_found() -> None:
    """A row for each network and predictor; the document's figure stands beside its own predictor."""
    rows = summary_rows(summaries(guesses()))
    assert [row["predictor"] for row in rows] == ["measured profile", "papers/001", "by operator"]
    assert [row["document's regret %"] for row in rows] == ["", "20.91", ""]
    assert rows[0]["mean regret %"] == "0.00"
    assert rows[0]["top 1 %"] == "100"


def test_the_trade_goes_from_fast_to_cheap() -> None:
    """With a perfect predictor weight 0 is the fastest, weight 1 the cheapest, and no choice of the other beats it."""
    points = trade(guesses(), RATES)
    ours = [one for one in points if one.chooser == "ours"]
    assert (ours[0].latency, ours[0].cost) == (1.0, 1.0)
    assert ours[-1].cost == min(one.cost for one in points)
    assert not any(one.chooser == "ours" for one, _ in beaten(points))
    assert len(trade_rows(points)) == 22
    (line,) = trade_lines(points)
    assert "printed: cost -60.84 %, latency +25.92 %" in line
    assert "ours is never beaten" in line


def test_one_point_beats_another() -> None:
    """No worse in both and better in one; of the same network, and of the other way to choose."""
    a, b = Point("n", "ours", 0.5, 1.2, 0.5), Point("n", "document", 0.5, 1.2, 0.4)
    assert b.beats(a)
    assert not a.beats(b)
    assert not a.beats(replace(a, weight=0.1))
    assert beaten([a, b]) == [(a, b)]
    assert beaten([a, replace(b, net="other"), replace(b, chooser="ours")]) == []


def test_the_time_it_takes_is_known_before() -> None:
    """Slow settings take longer, what travels long travels once, and nothing missing takes no time."""
    fast, slow = (expected_s(TRIED, [[setting]] * 4, 3, SHARE) for setting in SETTINGS)
    assert fast < slow
    assert expected_s(TRIED, [[]] * 4, 3, SHARE) == 0
    assert expected_s(TRIED, [[], [Setting(1, 1e5, 1.5)], [], []], 3, SHARE) == pytest.approx(3 * 1.0 + 32)
