"""Three predictors of computing time behind one interface: measured, linear in the layer, by operator type. Pure.

Bytes, encoding and the link are not theirs: for these every way has measured sizes and the link's own formula.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol, get_args

from models.operators import OperatorWork
from planning.operator_times import OperatorTimes
from planning.power_law import Bounds, LinearPredictor, PowerLaw
from planning.ways import Conditions, PredictorName, Way

PREDICTORS: Final[tuple[PredictorName, ...]] = get_args(PredictorName)


class Predictor(Protocol):
    """Tells how long head and tail take; `place` is a way's, 0 for the picture, the last for the device alone."""

    def head_s(self, place: int, at: Conditions) -> float:
        """Return what the device computes up to a place."""

    def tail_s(self, place: int, at: Conditions) -> float:
        """Return what the worker computes from there."""


class Measured:
    """What was measured at every place, times the slowdown of today: clock, load and throttling. The default."""

    def __init__(self, ways: Sequence[Way]) -> None:
        self._heads_s = {way.place: way.head_s for way in ways}
        self._tails_s = {way.place: way.tail_s for way in ways}

    def head_s(self, place: int, at: Conditions) -> float:
        """Return the measured head, as slow as the device is."""
        return self._heads_s[place] * at.device_slowdown

    def tail_s(self, place: int, at: Conditions) -> float:
        """Return the measured tail, as slow as the worker is."""
        return self._tails_s[place] * at.worker_slowdown


@dataclass(frozen=True)
class ByLayer:
    """Linear in the layer and a power of the clock. Source: Luger 2023, equations 4.1 and 4.2, section 4.2."""

    predictor: LinearPredictor
    layers: Sequence[int]
    """How many layers lie before each place."""
    clock_ghz: float = 1.0
    """Of the device at a slowdown of 1."""

    def head_s(self, place: int, at: Conditions) -> float:
        """Return the layers before a place times the slope at today's clock."""
        return self.predictor.device_s(self.layers[place], self.clock_ghz / at.device_slowdown)

    def tail_s(self, place: int, at: Conditions) -> float:
        """Return the rest of the layers as a share of the whole network."""
        return self.predictor.worker_s(self.layers[place]) * at.worker_slowdown


def by_layer(whole_s: float, worker_whole_s: float, layers: Sequence[int]) -> ByLayer:
    """Return the linear predictor of a network measured at one clock: its time falls as the clock rises."""
    bounds = Bounds(0.0, whole_s / layers[-1])  # an endless clock takes no time, the measured one what was measured
    return ByLayer(LinearPredictor(PowerLaw(1.0, -1.0), bounds, layers[-1], worker_whole_s), layers)


@dataclass(frozen=True)
class ByOperator:
    """The sum over the operators of a head or tail, from rates fitted on other networks."""

    times: OperatorTimes
    heads: Sequence[Sequence[OperatorWork]]
    """The operators before each place …"""
    tails: Sequence[Sequence[OperatorWork]]
    """… and behind it."""

    def head_s(self, place: int, at: Conditions) -> float:
        """Return what the operators before a place take."""
        return self.times.seconds(self.heads[place]) * at.device_slowdown

    def tail_s(self, place: int, at: Conditions) -> float:
        """Return what the operators behind a place take."""
        return self.times.seconds(self.tails[place]) * at.worker_slowdown


def predicted(ways: Sequence[Way], predictor: Predictor, at: Conditions) -> list[Way]:
    """Return the ways with heads and tails so long that their journey under these conditions is the predictor's.

    An exit on the way keeps the share of its head that it was measured to have.
    """
    found = []
    for way in ways:
        head_s = predictor.head_s(way.place, at) / at.device_slowdown
        ratio = head_s / way.head_s if way.head_s > 0 else 1.0
        exits = tuple(replace(one, after_s=one.after_s * ratio) for one in way.exits)
        tail_s = predictor.tail_s(way.place, at) / at.worker_slowdown
        found.append(replace(way, head_s=head_s, tail_s=tail_s, exits=exits))
    return found
