"""How old something is, whatever happens to the wall clock.

A device has no clock of its own: it starts in 1970 or when it was last switched off, until a time server steps it. So
an age is counted by the clock that runs since the machine's start, and by the wall only from one start to the next.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

CREDIBLE_S: Final = 30 * 86_400.0
"""A machine that was off for longer has not been off: its clock was wrong, then or now."""
_START: Final = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Machine:
    """The clocks of one machine."""

    start: str
    """Names this start of the machine; where the system does not say, this use of its clocks."""
    up_s: Callable[[], float]
    """Seconds since some moment of this start; never steps, and runs while the machine sleeps."""
    wall_s: Callable[[], float]
    """Seconds since 1970, as far as the machine knows."""


class Stamp(NamedTuple):
    """A moment by the clocks of a machine, to be kept on its disk."""

    start: str
    up_s: float
    wall_s: float


def this_machine() -> Machine:
    """Return the clocks of the machine that this process runs on."""
    try:
        return Machine(_START.read_text().strip(), _up_s, time.time)
    except OSError:  # no Linux: the next start of the process counts as another of the machine, which begins with it
        begun_s = _up_s()
        return Machine(os.urandom(8).hex(), lambda: _up_s() - begun_s, time.time)


def stamp(machine: Machine, age_s: float) -> Stamp:
    """Return the moment that is so long ago."""
    return Stamp(machine.start, machine.up_s() - age_s, machine.wall_s() - age_s)


def age_s(then: Stamp, machine: Machine) -> float:
    """Return how long ago a moment was, never less than 0, and 0 where no start is known: nobody noted it.

    Within one start of the machine this is exact. From an earlier one it is what the wall clock says, where that can
    be: at least the time since this start, at most `CREDIBLE_S`. Otherwise the clock was set meanwhile, and the least
    that is certain holds, the time since this start: in doubt something counts as young.
    """
    if not then.start:
        return 0.0
    up_s = machine.up_s()
    if then.start == machine.start:
        return max(0.0, up_s - then.up_s)
    by_wall_s = machine.wall_s() - then.wall_s
    return by_wall_s if up_s <= by_wall_s <= CREDIBLE_S else up_s


def _up_s() -> float:
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)
