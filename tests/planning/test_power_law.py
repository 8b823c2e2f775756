"""The document's predictor: linear in the layer, a power of the clock."""

import pytest

from planning.errors import PlanError
from planning.power_law import Bounds, LinearPredictor, PowerLaw, bounds_of, fit_power_law


def test_a_law_is_found_again() -> None:
    """From points on a curve its factor and its power follow."""
    clocks = [0.6, 0.8, 1.0, 1.2, 1.5]
    found = fit_power_law(clocks, [0.31 * clock**-2.2 for clock in clocks])
    assert found.a == pytest.approx(0.31, rel=1e-6)
    assert found.b == pytest.approx(-2.2, abs=1e-6)


def test_a_law_is_nearest_to_points_that_lie_on_none() -> None:
    """No other power and factor nearby is closer; normalised slopes end at 0, which no power law reaches."""
    clocks, slopes = [0.6, 0.9, 1.2, 1.5], [1.0, 0.4, 0.15, 0.0]

    def distance(law: PowerLaw) -> float:
        return sum((law.slope(clock) - slope) ** 2 for clock, slope in zip(clocks, slopes, strict=True))

    found = fit_power_law(clocks, slopes)
    for a, b in ((1.01, 1), (0.99, 1), (1, 1.01), (1, 0.99)):
        assert distance(PowerLaw(found.a * a, found.b * b)) > distance(found)


def test_two_measurements_make_the_bounds() -> None:
    """What is normalised with them comes back; outside of them it goes on straight."""
    bounds = bounds_of([0.010, 0.025, 0.012])
    assert bounds == Bounds(0.010, 0.025)
    assert bounds.denormalised(bounds.normalised(0.018)) == pytest.approx(0.018)
    assert bounds.normalised(0.040) == pytest.approx(2.0)


def test_times_are_linear_in_the_layer() -> None:
    """Nothing before the first layer, the whole after the last; the worker's the other way round."""
    predictor = LinearPredictor(PowerLaw(0.5, -1.0), Bounds(0.010, 0.020), 20, 0.4)
    assert predictor.device_s(0, 1.0) == 0
    assert predictor.device_s(20, 1.0) == pytest.approx(20 * 0.015)
    assert predictor.device_s(10, 0.5) == pytest.approx(10 * 0.020)
    assert [predictor.worker_s(layer) for layer in (0, 10, 20)] == pytest.approx([0.4, 0.2, 0.0])


@pytest.mark.parametrize(("clocks", "slopes"), [([1.5], [0.0]), ([1.5, 1.5], [0.0, 1.0]), ([0.0, 1.5], [1.0, 0.0])])
def test_too_little_to_fit_is_one_line(clocks: list[float], slopes: list[float]) -> None:
    """One clock, the same twice, or none at all tell no power."""
    with pytest.raises(PlanError, match="expected two different"):
        fit_power_law(clocks, slopes)
    with pytest.raises(PlanError, match="measure at two clocks"):
        bounds_of([0.1, 0.1])
