"""What a deployment costs: bills that are added up, and the number of requests at which two of them meet."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from planning.errors import PlanError

_MOST_STEPS = 100_000


@dataclass(frozen=True)
class Line:
    """One thing that is paid for: so much a month for each unit, and so much for each request."""

    what: str
    per_month: float = 0.0
    """Of one unit."""
    per_request: float = 0.0
    requests_per_unit: float = math.inf
    """A month; more requests than these need one unit more."""

    def units(self, requests: float) -> int:
        """Return how many units so many requests a month need; one stands ready for none."""
        return max(1, math.ceil(requests / self.requests_per_unit))

    def month(self, requests: float) -> float:
        """Return what this costs in a month with so many requests."""
        return self.units(requests) * self.per_month + requests * self.per_request


@dataclass(frozen=True)
class Bill:
    """What a deployment costs, line by line, in one currency."""

    lines: tuple[Line, ...]

    def month(self, requests: float) -> float:
        """Return what it costs in a month with so many requests."""
        return sum(line.month(requests) for line in self.lines)

    @property
    def requests_at_most(self) -> float:
        """Return how many requests a month one unit of everything answers: the slowest part decides."""
        return min(line.requests_per_unit for line in self.lines)

    def __add__(self, other: Bill) -> Bill:
        return Bill(self.lines + other.lines)


def break_even(small: Bill, large: Bill, requests_at_most: float) -> float | None:
    """Return from how many requests a month on `large` costs no more than `small`; None if never up to the limit.

    Bills climb in steps where units are added; the first meeting counts. Raises: PlanError for too many steps.
    """
    for start, end in _stretches([*small.lines, *large.lines], requests_at_most):
        # Within a stretch the number of units is that of its end, and both bills are straight lines.
        fixed = sum(line.units(end) * line.per_month for line in large.lines) - sum(
            line.units(end) * line.per_month for line in small.lines
        )
        slope = sum(line.per_request for line in small.lines) - sum(line.per_request for line in large.lines)
        if fixed <= start * slope:
            return start
        if slope > 0 and fixed / slope <= end:
            return fixed / slope
    return None


def _stretches(lines: Sequence[Line], most: float) -> Iterator[tuple[float, float]]:
    """Return the spans of requests in which no line adds a unit."""
    steps = [line.requests_per_unit for line in lines if line.requests_per_unit < most]
    if sum(most / step for step in steps) > _MOST_STEPS:
        raise PlanError(f"up to {most:,.0f} requests there are over {_MOST_STEPS:,} steps; ask for fewer requests")
    ends = sorted({step * count for step in steps for count in range(1, int(most // step) + 1)} | {most})
    yield from zip([0.0, *ends], ends, strict=False)


def users_per_server(server_share: float, limit: float = 0.95) -> int:
    """Return how many devices one server bears when each takes this share of its processor, up to a limit of it.

    Source: Leroy and Goedemé 2021, section 6 (a limit of 95 %). Raises: PlanError.
    """
    if not server_share > 0:
        raise PlanError(f"the share of a server that a device takes is {server_share:g}, expected over 0; measure it")
    users = math.floor(limit / server_share + 1e-9)
    if users < 1:
        raise PlanError(
            f"one device takes {server_share:.0%} of a server, over the limit of {limit:.0%}; use a larger server"
        )
    return users


def servers_for(devices: int, users: int) -> int:
    """Return how many servers a fleet needs when one bears so many devices."""
    return -(-devices // users)


def energy_j(watts: float, seconds: float) -> float:
    """Return the joules that so many watts take in so many seconds."""
    return watts * seconds
