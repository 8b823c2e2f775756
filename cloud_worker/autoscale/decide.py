"""How many workers there should be, and why: what was seen lately in, a decision with its sentence out. Pure.

More are wanted as Kubernetes' HorizontalPodAutoscaler wants them: ceil(workers * waiting / target), nothing within 10 %
of the target, and for fewer the largest number that was wanted within a window.
Source: Kubernetes documentation, "Horizontal Pod Autoscaling", Algorithm details and Stabilization window.

That rule alone would swing for ever, because a waiting time is next to nothing until a worker is overloaded: it says
when there are too few workers, not when there are too many. So fewer are wanted only where those that stay would be
busy for so small a share of their time that frames still wait less than the target (`most_busy`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final, Literal

TOLERANCE: Final = 0.1
"""So far above or below the target is at the target. Source: HorizontalPodAutoscaler's default."""
COUNTS_AT_MOST: Final = 4.0
"""So many targets does the waiting at one worker count at most: one that hangs does not drive the others to --max."""
ALWAYS_BUSY: Final = 0.95
"""Where all have less rest than this leaves, frames may also wait at the broker, which no worker sees."""
COMFORTABLY_BUSY: Final = 0.7
"""The workers that stay are never planned to be busier than this, however short their frames."""

PLANNED: Final = 0.5
"""Fewer workers are planned for so much of the target: what is between the two keeps them from coming and going."""

Rule = Literal[
    "bounds",  # fewer or more than allowed
    "silent",  # nothing to decide by
    "blocked",  # more would not help
    "noticed",  # over the target for the first time
    "up",
    "max",
    "falling",
    "steady",
    "settling",
    "down",
    "min",
    "needed",
    "cool-down",
]


@dataclass(frozen=True)
class Limits:
    """What was asked for."""

    least: int = 1
    most: int = 8
    target_s: float = 0.2
    cool_down_s: float = 60.0
    """After a change, so long none is made."""
    settle_s: float = 180.0
    """Fewer must have been enough for so long."""


@dataclass(frozen=True)
class Look:
    """The workers at one moment."""

    at_s: float
    workers: int
    waits_s: tuple[float, ...] = ()
    """How long frames wait at each worker that tells, or that has told before."""
    busy: tuple[float, ...] = ()
    """Which share of its time each worker that tells has worked since the look before."""
    frame_s: float = 0.0
    """How long one frame keeps a worker busy."""
    trouble: str = ""
    """What keeps all workers from finishing, where more of them would not help."""

    @property
    def waiting_s(self) -> float | None:
        """How long a frame waits, the mean of the workers; None where none has told."""
        return fmean(self.waits_s) if self.waits_s else None

    def times_target(self, target_s: float) -> float:
        """Return how many times the target frames wait, no worker counting too much."""
        return fmean(min(wait_s / target_s, COUNTS_AT_MOST) for wait_s in self.waits_s) if self.waits_s else 0.0

    @property
    def is_always_busy(self) -> bool:
        """Whether the workers that tell have no rest to speak of."""
        return bool(self.busy) and fmean(self.busy) >= ALWAYS_BUSY

    @property
    def busy_workers(self) -> float:
        """The work of all, in workers that never rest; one that does not tell counts as one."""
        return sum(self.busy) + self.workers - len(self.busy)


@dataclass(frozen=True)
class Decision:
    """How many workers there are, how many there should be, and why."""

    workers: int
    wanted: int
    rule: Rule
    why: str


def decide(history: Sequence[Look], changed_s: float | None, limits: Limits) -> Decision:
    """Return what to do after the last look; `changed_s` is when the number was last changed, by the looks' clock."""
    now = history[-1]
    if not limits.least <= now.workers <= limits.most:
        return _within_bounds(now, limits)
    if not now.waits_s:
        return _stays(
            now, "silent", "no worker tells its figures; does it hang, or run without --metrics (HEADWATER_METRICS)?"
        )
    if now.trouble:
        return _stays(now, "blocked", f"{_waits(now, limits)}; more workers would not help: {now.trouble}")
    if is_over(now, limits):
        return _more(history, changed_s, limits)
    if now.times_target(limits.target_s) >= 1 - TOLERANCE:
        return _stays(now, "steady", f"{_waits(now, limits)}, all in all the target of {shown_s(limits.target_s)}")
    return _fewer(history, changed_s, limits)


def most_busy(frame_s: float, target_s: float) -> float:
    """Return the largest share of its time that a worker may be busy with frames still waiting less than the target.

    Source: Pollaczek and Khinchine for frames that come at random and take equally long:
    wait = frame * share / (2 * (1 - share)), solved for the share.
    """
    return min(COMFORTABLY_BUSY, 2 * target_s / (2 * target_s + frame_s))


def is_over(look: Look, limits: Limits) -> bool:
    """Tell whether a look speaks for more workers."""
    return look.times_target(limits.target_s) > 1 + TOLERANCE or look.is_always_busy


def wanted_then(look: Look, limits: Limits) -> int:
    """Return how many workers a look over the target speaks for; as many as there are, where it tells nothing."""
    if not is_over(look, limits) or look.trouble:
        return look.workers
    return min(limits.most, max(look.workers + 1, math.ceil(look.workers * look.times_target(limits.target_s))))


