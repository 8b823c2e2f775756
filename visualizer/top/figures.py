"""A fleet at one moment: a row for each device and worker, and the whole of it. Values in, values out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from visualizer.devices import Heard, State, state_of
from visualizer.top.lately import Spread, WorkerFigures


@dataclass(frozen=True)
class DeviceFigures:
    """A device by its own word, and how long its frames took; None is what nobody knows."""

    name: str
    state: State
    frames_per_s: float
    """Captured lately; 0 for a device that is not online."""
    stored_p50_ms: float | None
    """From the start of the capture until the worker had stored the frame."""
    stored_p95_ms: float | None
    split: str
    codec: str
    finished: int
    """Since the device's start, as all counts."""
    at_exits: int
    left_early: float | None
    """The share of the finished frames that left at an exit of the device."""
    in_flight: int
    spool_bytes: int
    spool_limit_bytes: int
    dropped: int
    resent: int
    bandwidth_bits_per_s: float | None
    round_trip_ms: float | None
    clock_offset_ms: float | None
    """How far the clock of the worker that answered last is ahead."""
    clock_uncertainty_ms: float | None
    temperature_c: float | None


@dataclass(frozen=True)
class Totals:
    """All devices together, shown or not."""

    devices: int
    online: int
    stale: int
    offline: int
    frames_per_s: float
    left_early: float | None
    in_flight: int
    spool_bytes: int
    dropped: int
    resent: int


@dataclass(frozen=True)
class View:
    """All that is known of a fleet at one moment."""

    fleet: str
    broker: str
    at_ns: int
    away_s: float | None
    """How long the broker has been away; None: it is there."""
    totals: Totals
    devices: Sequence[DeviceFigures]
    workers: Sequence[WorkerFigures]
    unreadable: int
    """Messages that were none of ours."""


def device_figures(heard: Heard, took: Spread | None, now_ns: int) -> DeviceFigures:
    """Return a device's row, from its last status and what its frames took lately."""
    status, state = heard.status, state_of(heard, now_ns)
    link, clock, at_exits = status.link, status.clock, sum(status.exits.values())
    finished = status.finished.device + status.finished.worker
    return DeviceFigures(
        name=status.device,
        state=state,
        frames_per_s=status.frames_per_s if state == "online" else 0.0,
        stored_p50_ms=None if took is None else took.p50,
        stored_p95_ms=None if took is None else took.p95,
        split=status.split,
        codec=status.codec,
        finished=finished,
        at_exits=at_exits,
        left_early=share(at_exits, finished),
        in_flight=status.in_flight,
        spool_bytes=status.spool_bytes,
        spool_limit_bytes=status.spool_limit_bytes,
        dropped=sum(status.dropped.values()),
        resent=status.resent,
        bandwidth_bits_per_s=None if link is None else link.bandwidth_bits_per_s,
        round_trip_ms=None if link is None else link.round_trip_ms,
        clock_offset_ms=None if clock is None else clock.offset_ms,
        clock_uncertainty_ms=None if clock is None else clock.uncertainty_ms,
        temperature_c=status.temperature_c if status.online else None,
    )


def totals(devices: Sequence[DeviceFigures]) -> Totals:
    """Return all devices together."""
    states = [one.state for one in devices]
    return Totals(
        devices=len(devices),
        online=states.count("online"),
        stale=states.count("stale"),
        offline=states.count("offline"),
        frames_per_s=sum(one.frames_per_s for one in devices),
        left_early=share(sum(one.at_exits for one in devices), sum(one.finished for one in devices)),
        in_flight=sum(one.in_flight for one in devices),
        spool_bytes=sum(one.spool_bytes for one in devices),
        dropped=sum(one.dropped for one in devices),
        resent=sum(one.resent for one in devices),
    )


def share(part: int, whole: int) -> float | None:
    """Return a share, None of nothing."""
    return part / whole if whole else None


def as_json(view: View) -> dict[str, Any]:
    """Return a view as plain values, its numbers with three decimals."""
    return {key: _plain(value) for key, value in dataclasses.asdict(view).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value
