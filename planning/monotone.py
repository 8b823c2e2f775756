"""Measured times made to rise: what is computed further takes longer, whatever the noise of a run says."""

from __future__ import annotations

from collections.abc import Sequence


def rising(values: Sequence[float]) -> list[float]:
    """Return the non-decreasing values nearest to these in least squares (pool adjacent violators).

    Source: Barlow et al. 1972, Statistical Inference under Order Restrictions, section 1.2.
    """
    pools: list[tuple[float, int]] = []
    for value in values:
        mean, count = value, 1
        while pools and pools[-1][0] > mean:
            before, others = pools.pop()
            mean, count = (mean * count + before * others) / (count + others), count + others
        pools.append((mean, count))
    return [mean for mean, count in pools for _ in range(count)]


def falling(values: Sequence[float]) -> list[float]:
    """Return the non-increasing values nearest to these in least squares."""
    return rising(values[::-1])[::-1]
