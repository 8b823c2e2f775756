"""Latency by operator type: known rates are found again, and nothing is below 0."""

import numpy as np
import pytest

from models.operators import OperatorWork
from planning.errors import PlanError
from planning.operator_times import fit_operator_times, non_negative_least_squares

CONV, POOL = "CONV_2D float32", "MAX_POOL_2D float32"
RATES = {CONV: (2e-11, 1e-10), POOL: (0.0, 4e-10)}


def part(random: np.random.Generator, operators: int) -> tuple[list[OperatorWork], float]:
    """Return a part with operators of random size, and what it takes by RATES, 3 us a run and 1 us an operator."""
    works = [
        OperatorWork(kind, int(random.integers(1, 10**9)) if kind == CONV else 0, int(random.integers(1, 10**7)))
        for kind in random.choice([CONV, POOL], operators)
    ]
    rates = [RATES[work.kind] for work in works]
    seconds = sum(w.madds * rate[0] + w.bytes * rate[1] for w, rate in zip(works, rates, strict=True))
    return works, 3e-6 + operators * 1e-6 + seconds


def test_rates_are_found_again() -> None:
    """From parts that follow rates exactly, small and large, these rates follow."""
    random = np.random.default_rng(1)
    found = fit_operator_times([part(random, 1 + place % 9) for place in range(60)])
    for kind, (madd_s, byte_s) in RATES.items():
        assert found.rates[kind].byte_s == pytest.approx(byte_s, rel=1e-4)
        assert found.rates[kind].madd_s == pytest.approx(madd_s, rel=1e-4)
    works, seconds = part(random, 20)
    assert found.seconds(works) == pytest.approx(seconds, rel=1e-6)


def test_noise_makes_no_rate_negative() -> None:
    """However wrong the times, more operators never take less."""
    random = np.random.default_rng(2)
    rows = [(works, seconds * random.uniform(0.2, 5)) for works, seconds in (part(random, 4) for _ in range(12))]
    found = fit_operator_times(rows)
    assert min(found.run_s, found.operator_s, *(min(r.madd_s, r.byte_s) for r in found.rates.values())) >= 0
    works, _ = part(random, 12)
    times = [found.seconds(works[:count]) for count in range(len(works) + 1)]
    assert times == sorted(times)
    assert times[0] == 0


def test_an_unknown_type_is_taken_for_the_mean_of_all() -> None:
    """An operator that nobody measured takes something in proportion to what it does."""
    random = np.random.default_rng(3)
    found = fit_operator_times([part(random, 5) for _ in range(20)])
    small, large = (found.seconds([OperatorWork("NEW float32", 0, size)]) for size in (1000, 100_000_000))
    assert 0 < small < large


def test_nothing_measured_is_said() -> None:
    """No part, or one that took no time, is one clear line."""
    with pytest.raises(PlanError, match="got 0 measured parts"):
        fit_operator_times([])
    with pytest.raises(PlanError, match="times over 0"):
        fit_operator_times([([OperatorWork(CONV, 1, 1)], 0.0)])


def test_least_squares_stay_at_zero_or_over() -> None:
    """Where the free solution is negative, the best one on the border is found; compared with a fine grid."""
    table = np.array([[1.0, 1.0], [1.0, 2.0], [1.0, 3.0]])
    assert non_negative_least_squares(table, np.array([3.0, 2.0, 1.0])) == pytest.approx([2.0, 0.0])
    assert non_negative_least_squares(table, np.array([3.0, 5.0, 7.0])) == pytest.approx([1.0, 2.0])
    assert non_negative_least_squares(table, np.array([-1.0, -1.0, -1.0])) == pytest.approx([0.0, 0.0])
    random = np.random.default_rng(4)
    for _ in range(50):
        table, wanted = random.normal(size=(12, 6)), random.normal(size=12)
        found = non_negative_least_squares(table, wanted)
        pull = table.T @ (wanted - table @ found)  # Karush, Kuhn and Tucker: 0 where in use, not over 0 elsewhere
        assert found.min() >= 0
        assert np.abs(pull[found > 0]).max(initial=0) < 1e-9
        assert pull.max() < 1e-8
