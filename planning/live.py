"""Choose again while frames flow: what was seen lately in, the way of the next frame out. Pure: time is an argument."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from planning.decide import Judged, Limits, Method, Rates, chosen, decide
from planning.errors import PlanError
from planning.ways import Conditions, Way

SMOOTHING: Final = 0.2
"""The weight of the newest of values that come quickly one after the other. Source: SCIoT smooths layer times so."""
FIRST_PAUSE_S: Final = 2.0
"""The second probe follows the first so soon, or twice that: a worker's first answer tells of loading the model."""
TELLING_BYTES: Final = 8_000
"""A message of at least this size tells the bandwidth, whatever the noise of the machines at its ends."""
REFUSED_PAUSE_S: Final = 60.0
"""A frame that workers may refuse is lost: so seldom is one sent to find out."""
HOPE: Final = 2.0
"""A probe goes a way that would be good if link and workers were so many times faster than they seem: of those within
so many times the best of them the one that gives workers most to do, because it tells most."""
FORGETS_S: Final = 10.0
"""After so long without a value what was known before counts for 1/e."""
Why = Literal["first", "stays", "better", "limit", "probe", "no link", "refused", "nothing allowed"]


@dataclass(frozen=True)
class Smoothed:
    """A mean and a variance that forget, with every new value and with the time between two."""

    mean: float
    variance: float = 0.0
    at_s: float = 0.0
    """When the last value came."""

    def after(self, value: float, now_s: float) -> Smoothed:
        """Return the same with one more value. Source: Finch 2009, eq. 143; Zumbach & Mueller 2001 for the time."""
        newest = max(SMOOTHING, 1 - math.exp(-max(0.0, now_s - self.at_s) / FORGETS_S))
        gap = value - self.mean
        return Smoothed(self.mean + newest * gap, (1 - newest) * (self.variance + newest * gap * gap), now_s)

    @property
    def at_worst(self) -> float:
        """Return the mean and a deviation."""
        return self.mean + math.sqrt(self.variance)


def smoothed(before: Smoothed | None, value: float, now_s: float) -> Smoothed:
    """Return a smoothed value with one more measurement; the first one stands as it is."""
    return Smoothed(value, 0.0, now_s) if before is None else before.after(value, now_s)


@dataclass(frozen=True)
class Seen:
    """What was measured lately; None where nothing was yet."""

    s_per_bit: Smoothed | None = None
    """Of the link: the inverse of its bandwidth, because times add up and bandwidths do not."""
    round_trip_s: Smoothed | None = None
    device_slowdown: Smoothed | None = None
    worker_slowdown: Smoothed | None = None
    worker_wait_s: Smoothed | None = None
    frames_per_s: float = 0.0
    """How many frames a second must find a way; 0 where a source waits for its turn."""
    refused_s: float | None = None
    """Since when workers refuse what is not finished; None: they take it."""
    link_lost_s: float | None = None
    """Since when nothing has been acknowledged that should have been; None: the link works."""

    def conditions(self, assumed: Conditions, *, cautious: bool = False) -> Conditions:
        """Return what holds now, or a link that is a deviation worse; what nobody measured is as assumed."""

        def value(name: str) -> float:
            measured: Smoothed | None = getattr(self, name)
            if measured is None:
                return float(getattr(assumed, name))
            return measured.at_worst if cautious and name == "round_trip_s" else measured.mean

        found = replace(assumed, frames_per_s=self.frames_per_s, **{name: value(name) for name in _MEASURED})
        if self.s_per_bit is None:
            return found
        per_bit = self.s_per_bit.at_worst if cautious else self.s_per_bit.mean
        return replace(found, bandwidth_bits_per_s=1 / per_bit)


_MEASURED: Final = ("round_trip_s", "device_slowdown", "worker_slowdown", "worker_wait_s")


