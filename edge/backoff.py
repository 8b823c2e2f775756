"""How long to wait before the next attempt to reach something that is away."""

from __future__ import annotations

FIRST_S = 0.5
LONGEST_S = 30.0


def backoff_s(attempt: int, first_s: float = FIRST_S, longest_s: float = LONGEST_S) -> float:
    """Return the wait after the failed attempt number `attempt` (from 0): doubled each time, up to `longest_s`."""
    return min(longest_s, first_s * 2.0 ** min(attempt, 32))
