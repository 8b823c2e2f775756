"""Latency against cost over the weight: the document's way to choose beside ours, by what was measured. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from evaluation.regret import Guess
from planning.decide import METHODS, Method, Rates
from planning.ways import PredictorName

Chooser = Literal["document", "ours"]
CHOOSERS: Final[Mapping[Chooser, tuple[PredictorName, Method]]] = {
    "document": ("linear", "rank-match"),
    "ours": ("profile", "optimum"),
}
WEIGHTS: Final = tuple(step / 10 for step in range(11))
DOCUMENT: Final = {"alexnet": (1.2592, 0.3916)}
"""Latency and cost at weight 0.5, the device rented, over those of the fastest split. Source: Luger 2023, 7.4.1."""


@dataclass(frozen=True)
class Point:
    """What one way to choose comes to at one weight: means over the settings, over the fastest way measured."""

    net: str
    chooser: Chooser
    weight: float
    latency: float
    cost: float

    def beats(self, other: Point) -> bool:
        """Tell whether this is no worse in both and better in one."""
        mine, its = (self.latency, self.cost), (other.latency, other.cost)
        return mine != its and all(a <= b for a, b in zip(mine, its, strict=True))


def trade(guesses: Sequence[Guess], rates: Rates) -> list[Point]:
    """Return a point for each network, way to choose and weight."""
    nets = list(dict.fromkeys(one.net for one in guesses))
    return [
        _point(net, chooser, weight, [one for one in guesses if (one.net, one.predictor) == (net, name)], rates)
        for net in nets
        for chooser, (name, _) in CHOOSERS.items()
        for weight in WEIGHTS
    ]


def _point(net: str, chooser: Chooser, weight: float, guesses: Sequence[Guess], rates: Rates) -> Point:
    choose = METHODS[CHOOSERS[chooser][1]]
    latencies, costs = list[float](), list[float]()
    for one in guesses:
        fastest = min(one.ran, key=lambda way: way.total_s)
        taken = one.ran[choose(one.latency_s, one.cost, weight)]
        latencies.append(taken.total_s / fastest.total_s)
        costs.append(taken.cost(rates) / fastest.cost(rates))
    return Point(net, chooser, weight, statistics.fmean(latencies), statistics.fmean(costs))


def beaten(points: Sequence[Point]) -> list[tuple[Point, Point]]:
    """Return each point with the first of the other way to choose that beats it, of the same network."""
    found = []
    for one in points:
        rivals = (two for two in points if two.net == one.net and two.chooser != one.chooser)
        winner = next((two for two in rivals if two.beats(one)), None)
        if winner is not None:
            found.append((one, winner))
    return found
