"""What a browser draws on the map: one short row per frame, pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from visualizer.window import Sighting

MADE_UP: Final = "made-up"
"""The source of a position that nobody measured."""

COLUMNS: Final = (
    "entry", "id", "device", "captured_ms", "latitude", "longitude", "source", "name", "predictions"
)  # fmt: skip


def row(sighting: Sighting) -> list[Any]:
    """Return one frame as `COLUMNS`, with null for what it lacks."""
    record, position = sighting.record, sighting.record.position
    return [
        sighting.entry,
        sighting.frame_id,
        record.device,
        record.captured_ns // 1_000_000,
        round(position.latitude, 6) if position else None,
        round(position.longitude, 6) if position else None,
        position.source if position else None,
        record.name,
        [[p.task, p.label, p.value, p.confidence] for p in record.predictions],
    ]


def rows(sightings: Iterable[Sighting]) -> list[list[Any]]:
    """Return one row per frame, in their order."""
    return [row(sighting) for sighting in sightings]
