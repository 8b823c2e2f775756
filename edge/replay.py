"""Decisions of a log made again under other conditions: what would have been chosen, and what it would have taken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from edge.decisions import Entry, Head
from planning.decide import Judged, Rates, check_limits, chosen, decide
from planning.errors import PlanError
from planning.live import Policy
from planning.ways import Conditions, Way, journey


@dataclass(frozen=True)
class Case:
    """What is different from what was; None leaves it."""

    change: Callable[[Conditions], Conditions] = lambda at: at
    rates: Rates | None = None
    policy: Callable[[Policy], Policy] = lambda policy: policy


@dataclass
class Tally:
    """How often a way was taken, and the sums of what that was predicted to take."""

    times: int = 0
    total_s: float = 0.0
    cost: float = 0.0


@dataclass
class Replay:
    """What was decided, and what would be, both judged under the new conditions, where these allow a way at all."""

    currency: str = ""
    decisions: int = 0
    not_allowed: int = 0
    """Decisions for which the limits allow no way under the new conditions."""
    then: dict[str, Tally] = field(default_factory=dict)
    now: dict[str, Tally] = field(default_factory=dict)
    changed: Counter[tuple[str, str]] = field(default_factory=Counter)
    """From which way to which, and how often."""


def replayed(log: Iterable[tuple[Head, Entry]], case: Case) -> Replay:
    """Return every decision of a log judged again; those that were none are left out: probes, no link, refusals.

    Raises: PlanError for prices that say too little for a limit.
    """
    out = Replay()
    for head, entry in log:
        if entry.why in ("probe", "no link", "refused"):
            continue
        rates, at = case.rates or head.rates, case.change(entry.conditions)
        out.currency = rates.currency if rates.names else ""
        policy = case.policy(head.policy)
        check_limits(policy.limits, rates)
        was = next((way for way in head.ways if way.name == entry.way), None)
        if was is None:
            continue
        out.decisions += 1
        limits = replace(policy.limits, message_bytes=entry.message_bytes)
        best = _best(head, at, rates, replace(policy, limits=limits))
        if best is None:
            out.not_allowed += 1
            continue
        _count(out.then, was, journey(was, at).total_s, rates.frame(was, journey(was, at)))
        _count(out.now, best.way, best.journey.total_s, best.cost)
        if best.way.name != was.name:
            out.changed[was.name, best.way.name] += 1
    return out


def _best(head: Head, at: Conditions, rates: Rates, policy: Policy) -> Judged | None:
    try:
        return chosen(decide(head.ways, at, rates, policy.weight, policy.limits, policy.method))
    except PlanError:
        return None


def _count(tallies: dict[str, Tally], way: Way, total_s: float, cost: float) -> None:
    tally = tallies.setdefault(way.name, Tally())
    tally.times += 1
    tally.total_s += total_s
    tally.cost += cost


def conditions_changed(**given: float | None) -> Callable[[Conditions], Conditions]:
    """Return what puts the values that are given in place of those that were."""
    wanted: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    return lambda at: replace(at, **wanted)


def rows(found: Replay) -> tuple[list[str], list[list[str]]]:
    """Return header and lines of the table: every way that was or would be taken, the most taken first."""
    header = ["way", "decided", "would be", "mean ms", *([f"mean {found.currency}"] if found.currency else [])]
    names = sorted(
        {*found.then, *found.now}, key=lambda name: -_times(found.now, name) - _times(found.then, name) / 1e6
    )
    lines = []
    for name in names:
        tally = found.now.get(name) or found.then[name]
        cost = [f"{tally.cost / tally.times:.3g}"] if found.currency else []
        shares = [_share(_times(tallies, name), found.decisions) for tallies in (found.then, found.now)]
        lines.append([name, *shares, f"{tally.total_s / tally.times * 1e3:.1f}", *cost])
    return header, lines


def as_dict(found: Replay) -> dict[str, Any]:
    """Return the same for programs."""
    return {
        "decisions": found.decisions,
        "not_allowed": found.not_allowed,
        "currency": found.currency,
        "then": _means(found.then),
        "now": _means(found.now),
        "changed": [{"from": was, "to": now, "times": times} for (was, now), times in found.changed.most_common()],
    }


def verdict(found: Replay) -> str:
    """Return one line that says what the change does."""
    if not found.decisions:
        return "no decision in this log"
    then, now = (sum(t.total_s for t in tallies.values()) for tallies in (found.then, found.now))
    judged = found.decisions - found.not_allowed
    text = f"{found.decisions} decisions, {sum(found.changed.values())} of them otherwise"
    if judged:
        text += f"; as decided {then / judged * 1e3:.1f} ms in the mean, so {now / judged * 1e3:.1f} ms"
    return text + (f"; for {found.not_allowed} the limits allow no way" if found.not_allowed else "")


def _times(tallies: dict[str, Tally], name: str) -> int:
    return tallies[name].times if name in tallies else 0


def _share(times: int, of: int) -> str:
    return f"{times / of:.0%}" if times else "-"


def _means(tallies: dict[str, Tally]) -> dict[str, dict[str, float]]:
    return {
        name: {"times": one.times, "total_ms": round(one.total_s / one.times * 1e3, 3), "cost": one.cost / one.times}
        for name, one in tallies.items()
    }
