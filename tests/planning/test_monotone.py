"""Measured times made to rise."""

from itertools import pairwise, product

import numpy as np
import pytest

from planning.monotone import falling, rising


def test_what_rises_stays() -> None:
    """Values in order are left alone, in both directions."""
    assert rising([1.0, 2.0, 2.0, 5.0]) == [1.0, 2.0, 2.0, 5.0]
    assert falling([5.0, 2.0, 2.0, 1.0]) == [5.0, 2.0, 2.0, 1.0]
    assert rising([]) == []


def test_one_disturbed_run_lifts_no_other_far() -> None:
    """A time three times too long in the midst of a network: those behind it stay near what was measured."""
    clean = [10.0 * place for place in range(1, 13)]
    disturbed = [*clean[:5], 180.0, *clean[6:]]
    found = rising(disturbed)
    assert found == sorted(found)
    assert found[:5] == clean[:5]
    assert found[11] < 1.1 * clean[11]
    assert max(abs(one - other) for one, other in zip(found, clean, strict=True)) <= 40
    assert falling(disturbed[::-1]) == found[::-1]


@pytest.mark.parametrize("seed", range(5))
def test_no_other_order_is_nearer(seed: int) -> None:
    """Of all rising sequences over the values themselves none has a smaller absolute distance."""
    values = list(np.random.default_rng(seed).integers(0, 9, 5).astype(float))
    found = rising(values)
    others = (one for one in product(values, repeat=5) if all(a <= b for a, b in pairwise(one)))
    least = min(sum(abs(a - b) for a, b in zip(one, values, strict=True)) for one in others)
    assert sum(abs(a - b) for a, b in zip(found, values, strict=True)) == pytest.approx(least)
