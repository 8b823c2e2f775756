"""The command `headwater plan replay`."""

from __future__ import annotations

import json as json_text
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from edge.preferences import Charged, rates_wanted
from planning.decide import Method

if TYPE_CHECKING:
    from edge.replay import Case
    from planning.live import Policy

Factor = Annotated[float | None, Parameter(validator=Number(gt=0, lte=1e6))]


@dataclass(frozen=True, kw_only=True)
class ReplaySettings:
    """What is different from what was; what is left out stays as it was at each decision."""

    bandwidth: str | None = None
    """Of the link, such as 2Mbit/s."""
    round_trip: str | None = None
    """Of the link, such as 40ms."""
    slowdown: Factor = None
    """How many times slower the device is than when its profile was measured."""
    worker_slowdown: Factor = None
    """How many times slower the worker is than the device was then."""
    worker_wait: str | None = None
    """How long a frame waits at the worker before its turn, such as 10ms."""
    rate: Annotated[float | None, Parameter(validator=Number(gte=0, lte=1e6))] = None
    """Pictures a second to keep up with; 0 asks for the single frame alone."""
    charged: Annotated[Charged, Parameter(name="*")] = field(default_factory=Charged)
    """What a frame is charged for."""
    weight: Annotated[float | None, Parameter(validator=Number(gte=0, lte=1))] = None
    """0: the fastest, 1: the cheapest."""
    method: Method | None = None
    """The least weighted sum, or the rank match of papers/001."""


def replay(
    log: Path, /, *, settings: Annotated[ReplaySettings, Parameter(name="*")] | None = None, json: bool = False
) -> None:
    """Decide again what a device with `--split auto` decided, under other conditions.

    Example: headwater plan replay ~/.local/state/headwater/demo/cam1.decisions.jsonl --bandwidth 2Mbit/s

    Every decision of the log is made again by itself, with the profile, prices and limits that it was made with and
    whatever is given here, and compared with what the way that was taken would have been.

    Args:
        log: a device's decision log
        settings: what is different
        json: print JSON instead of the table
    """
    from edge.decisions import read_log
    from edge.replay import as_dict, replayed, rows, verdict
    from models.columns import in_columns

    found = replayed(read_log(log), _case(settings or ReplaySettings()))
    if json:
        print(json_text.dumps(as_dict(found), indent=1))
        return
    if found.decisions:
        header, lines = rows(found)
        print(in_columns(header, lines, header[1:]) + "\n")
    print(verdict(found))


def _case(asked: ReplaySettings) -> Case:
    from edge.replay import Case, conditions_changed
    from headwater.quantities import bits_per_s, seconds

    rates = rates_wanted(asked.charged)
    change = conditions_changed(
        bandwidth_bits_per_s=None if asked.bandwidth is None else bits_per_s(asked.bandwidth),
        round_trip_s=None if asked.round_trip is None else seconds("round-trip", asked.round_trip),
        device_slowdown=asked.slowdown,
        worker_slowdown=asked.worker_slowdown,
        worker_wait_s=None if asked.worker_wait is None else seconds("worker-wait", asked.worker_wait),
        frames_per_s=asked.rate,
    )

    def policy(was: Policy) -> Policy:
        weight = was.weight if asked.weight is None else asked.weight
        return replace(was, weight=weight, method=asked.method or was.method)

    return Case(change, rates if asked.charged.prices is not None else None, policy)
