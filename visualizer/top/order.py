"""What the devices of a fleet are sorted by."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal, get_args

if TYPE_CHECKING:
    from visualizer.top.figures import DeviceFigures

Sort = Literal["name", "state", "frames", "latency", "exits", "spool", "dropped", "resent", "round-trip", "temperature"]
SORTS: Final[tuple[Sort, ...]] = get_args(Sort)
UNREST: Final = {"offline": 2.0, "stale": 1.0}
"""How much a state needs a person."""

BY: Final[Mapping[Sort, Callable[[DeviceFigures], float | None]]] = {
    "state": lambda device: UNREST.get(device.state, 0.0),
    "frames": lambda device: device.frames_per_s,
    "latency": lambda device: device.stored_p95_ms,
    "exits": lambda device: device.left_early,
    "spool": lambda device: device.spool_bytes,
    "dropped": lambda device: device.dropped,
    "resent": lambda device: device.resent,
    "round-trip": lambda device: device.round_trip_ms,
    "temperature": lambda device: device.temperature_c,
}
"""What is compared, the largest first; a device that has none comes last."""


def in_order(devices: Sequence[DeviceFigures], sort: Sort) -> list[DeviceFigures]:
    """Return the devices sorted, those that are alike by name."""
    if sort == "name":
        return sorted(devices, key=lambda device: device.name)
    value = BY[sort]

    def key(device: DeviceFigures) -> tuple[float, str]:
        found = value(device)
        return (math.inf if found is None else -found, device.name)

    return sorted(devices, key=key)


def after(sort: Sort) -> Sort:
    """Return what is sorted by next."""
    return SORTS[(SORTS.index(sort) + 1) % len(SORTS)]