def enough(looks: Sequence[Look], limits: Limits) -> int:
    """Return how many workers would have done for all these looks, within --min and --max.

    By the mean of those below the target, because a few seconds tell little of a load; by each of the others.
    """
    wanted, calm = 0, []
    for look in looks:
        if look.waits_s and not look.trouble and not is_over(look, limits):
            calm.append(look)
        else:
            wanted = max(wanted, wanted_then(look, limits))
    if calm:
        waited = fmean(look.workers * look.times_target(limits.target_s) for look in calm)
        share = most_busy(fmean(look.frame_s for look in calm), limits.target_s * PLANNED)
        loaded = fmean(look.busy_workers for look in calm) / share
        wanted = max(wanted, math.ceil(max(waited, loaded) - 1e-9))
    return min(limits.most, max(limits.least, wanted))


def _more(history: Sequence[Look], changed_s: float | None, limits: Limits) -> Decision:
    now = history[-1]
    why = f"{_waits(now, limits)}, over the target of {shown_s(limits.target_s)}"
    if now.times_target(limits.target_s) <= 1 + TOLERANCE:
        why = f"{_waits(now, limits)}, but {_busy(now)}: more may wait at the broker, unseen"
    if now.workers >= limits.most:
        return _stays(now, "max", f"{why}; {limits.most} is --max")
    if (left_s := _cooling_s(now, changed_s, limits)) > 0:
        return _stays(now, "cool-down", f"{why}; --cool-down is over in {shown_s(left_s)}")
    if len(history) > 1 and not is_over(history[-2], limits):
        return _stays(now, "noticed", f"{why}; if so at the next look, too, there will be more")
    below_s = None if now.is_always_busy else _below_in_s(history, changed_s, limits)
    if below_s is not None and below_s <= limits.cool_down_s:
        return _stays(now, "falling", f"{why}; as it falls, below it in {shown_s(below_s)}")
    wanted = wanted_then(now, limits)
    if wanted > 2 * now.workers:
        wanted, why = 2 * now.workers, f"{why}; {wanted} wanted, at most twice as many at once"
    return Decision(now.workers, wanted, "up", why)


def _fewer(history: Sequence[Look], changed_s: float | None, limits: Limits) -> Decision:
    now, settle = history[-1], shown_s(limits.settle_s)
    lasting = f" for all of the last {settle}" if limits.settle_s else ""
    why = f"{_waits(now, limits)}, {_busy(now)}"
    if now.workers == limits.least:
        return _stays(now, "min", f"{why}; {limits.least} is --min")
    begin_s = now.at_s - limits.settle_s
    wanted = enough([look for look in history if look.at_s >= begin_s], limits)
    if wanted >= now.workers:
        return _stays(now, "needed", f"{why}; fewer would not have done{lasting}")
    if history[0].at_s > begin_s:
        return _stays(now, "settling", f"{why}; {wanted} would do, but not for --settle {settle} yet")
    if (left_s := _cooling_s(now, changed_s, limits)) > 0:
        return _stays(now, "cool-down", f"{why}; {wanted} would do; --cool-down is over in {shown_s(left_s)}")
    why = f"{why}; {wanted} would have done{lasting}"
    return Decision(now.workers, max(wanted, math.ceil(now.workers / 2)), "down", why)


def _below_in_s(history: Sequence[Look], changed_s: float | None, limits: Limits) -> float | None:
    """Return when frames wait less than the target if they go on as since the worst look lately; None: not at all."""
    now = history[-1]
    since_s = max(now.at_s - limits.cool_down_s, -math.inf if changed_s is None else changed_s)
    seen = [(look.waiting_s, look.at_s) for look in history if look.waiting_s is not None and look.at_s >= since_s]
    worst_s, at_s = max(seen)
    if now.waiting_s is None or worst_s <= now.waiting_s:
        return None
    return (now.waiting_s - limits.target_s) * (now.at_s - at_s) / (worst_s - now.waiting_s)


def _cooling_s(now: Look, changed_s: float | None, limits: Limits) -> float:
    return 0.0 if changed_s is None else changed_s + limits.cool_down_s - now.at_s


def _within_bounds(now: Look, limits: Limits) -> Decision:
    wanted = min(limits.most, max(limits.least, now.workers))
    bound = f"fewer than --min {limits.least}" if now.workers < limits.least else f"more than --max {limits.most}"
    return Decision(now.workers, wanted, "bounds", f"{counted(now.workers)}, {bound}")


def _stays(now: Look, rule: Rule, why: str) -> Decision:
    return Decision(now.workers, now.workers, rule, why)


def _waits(now: Look, limits: Limits) -> str:
    """Return how long frames wait; where that is at a few workers alone, how long at the others."""
    held = [wait_s for wait_s in now.waits_s if wait_s > COUNTS_AT_MOST * limits.target_s]
    if not 0 < len(held) < len(now.waits_s):
        return f"frames wait {shown_s(now.waiting_s or 0.0)}"
    others_s = fmean(wait_s for wait_s in now.waits_s if wait_s not in held)
    return f"frames wait {shown_s(others_s)}, and {shown_s(max(held))} at {len(held)} of {counted(len(now.waits_s))}"


def _busy(now: Look) -> str:
    share = f"{fmean(now.busy):.0%}" if now.busy else "an unknown share"
    return f"{counted(now.workers)} busy {share} of the time"


def counted(workers: int) -> str:
    """Return a number of workers in words."""
    return "1 worker" if workers == 1 else f"{workers} workers"


def shown_s(seconds: float) -> str:
    """Return a duration as people write it: 35 ms, 1.4 s, 95 s."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
