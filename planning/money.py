"""What a deployment costs in a month, where two of them meet, and how many servers a fleet needs. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from planning.errors import PlanError

_NEAR = 1e-9
"""What arithmetic may add to a whole number."""


@dataclass(frozen=True)
class Bill:
    """So much a month, and so much for each request, in one currency."""

    fixed: float = 0.0
    per_request: float = 0.0

    def month(self, requests: float) -> float:
        """Return what a month with so many requests costs."""
        return self.fixed + requests * self.per_request

    def __add__(self, other: Bill) -> Bill:
        return Bill(self.fixed + other.fixed, self.per_request + other.per_request)


def break_even(running: Bill, standing: Bill) -> float | None:
    """Return from how many requests a month on `standing` costs no more than `running`; None if it always costs more.

    `running` is the one that costs more per request.
    """
    saved = running.per_request - standing.per_request
    more = standing.fixed - running.fixed
    if more <= 0:
        return 0.0
    return more / saved if saved > 0 else None


def users_per_server(server_share: float, limit: float = 0.95) -> int:
    """Return how many devices one server bears when each takes this share of its processor, up to a limit of it.

    Source: Leroy and Goedemé 2021, section 5.2 (a limit of 95 %). Raises: PlanError.
    """
    if not server_share > 0:
        raise PlanError(f"the share of a server that a device takes is {server_share:g}, expected over 0; measure it")
    users = math.floor(limit / server_share + _NEAR)
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
