"""Choose among candidates by latency and cost: the documents' rank match, a weighted optimum, the Pareto front.

All take two sequences of equal length, seconds and money of candidate 0, 1, …, and answer with positions in them.
"""

from __future__ import annotations

from collections.abc import Sequence

from planning.errors import PlanError


def fastest_first(latency_s: Sequence[float], cost: Sequence[float]) -> list[int]:
    """Return the candidates by latency; equally fast ones by cost, then in their own order."""
    return sorted(range(len(latency_s)), key=lambda place: (latency_s[place], cost[place], place))


def cheapest_first(latency_s: Sequence[float], cost: Sequence[float]) -> list[int]:
    """Return the candidates by cost; equally cheap ones by latency, then in their own order."""
    return sorted(range(len(cost)), key=lambda place: (cost[place], latency_s[place], place))


def rank_match(latency_s: Sequence[float], cost: Sequence[float], weight: float) -> int:
    """Return the first candidate that stands in both rankings as they are walked down together.

    `weight` 0 asks for the fastest, 1 for the cheapest. Over 0.5 the window over the fastest is ahead by
    n · (weight - 0.5) · 2 candidates, rounded, so that a cheap one is met sooner; under 0.5 that over the cheapest. A
    window ends with its ranking. Where a step brings two matches, the cheaper counts from 0.5 on, else the faster.

    Source: Luger 2023, Algorithm 1 and section 4.5, which compares one entry of cost with more of latency where the
    weight is over 0.5 (the text to figure 4.4 reads the other way, and would give the fastest for weight 1). Ties and
    rounding are not printed there. Raises: PlanError.
    """
    _check(latency_s, cost, weight)
    fast, cheap = fastest_first(latency_s, cost), cheapest_first(latency_s, cost)
    ahead = round(len(fast) * (weight - 0.5) * 2)
    for step in range(1, len(fast) + 1):
        seen_fast, seen_cheap = fast[: step + max(ahead, 0)], cheap[: step + max(-ahead, 0)]
        first, second = (seen_cheap, seen_fast) if weight >= 0.5 else (seen_fast, seen_cheap)
        both = [place for place in first if place in second]
        if both:
            return both[0]
    raise AssertionError("the last step has every candidate in both windows")


def weighted_best(latency_s: Sequence[float], cost: Sequence[float], weight: float) -> int:
    """Return the candidate with the least (1 - weight) · latency + weight · cost, both from 0 (best) to 1 (worst).

    Equal sums: the faster, then the cheaper, then the earlier. Raises: PlanError.
    """
    _check(latency_s, cost, weight)
    sums = [(1 - weight) * fast + weight * cheap for fast, cheap in zip(_scaled(latency_s), _scaled(cost), strict=True)]
    return min(range(len(sums)), key=lambda place: (sums[place], latency_s[place], cost[place], place))


def pareto_front(latency_s: Sequence[float], cost: Sequence[float]) -> list[int]:
    """Return the candidates that no other beats in one without losing in the other, fastest first.

    Of candidates equal in both the first stands for all.
    """
    front: list[int] = []
    for place in fastest_first(latency_s, cost):
        if not front or cost[place] < cost[front[-1]]:
            front.append(place)
    return front


def regret(measured_s: Sequence[float], chosen: int) -> float:
    """Return (chosen - best) / (worst - best), 0 for the best choice and 1 for the worst. Luger 2023, 7.1."""
    best, worst = min(measured_s), max(measured_s)
    return (measured_s[chosen] - best) / (worst - best) if worst > best else 0.0


def _scaled(values: Sequence[float]) -> list[float]:
    least, most = min(values), max(values)
    return [(value - least) / (most - least) if most > least else 0.0 for value in values]


def _check(latency_s: Sequence[float], cost: Sequence[float], weight: float) -> None:
    if not latency_s or len(latency_s) != len(cost):
        raise PlanError(f"got {len(latency_s)} latencies and {len(cost)} costs, expected one of each per candidate")
    if not 0 <= weight <= 1:
        raise PlanError(f"the weight is {weight:g}, expected 0 (only latency) to 1 (only cost)")
