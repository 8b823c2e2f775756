"""Measured times made to rise: what is computed further takes longer, whatever the noise of a run says."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def rising(values: Sequence[float]) -> list[float]:
    """Return non-decreasing values nearest to these in absolute distance (pool adjacent violators, by medians).

    Not in least squares: noise only ever lengthens a run, and the mean of a pool with one such run in it would lift
    all that are computed after it. Source: Robertson and Waltman 1968, "On estimating monotone parameters".
    """
    pools: list[list[float]] = []
    for value in values:
        pool = [value]
        while pools and statistics.median(pools[-1]) > statistics.median(pool):
            pool = pools.pop() + pool
        pools.append(pool)
    return [statistics.median(pool) for pool in pools for _ in pool]


def falling(values: Sequence[float]) -> list[float]:
    """Return the same for values that must not rise."""
    return rising(values[::-1])[::-1]
