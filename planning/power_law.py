"""Latency by the document's way: linear in the layer, its slope a power of the clock. Pure.

Source: Luger 2023, sections 4.1 and 4.2, equations 4.1 and 4.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from planning.errors import PlanError

_LOWEST, _HIGHEST, _STEPS = -30.0, 10.0, 401
_ROUNDS: Final = 6


@dataclass(frozen=True)
class PowerLaw:
    """The normalised slope at a clock, a · clock^b; clocks in GHz."""

    a: float
    b: float

    def slope(self, clock_ghz: float) -> float:
        """Return the slope, 0 for the fastest clock of the fit and 1 for the slowest."""
        return float(self.a * clock_ghz**self.b)


@dataclass(frozen=True)
class Bounds:
    """The slopes of one network, seconds per layer, at the highest clock and at the lowest: two measurements."""

    low_s: float
    high_s: float

    def normalised(self, slope_s: float) -> float:
        """Return a slope as a share of the way from the low bound to the high one."""
        return (slope_s - self.low_s) / (self.high_s - self.low_s)

    def denormalised(self, share: float) -> float:
        """Return seconds per layer. Source: Luger 2023, equation 4.2."""
        return share * (self.high_s - self.low_s) + self.low_s


@dataclass(frozen=True)
class LinearPredictor:
    """Times of one network: the device's by layer and clock, the worker's by layer alone."""

    law: PowerLaw
    bounds: Bounds
    layers: int
    worker_whole_s: float
    """All layers on the worker; none on it is taken to be 0."""

    def device_s(self, layer: int, clock_ghz: float) -> float:
        """Return the time of the first so many layers on the device. Source: Luger 2023, equation 4.1."""
        return self.bounds.denormalised(self.law.slope(clock_ghz)) * layer

    def worker_s(self, layer: int) -> float:
        """Return the time of the layers behind a split on the worker. Source: Luger 2023, section 4.2."""
        return self.worker_whole_s * (1 - layer / self.layers)


def bounds_of(slopes_s: Sequence[float]) -> Bounds:
    """Return the bounds of one network's slopes. Raises: PlanError where they are all the same."""
    low, high = min(slopes_s), max(slopes_s)
    if not high > low:
        raise PlanError(f"{len(slopes_s)} slopes are all {low:g} s, expected different ones; measure at two clocks")
    return Bounds(low, high)


def fit_power_law(clocks_ghz: Sequence[float], slopes: Sequence[float]) -> PowerLaw:
    """Return the power law with the least squared distance to normalised slopes of all networks together.

    For each power the factor follows in closed form; the power is searched on a grid that is refined around its best.
    Raises: PlanError for fewer than two different clocks.
    """
    clocks, wanted = np.asarray(clocks_ghz, float), np.asarray(slopes, float)
    if len(set(clocks_ghz)) < 2 or clocks.min() <= 0 or clocks.shape != wanted.shape:
        raise PlanError(f"got clocks {sorted(set(clocks_ghz))}, expected two different ones over 0, with a slope each")
    scale = clocks.max()
    low, high = _LOWEST, _HIGHEST
    best = 0.0
    for _ in range(_ROUNDS):
        powers = np.linspace(low, high, _STEPS)
        best = float(powers[np.argmin([_distance(clocks / scale, wanted, power) for power in powers])])
        step = powers[1] - powers[0]
        low, high = best - step, best + step
    return PowerLaw(_factor(clocks / scale, wanted, best) * scale**-best, best)


def _factor(clocks: np.ndarray, wanted: np.ndarray, power: float) -> float:
    shape = clocks**power
    return float((wanted * shape).sum() / (shape * shape).sum())


def _distance(clocks: np.ndarray, wanted: np.ndarray, power: float) -> float:
    shape = clocks**power
    return float(np.square(_factor(clocks, wanted, power) * shape - wanted).sum())
