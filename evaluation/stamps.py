"""The time stamps of papers/000, from what our deployments measure. Pure.

Source: papers/000, section 4.1 (ST1 to RT3) and section 4.3.1, equations 4.1 to 4.4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from headwater.clock import Offset, RoundTrip, Stage, one_way_ns

OWN_STAGES: Final[tuple[Stage, ...]] = ("capture", "crop", "head", "encode")
"""What a device computes of a picture before anything of it travels."""


@dataclass(frozen=True)
class Stamps:
    """When one request was where, in seconds since ST1, its sending; None where there is no second place."""

    rt1_s: float
    """The first place has the request."""
    st2_s: float
    """The first place has finished with it: forwards it, or answers."""
    rt3_s: float
    """Whoever asked has the answer."""
    rt2_s: float | None = None
    """The second place has what was forwarded."""
    st3_s: float | None = None
    """The second place answers."""

    @property
    def total_s(self) -> float:
        """RT3 - ST1, equation 4.1."""
        return self.rt3_s

    @property
    def compute1_s(self) -> float:
        """ST2 - RT1, equation 4.2."""
        return self.st2_s - self.rt1_s

    @property
    def compute2_s(self) -> float:
        """ST3 - RT2, equation 4.3; zero where there is no second place."""
        return 0.0 if self.rt2_s is None or self.st3_s is None else self.st3_s - self.rt2_s

    @property
    def communication_s(self) -> float:
        """All that is neither, equation 4.4."""
        return self.total_s - self.compute1_s - self.compute2_s


QUANTITIES: Final[Mapping[str, tuple[str, Callable[[Stamps], float | None]]]] = {
    "RT1": ("the first place has the picture", lambda stamps: stamps.rt1_s),
    "ST2": ("it has finished with it", lambda stamps: stamps.st2_s),
    "RT2": ("the second place has the tensor", lambda stamps: stamps.rt2_s),
    "ST3": ("it has finished with it", lambda stamps: stamps.st3_s),
    "RT3": ("the answer is back", lambda stamps: stamps.rt3_s),
    "compute 1": ("ST2 - RT1", lambda stamps: stamps.compute1_s),
    "compute 2": ("ST3 - RT2", lambda stamps: stamps.compute2_s),
    "communication": ("total - compute 1 - compute 2", lambda stamps: stamps.communication_s),
    "total": ("RT3 - ST1", lambda stamps: stamps.total_s),
}
"""What is reported of a deployment: its stamps since ST1, and what papers/000 makes of them."""


def of_request(trip: RoundTrip, offset: Offset) -> Stamps:
    """Return the stamps of a request that one place answers: the worker's two clocks, tied to the asker's."""
    uplink_ns, downlink_ns = one_way_ns(trip, offset)
    total_ns = trip.returned_ns - trip.sent_ns
    return Stamps(rt1_s=uplink_ns / 1e9, st2_s=(total_ns - downlink_ns) / 1e9, rt3_s=total_ns / 1e9)


def of_finished(stages_ns: Mapping[Stage, int]) -> Stamps:
    """Return the stamps of a frame that its device answers: asker and first place are one machine, ST1 is RT1."""
    own_s = own_stages_s(stages_ns)
    return Stamps(rt1_s=0.0, st2_s=own_s, rt3_s=own_s)


def of_split(stages_ns: Mapping[Stage, int], uplink_ns: int, downlink_ns: int, total_ns: int) -> Stamps:
    """Return the stamps of a frame whose tail a worker computes; the wait in the spool is communication."""
    own_s = own_stages_s(stages_ns)
    return Stamps(
        rt1_s=0.0,
        st2_s=own_s,
        rt2_s=own_s + (stages_ns.get("spool", 0) + uplink_ns) / 1e9,
        st3_s=(total_ns - downlink_ns) / 1e9,
        rt3_s=total_ns / 1e9,
    )


def own_stages_s(stages_ns: Mapping[Stage, int]) -> float:
    """Return how long a device computed."""
    return sum(stages_ns.get(stage, 0) for stage in OWN_STAGES) / 1e9


@dataclass(frozen=True)
class Spread:
    """A quantity over many requests."""

    mean: float
    p50: float
    p95: float


def spread(values: list[float]) -> Spread | None:
    """Return mean, median and 95th percentile; None of nothing."""
    if not values:
        return None
    p50, p95 = np.percentile(values, (50, 95))
    return Spread(float(np.mean(values)), float(p50), float(p95))
