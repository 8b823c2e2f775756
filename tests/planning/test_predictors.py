"""Three predictors behind one interface, and what ways become by them."""

from dataclasses import replace

import pytest

from models.operators import OperatorWork
from planning.operator_times import OperatorTimes, Rate
from planning.power_law import Bounds, LinearPredictor, PowerLaw
from planning.predictors import ByLayer, ByOperator, Measured, Predictor, by_layer, predicted
from planning.ways import Conditions, ExitChance, Way, journey

AT = Conditions(1e6, 0.0, device_slowdown=2.0, worker_slowdown=3.0)
WAYS = [
    Way("image", "png", 0, 0.0, 500, payload_bytes=9000, tail_s=0.030),
    Way("conv", "float32", 1, 0.006, 500, payload_bytes=4000, tail_s=0.012),
    Way("pool", "float32", 2, 0.009, 500, payload_bytes=1000, tail_s=0.006, exits=(ExitChance("exit1", 0.5, 0.003),)),
    Way("device", "none", 3, 0.015, 500, finishes=True),
]
CONV = OperatorWork("CONV_2D float32", 10**6, 10**4)
TIMES = OperatorTimes({CONV.kind: Rate(1e-9, 1e-8)}, Rate(0.0, 0.0), operator_s=1e-4, run_s=2e-4)


@pytest.mark.parametrize(
    "predictor",
    [
        Measured(WAYS),
        by_layer(0.015, 0.030, range(4)),
        ByLayer(LinearPredictor(PowerLaw(0.6, -2.0), Bounds(0.005, 0.02), 3, 0.03), range(4), 1.5),
        ByOperator(TIMES, [[], [CONV], [CONV] * 2, [CONV] * 3], [[CONV] * 3, [CONV] * 2, [CONV], []]),
    ],
    ids=["profile", "linear", "law", "operators"],
)
def test_each_says_heads_that_grow_and_tails_that_shrink(predictor: Predictor) -> None:
    """Nothing before the picture, nothing behind the device; the journey is then what the predictor says."""
    heads, tails = [[one(place, AT) for place in range(4)] for one in (predictor.head_s, predictor.tail_s)]
    assert heads[0] == tails[3] == 0
    assert heads == sorted(heads)
    assert tails == sorted(tails, reverse=True)
    plain = [replace(way, exits=()) for way in WAYS]
    for way, head_s, tail_s in zip(predicted(plain, predictor, AT), heads, tails, strict=True):
        assert journey(way, AT).head_s == pytest.approx(head_s)
        assert journey(way, AT).tail_s == pytest.approx(tail_s)
        assert way.payload_bytes == WAYS[way.place].payload_bytes


def test_a_slower_machine_takes_longer() -> None:
    """The measured profile is scaled by what slows device and worker today."""
    assert Measured(WAYS).head_s(1, AT) == pytest.approx(0.012)
    assert Measured(WAYS).tail_s(1, AT) == pytest.approx(0.036)


def test_one_clock_makes_a_line() -> None:
    """Measured at one clock, each layer takes its share of the whole, and half the clock twice as long."""
    line = by_layer(0.015, 0.030, [0, 5, 15])
    assert line.head_s(1, replace(AT, device_slowdown=1.0)) == pytest.approx(0.005)
    assert line.head_s(1, AT) == pytest.approx(0.010)
    assert line.tail_s(1, replace(AT, worker_slowdown=1.0)) == pytest.approx(0.020)


def test_operators_add_up() -> None:
    """A run, each operator, its multiply-adds and its bytes."""
    found = ByOperator(TIMES, [[], [CONV, CONV]], [[], []])
    assert found.head_s(1, replace(AT, device_slowdown=1.0)) == pytest.approx(2e-4 + 2 * (1e-4 + 1e-3 + 1e-4))


def test_an_exit_keeps_its_share_of_the_head() -> None:
    """Whoever leaves a third of the way leaves there, however long the head is thought to be."""
    way = predicted(WAYS, by_layer(0.03, 0.03, range(4)), AT)[2]
    assert way.head_s == pytest.approx(0.020)
    assert way.exits[0].after_s == pytest.approx(0.020 / 3)
    assert predicted(WAYS, Measured(WAYS), AT) == [
        replace(way, head_s=pytest.approx(way.head_s), tail_s=pytest.approx(way.tail_s)) for way in WAYS
    ]
