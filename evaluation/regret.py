"""Settings as in papers/001, what was measured in them, and how far each predictor's choice is from the best. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from models.operators import OperatorWork
from planning.choose import regret
from planning.decide import Rates
from planning.errors import PlanError
from planning.operator_times import OperatorTimes
from planning.power_law import LinearPredictor, PowerLaw, bounds_of, fit_power_law
from planning.predictors import ByLayer, ByOperator, Measured, Predictor, predicted
from planning.ways import Conditions, PredictorName, Way, journey

BANDWIDTH_MBIT_S, CLOCK_GHZ = 7.2, 1.5
"""Means of the Poisson and of the normal distribution; no clock is higher. Source: Luger 2023, section 6.7."""
SPREAD_GHZ, LEAST_GHZ, LEAST_MBIT_S = 0.3, 0.6, 1.0
"""Not printed there: the deviation of the clock is ours, the least is a Raspberry Pi 4's, whose clock it is."""
POOL: Final = 30
CLOCKS_GHZ: Final = (0.6, 0.8, 1.0, 1.2, 1.5)
"""Where the power law is fitted; the document prints no list."""
DOCUMENT: Final = {"mnist": 30.34, "alexnet": 20.91, "vgg16": 5.36}
"""Mean regret in percent. Source: Luger 2023, section 7.1."""


@dataclass(frozen=True)
class Setting:
    """One case: a bandwidth and a clock."""

    number: int
    bandwidth_bits_per_s: float
    clock_ghz: float


def draw_settings(count: int, seed: int) -> list[Setting]:
    """Return settings drawn as in the document: some of a pool of 30 bandwidths, each with one of a pool of clocks."""
    if not 1 <= count <= POOL:
        raise PlanError(f"{count} settings are asked for, expected 1 to {POOL}, the pool they are drawn from")
    random = np.random.default_rng(seed)
    bandwidths = np.maximum(random.poisson(BANDWIDTH_MBIT_S, POOL), LEAST_MBIT_S) * 1e6
    clocks = np.clip(random.normal(CLOCK_GHZ, SPREAD_GHZ, POOL), LEAST_GHZ, CLOCK_GHZ)
    picked = zip(random.choice(bandwidths, count, replace=False), random.choice(clocks, count), strict=True)
    return [Setting(number, float(bits), round(float(clock), 3)) for number, (bits, clock) in enumerate(picked, 1)]


@dataclass(frozen=True)
class Ran:
    """One way of one network in one setting, as measured; medians of the runs, in seconds."""

    net: str
    setting: int
    split: str
    place: int
    bytes: int
    crop_s: float
    head_s: float
    encode_s: float
    trip_s: float
    """From the first byte sent to the answer: uplink, decoding, tail, and an answer of some bytes."""
    decode_s: float
    tail_s: float
    trips: int
    """How many times it travelled."""

    @property
    def total_s(self) -> float:
        """Return the latency of a frame."""
        return self.device_s + self.trip_s

    @property
    def device_s(self) -> float:
        """Return how long the device computed."""
        return self.crop_s + self.head_s + self.encode_s

    def cost(self, rates: Rates) -> float:
        """Return what the computing is charged, by what was measured."""
        return self.device_s * rates.device_per_s + (self.decode_s + self.tail_s) * rates.worker_per_s


@dataclass(frozen=True)
class Tried:
    """One network as the predictors may know it: tried without a quota, its whole run at a few clocks."""

    net: str
    ways: list[Way]
    layers: list[int]
    """The document's number of the layer at each place; the last is how many there are."""
    wholes_s: list[float]
    """The whole network on the device at each of CLOCKS_GHZ."""


def fit_law(tried: Sequence[Tried]) -> PowerLaw:
    """Return the document's power law over all networks, each normalised by its own bounds (section 4.1)."""
    clocks, slopes = list[float](), list[float]()
    for one in tried:
        found = [whole / one.layers[-1] for whole in one.wholes_s]
        bounds = bounds_of(found)
        clocks += CLOCKS_GHZ
        slopes += [bounds.normalised(slope) for slope in found]
    return fit_power_law(clocks, slopes)


Works = Sequence[Sequence[OperatorWork]]


def predictors(
    one: Tried, law: PowerLaw, share: float, times: OperatorTimes, heads: Works, tails: Works
) -> dict[PredictorName, Predictor]:
    """Return the three for a network; `share` of a core is the device's at its highest clock.

    `times` are fitted on other networks; heads and tails are the operators of this one's at every place.
    """
    bounds = bounds_of([whole / one.layers[-1] for whole in one.wholes_s])
    line = LinearPredictor(law, bounds, one.layers[-1], one.ways[0].tail_s)
    return {
        "linear": ByLayer(line, one.layers, CLOCK_GHZ / share),
        "operators": ByOperator(times, heads, tails),
        "profile": Measured(one.ways),
    }


def slowdown(setting: Setting, share: float) -> float:
    """Return how many times slower the device is than when it was tried."""
    return CLOCK_GHZ / setting.clock_ghz / share


@dataclass(frozen=True)
class Guess:
    """What a predictor says of every way of a network in a setting, beside what was measured; in the order of ways."""

    net: str
    setting: int
    predictor: PredictorName
    ran: Sequence[Ran]
    latency_s: Sequence[float]
    cost: Sequence[float]
    heads_s: Sequence[float]

    @property
    def fastest(self) -> int:
        """Return the way that the predictor takes for the fastest."""
        return min(range(len(self.latency_s)), key=lambda place: self.latency_s[place])

    @property
    def regret(self) -> float:
        """Return the regret of that way, by what was measured."""
        return regret([one.total_s for one in self.ran], self.fastest)

    @property
    def rank(self) -> int:
        """Return its rank by what was measured, 1 for the best."""
        return 1 + sum(one.total_s < self.ran[self.fastest].total_s for one in self.ran)

    @property
    def head_error(self) -> float:
        """Return the mean absolute relative error of the heads."""
        pairs = zip(self.heads_s, self.ran, strict=True)
        return statistics.fmean(abs(said - one.head_s) / one.head_s for said, one in pairs if one.head_s > 0)


def guess(
    one: Tried, name: PredictorName, predictor: Predictor, setting: int, at: Conditions, ran: Sequence[Ran],
    rates: Rates,
) -> Guess:  # fmt: skip
    """Return what a predictor says in one setting."""
    ways = predicted(one.ways, predictor, at)
    found = [journey(way, at) for way in ways]
    costs = [rates.frame(way, taken) for way, taken in zip(ways, found, strict=True)]
    return Guess(
        one.net, setting, name, ran, [taken.total_s for taken in found], costs, [taken.head_s for taken in found]
    )


@dataclass(frozen=True)
class Summary:
    """A predictor on one network, over all settings."""

    net: str
    predictor: PredictorName
    settings: int
    ways: int
    mean_regret: float
    worst_regret: float
    top: Mapping[int, float]
    """Share of the settings in which the chosen way is among so many best."""
    head_error: float


def summary(guesses: Sequence[Guess]) -> Summary:
    """Return the summary of one predictor's guesses on one network."""
    first, regrets = guesses[0], [one.regret for one in guesses]
    top = {most: statistics.fmean(one.rank <= most for one in guesses) for most in (1, 3, 5)}
    return Summary(
        first.net,
        first.predictor,
        len(guesses),
        len(first.ran),
        statistics.fmean(regrets),
        max(regrets),
        top,
        statistics.fmean(one.head_error for one in guesses),
    )