@dataclass(frozen=True)
class Policy:
    """What is wanted, and how readily the way is changed."""

    weight: float = 0.0
    method: Method = "optimum"
    limits: Limits = field(default_factory=Limits)
    margin: float = 0.1
    """So much faster (or, with a weight over 0.5, cheaper) must another way be …"""
    patience: int = 3
    """… so many decisions in a row."""
    at_once: float = 0.5
    """Who is so much better is taken at once."""
    probe_after_s: float = 30.0
    """A bandwidth, or a worker, not measured for so long is measured with one frame: sooner while little is known."""
    lost_after_s: float = 5.0
    """A link silent for so long is taken for gone."""


@dataclass(frozen=True)
class Decision:
    """The way of the next frame, why, and what all others were predicted to take."""

    at_s: float
    way: Way
    why: Why
    conditions: Conditions
    judged: tuple[Judged, ...]
    note: str = ""
    """Where nothing is allowed: what the fastest ways break."""


@dataclass
class Scheduler:
    """Remembers the way in use and how long another one has looked better. For one thread."""

    ways: Sequence[Way]
    rates: Rates
    policy: Policy
    assumed: Conditions
    """What holds before anything was measured."""
    current: Way | None = None
    _better: tuple[str, int] = ("", 0)
    """Another way, and for how many decisions in a row it has been better."""
    _probed_s: float = float("-inf")
    _changed_s: float = float("-inf")
    _pause_s: float = FIRST_PAUSE_S
    """How long to wait after a probe for the next one."""

    def decide(self, seen: Seen, now_s: float) -> Decision:
        """Return the way of the next frame. A probe is for one frame; the way in use stays what it was."""
        at, before = seen.conditions(self.assumed), self.current
        if seen.link_lost_s is not None and now_s - seen.link_lost_s >= self.policy.lost_after_s:
            return Decision(now_s, self._own_way(), "no link", at, ())
        if seen.refused_s is not None:
            found = Decision(now_s, self._own_way(), "refused", at, ())
        else:
            found = self._by_limits(at, seen.conditions(self.assumed, cautious=True), now_s)
        if self.current is not before:
            self._changed_s = now_s
        return found if before is None else self._probe(found, seen) or found

    def _by_limits(self, at: Conditions, cautious: Conditions, now_s: float) -> Decision:
        """Return the best way within the limits; where none is, within those that are never given up."""
        limits = self.policy.limits
        try:
            judged = self._judged(at, limits)
            why = self._choose(judged, self._or(judged, cautious, limits))
            return Decision(now_s, self._way_in_use(), why, at, judged)
        except PlanError as error:
            note = str(error)
        at, cautious = replace(at, frames_per_s=0.0), replace(cautious, frames_per_s=0.0)
        try:
            judged = self._judged(at, _without_soft(limits))
        except PlanError:
            return Decision(now_s, self._own_way(), "nothing allowed", at, (), note)
        self._choose(judged, self._or(judged, cautious, _without_soft(limits)))
        return Decision(now_s, self._way_in_use(), "nothing allowed", at, judged, note)

    def _or(self, judged: tuple[Judged, ...], at: Conditions, limits: Limits) -> tuple[Judged, ...]:
        """Return the ways judged in other conditions, or as they are where the limits then allow none."""
        try:
            return self._judged(at, limits)
        except PlanError:
            return judged

    def _judged(self, at: Conditions, limits: Limits) -> tuple[Judged, ...]:
        """Return every way judged. Raises: PlanError where the limits allow none."""
        policy = self.policy
        return tuple(decide(self.ways, at, self.rates, policy.weight, limits, policy.method))

    def _choose(self, judged: tuple[Judged, ...], cautious: tuple[Judged, ...]) -> Why:
        """Change the way in use where another is better on a link a deviation worse than this one has its own."""
        now = next((one for one in judged if self.current is not None and one.way.name == self.current.name), None)
        if now is None or not now.is_allowed:
            first = self.current is None
            self.current, self._better = chosen(judged if first else cautious).way, ("", 0)
            return "first" if first else "limit"
        best = chosen(cautious)
        gain = _gain(now, best, self.policy.weight)
        if best.way.name == now.way.name or gain <= self.policy.margin:
            self._better = ("", 0)
            return "stays"
        name, times = self._better
        self._better = (best.way.name, times + 1 if name == best.way.name else 1)
        if gain < self.policy.at_once and self._better[1] < self.policy.patience:
            return "stays"
        self.current, self._better = best.way, ("", 0)
        self._pause_s = FIRST_PAUSE_S
        return "better"

    def _probe(self, found: Decision, seen: Seen) -> Decision | None:
        """Return a frame's way that tells of link and worker, where either was not measured lately and would matter.

        It need not keep up, be in time or be small in the mean: it is one frame.
        """
        now, at = found.way, found.conditions
        if found.why not in ("stays", "nothing allowed", "refused"):
            return None
        if not now.finishes and found.at_s >= self._own_due_s(seen):
            self._probed_s = found.at_s
            return replace(found, way=self._own_way(), why="probe")
        if found.at_s < self._probe_due_s(now, seen):
            return None
        better = replace(
            at,
            bandwidth_bits_per_s=HOPE * at.bandwidth_bits_per_s,
            worker_slowdown=at.worker_slowdown / HOPE,
            worker_wait_s=0.0,
            frames_per_s=0.0,
        )
        try:
            judged = self._judged(better, _without_soft(self.policy.limits))
        except PlanError:
            return None
        allowed = [one for one in judged if one.is_allowed and one.way.name != now.name]
        tells = [one for one in allowed if one.way.sends and one.way.payload_bytes >= TELLING_BYTES]
        if not tells and now.finishes:
            tells = [one for one in allowed if one.way.sends]
        if not tells:
            return None
        self._probed_s, self._pause_s = found.at_s, min(self.policy.probe_after_s, 2 * self._pause_s)
        best_s = min(one.journey.total_s for one in tells)
        in_reach = [one for one in tells if one.journey.total_s <= HOPE * best_s]
        return replace(found, way=max(in_reach, key=lambda one: one.way.tail_s).way, why="probe")

    def _probe_due_s(self, now: Way, seen: Seen) -> float:
        """Return when the next probe may go: sparsely, and more so where it may be lost."""
        if seen.refused_s is not None:
            return max(self._probed_s, seen.refused_s) + REFUSED_PAUSE_S
        if now.finishes:
            return self._probed_s + self._pause_s  # only probes tell
        known_s = min(_at(seen.s_per_bit), _at(seen.worker_slowdown))
        return max(self._probed_s + self._pause_s, known_s + self.policy.probe_after_s)

    def _own_due_s(self, seen: Seen) -> float:
        """Return when a frame is to be computed here again, to learn how fast the device is now."""
        return max(self._probed_s, self._changed_s, _at(seen.device_slowdown)) + self.policy.probe_after_s

    def _own_way(self) -> Way:
        """Return the deepest way that answers on the device; without one, the way in use."""
        local = [way for way in self.ways if way.finishes]
        return local[-1] if local else self._way_in_use()

    def _way_in_use(self) -> Way:
        return self.current if self.current is not None else self.ways[-1]


def _without_soft(limits: Limits) -> Limits:
    """Return the limits that hold even where nothing keeps all: those of what may leave, how large, and how right."""
    return replace(limits, deadline_s=None, frame_bytes=None, energy_j_at_most=None)


def _gain(now: Judged, best: Judged, weight: float) -> float:
    """Return by what share another way is better than the one in use, in latency and cost as they are weighed."""
    weight = weight if now.cost > 0 and best.cost > 0 else 0.0
    slower = best.journey.total_s / now.journey.total_s if now.journey.total_s > 0 else 1.0
    dearer = best.cost / now.cost if weight else 1.0
    return 1 - math.pow(slower, 1 - weight) * math.pow(dearer, weight)


def _at(measured: Smoothed | None) -> float:
    return float("-inf") if measured is None else measured.at_s
