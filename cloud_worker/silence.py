"""Whether somebody shows a sign of life, as who looks at it sees; a parent of workers loads no more than this."""

from __future__ import annotations

from typing import Final

LONGEST_TICK_S: Final = 1.0
"""There is a look at least so often."""
COUNTED_TICKS: Final = 2.0
"""Who looks later than that has not run for the rest of the time, so what it looks at could not either."""
ASLEEP_TICKS: Final = 5.0
"""So much later, and later than half of the bound, it was asleep, and begins anew."""


class Silence:
    """For how long a thread has shown no sign of life, by the ticks of who looks at it. Times in, verdict out."""

    def __init__(self, tick_s: float, bound_s: float, now_s: float) -> None:
        """Begin; there is a look every `tick_s` if all goes well, and too long is `bound_s`."""
        self._most_s, self._asleep_s = COUNTED_TICKS * tick_s, max(ASLEEP_TICKS * tick_s, bound_s / 2)
        self._looked_s, self._beats, self._silent_s = now_s, -1, 0.0

    def look(self, now_s: float, beats: int, *, waits: bool) -> float:
        """Return how long it is silent; 0 while it waits for others, and anew after both were stopped for a while."""
        since_s, self._looked_s = now_s - self._looked_s, now_s
        if waits or beats != self._beats or since_s > self._asleep_s:
            self._beats, self._silent_s = beats, 0.0
        else:
            self._silent_s += min(since_s, self._most_s)
        return self._silent_s
