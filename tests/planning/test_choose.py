"""Choosing among candidates by latency and cost."""

import itertools
import random

import pytest

from planning.choose import (
    cheapest_first,
    fastest_first,
    pareto_front,
    rank_match,
    regret,
    weighted_best,
)
from planning.errors import PlanError

LATENCY = [5.0, 1.0, 3.0, 2.0, 4.0]
COST = [1.0, 5.0, 2.0, 4.0, 3.0]


def test_the_rankings_break_ties_by_the_other_one() -> None:
    """Equally fast ones stand by cost, equally cheap ones by latency, and the rest in their own order."""
    assert fastest_first([2, 1, 1, 1], [0, 5, 4, 4]) == [2, 3, 1, 0]
    assert cheapest_first([5, 4, 4, 9], [1, 1, 1, 0]) == [3, 1, 2, 0]


@pytest.mark.parametrize(("weight", "expected"), [(0.0, 1), (1.0, 0), (0.5, 2)])
def test_the_rank_match_goes_from_the_fastest_to_the_cheapest(weight: float, expected: int) -> None:
    """Weight 0 gives the fastest, 1 the cheapest, 0.5 the first that is in both rankings' beginnings."""
    assert rank_match(LATENCY, COST, weight) == expected


def test_the_window_over_the_fastest_leads_where_cost_weighs_more() -> None:
    """With 20 layers and 0.55 it is two layers ahead, as in Luger 2023, figure 4.4; with 0.45 the other one is."""
    latency = [float(n) for n in range(20)]
    cheap = [12, 3, 1, *[n for n in range(20) if n not in {12, 3, 1}]]
    cost = [float(cheap.index(layer)) for layer in range(20)]
    assert rank_match(latency, cost, 0.5) == 1  # step 3: 0, 1, 2 and 12, 3, 1
    assert rank_match(latency, cost, 0.55) == 3  # step 2: 0, 1, 2, 3 and 12, 3
    assert rank_match(latency, cost, 0.45) == 0  # step 2: 0, 1 and 12, 3, 1, 0: the faster of two


def test_a_weight_that_is_not_exact_in_binary_counts_whole_layers() -> None:
    """(0.6 - 0.5) · 2 · 20 is 3.9999… in floats and means four."""
    latency = [float(n) for n in range(20)]
    cost = [float((n - 4) % 20) for n in range(20)]
    assert rank_match(latency, cost, 0.6) == 4


@pytest.mark.parametrize("weight", [0.0, 0.2, 0.5, 0.8, 1.0])
def test_the_rank_match_is_what_its_words_say(weight: float) -> None:
    """Against a slow reading of the text, step by step, on a hundred drawn cases with ties."""
    draw = random.Random(1)
    for _ in range(100):
        size = draw.randint(1, 9)
        latency, cost = ([float(draw.randint(0, 4)) for _ in range(size)] for _ in range(2))
        fast, cheap = fastest_first(latency, cost), cheapest_first(latency, cost)
        ahead = round(size * (weight - 0.5) * 2)
        for step in range(size):
            windows = set(fast[: step + 1 + max(0, ahead)]) & set(cheap[: step + 1 + max(0, -ahead)])
            if windows:
                break
        order = cheap if weight >= 0.5 else fast
        assert rank_match(latency, cost, weight) == min(windows, key=order.index)


def test_the_weighted_best_is_the_least_sum() -> None:
    """Its ends are the fastest and the cheapest, and between them the sum of what is scaled to 0 … 1 decides."""
    assert weighted_best(LATENCY, COST, 0) == 1
    assert weighted_best(LATENCY, COST, 1) == 0
    assert weighted_best(LATENCY, COST, 0.5) == 2
    assert weighted_best([3.0, 3.0], [1.0, 1.0], 0.3) == 0


def test_what_is_chosen_is_on_the_pareto_front() -> None:
    """No candidate that another dominates is ever chosen, by either method."""
    draw = random.Random(2)
    for _ in range(200):
        size = draw.randint(1, 12)
        latency, cost = ([float(draw.randint(0, 6)) for _ in range(size)] for _ in range(2))
        front = pareto_front(latency, cost)
        for choose in (weighted_best, rank_match):
            best = choose(latency, cost, draw.random())
            assert (latency[best], cost[best]) in [(latency[place], cost[place]) for place in front]


def test_the_pareto_front_is_who_is_not_dominated() -> None:
    """Against the definition: no other is as good in both and better in one; equals are named once."""
    draw = random.Random(3)
    for _ in range(100):
        points = [(float(draw.randint(0, 5)), float(draw.randint(0, 5))) for _ in range(draw.randint(1, 10))]
        front = pareto_front(*zip(*points, strict=True))
        expected = {p for p in points if not any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in points)}
        assert [points[place] for place in front] == sorted(expected)


def test_regret_is_the_share_of_what_could_be_lost() -> None:
    """0 for the best, 1 for the worst, and 0 where all are the same."""
    assert regret([1.0, 2.0, 5.0], 0) == 0
    assert regret([1.0, 2.0, 5.0], 1) == 0.25
    assert regret([1.0, 2.0, 5.0], 2) == 1
    assert regret([2.0, 2.0], 1) == 0


@pytest.mark.parametrize(("latency", "cost", "weight"), [([], [], 0.5), ([1.0], [], 0.5), ([1.0], [1.0], 1.5)])
def test_what_cannot_be_chosen_among_is_one_line(latency: list[float], cost: list[float], weight: float) -> None:
    """No candidates, lists of unequal length, and a weight out of range are named."""
    for choose in (rank_match, weighted_best):
        with pytest.raises(PlanError, match="expected"):
            choose(latency, cost, weight)


def test_every_weight_gives_a_candidate() -> None:
    """Windows that go beyond the end of their ranking end with it."""
    for weight, size in itertools.product([0, 0.01, 0.49, 0.51, 0.99, 1], range(1, 6)):
        assert 0 <= rank_match([1.0] * size, [1.0] * size, weight) < size
