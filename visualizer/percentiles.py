"""Percentiles of stage times, pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from headwater.clock import STAGES
from headwater.messages import StoredJourney
from visualizer.window import Sighting

TOTAL: Final = "whole"
"""From the start of the capture to the result on the device."""


@dataclass(frozen=True)
class Percentiles:
    """How long something took: half of the frames, 95 and 99 of 100 took no longer than this."""

    frames: int
    p50_ms: float
    p95_ms: float
    p99_ms: float


def percentiles(durations_ns: Sequence[int]) -> Percentiles:
    """Return the percentiles of at least one duration. Source: Hyndman and Fan 1996, definition 7 (numpy's default)."""
    import numpy as np  # by whoever looks first: without it the site is there a tenth of a second sooner

    p50, p95, p99 = np.percentile(np.asarray(durations_ns, dtype=np.float64), (50, 95, 99)) / 1e6
    return Percentiles(len(durations_ns), float(p50), float(p95), float(p99))


def stage_times(sightings: Sequence[Sighting], journeys: Mapping[str, StoredJourney]) -> dict[str, Percentiles]:
    """Return the percentiles of every stage that occurs, from left to right, and of the whole where it is known."""
    durations: dict[str, list[int]] = {stage: [] for stage in (*STAGES, TOTAL)}
    for sighting in sightings:
        for stage, duration_ns in sighting.record.stages_ns.items():
            durations[stage].append(duration_ns)
        journey = journeys.get(sighting.frame_id)
        if journey is not None:
            durations["uplink"].append(journey.uplink_ns)
            durations["downlink"].append(journey.downlink_ns)
            durations[TOTAL].append(journey.total_ns)
    return {stage: percentiles(known) for stage, known in durations.items() if known}
