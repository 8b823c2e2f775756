"""What became of a load, as lines and as plain values for JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from evaluation.load_run import Loaded, Part
from models.columns import in_columns

PERCENTS = (50, 95, 99)
_COLUMNS = ("process", "cores", "of", "share", "MB at first", "MB at last")


def lines(found: Loaded) -> Iterator[str]:
    """Return the counts, the pace, the latency, and who was busy."""
    counts, pace = found.counts, "as fast as answers come" if found.rate is None else f"{found.rate:g}/s each"
    yield (
        f"{found.devices:,} devices, {pace}: {counts.captured:,} frames = {counts.answered:,} answered "
        f"+ {counts.refused:,} refused + {counts.held_back:,} held back + {counts.unanswered:,} without answer; "
        f"{counts.sent_again:,} sent again, {counts.answered_again:,} answered again"
    )
    times = ", ".join(f"p{percent} {found.latencies.percentile_s(percent) * 1e3:.1f}" for percent in PERCENTS)
    yield (
        f"{found.frames_per_s:.1f} frames/s of {found.frame_bytes:,.0f} B for {found.seconds:.0f} s; "
        f"sent to answered: {times} ms"
    )
    yield ""
    yield in_columns(_COLUMNS, [_row(part) for part in found.parts], _COLUMNS[1:])
    yield ""
    busiest = busiest_part(found)
    yield f"busiest: {busiest.name}, {busiest.share:.0%} of what it can use"


def busiest_part(found: Loaded) -> Part:
    """Return which kind of process is nearest to its end; all cores together where they are."""
    return found.parts[0]


def as_json(found: Loaded) -> dict[str, Any]:
    """Return the same as plain values; times in ms."""
    return {
        "devices": found.devices,
        "rate": found.rate,
        "seconds": found.seconds,
        "frames_per_s": found.frames_per_s,
        "frame_bytes": found.frame_bytes,
        "counts": {**asdict(found.counts), "unanswered": found.counts.unanswered},
        "latency_ms": {f"p{percent}": found.latencies.percentile_s(percent) * 1e3 for percent in PERCENTS},
        "processes": {part.name: asdict(part) for part in found.parts},
    }


def _row(part: Part) -> list[str]:
    memory = [f"{size / 1e6:.0f}" if size else "" for size in (part.begin_bytes, part.end_bytes)]
    return [part.name, f"{part.cores:.2f}", f"{part.most_cores:g}", f"{part.share:.0%}", *memory]
