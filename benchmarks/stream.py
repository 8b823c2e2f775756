"""What the whole stream adds to its limit: LiteRT alone for head and tail, plus a bare MQTT round trip of its bytes."""

from __future__ import annotations

from pathlib import Path

from benchmarks.echo import round_trip_ms
from benchmarks.installation import Installation, camera_pictures, installation, run_device
from benchmarks.measure import Row, median_ms
from benchmarks.nets import random_input
from models.bundle import Bundle
from models.engine import Engine, Part

FRAMES, RATE = 200, 20
THREADS = 2
"""LiteRT threads on the device, as `headwater edge` takes on two cores; the worker has one."""


def run() -> list[Row]:
    """Return, for three cut points, the picture and the device, the stream's p50 and what is over the limit."""
    bundle = Bundle.load("litter")
    offered = bundle.cut_points
    splits = ["image", offered[0], offered[len(offered) // 2], offered[-1], "device"]
    rows: list[Row] = []
    with installation() as at:
        pictures = camera_pictures(at.folder)
        for split in splits:
            rows += _one(at, pictures, split, bundle)
    return rows


def _one(at: Installation, pictures: Path, split: str, bundle: Bundle) -> list[Row]:
    arguments = ["--split", split, "--frames", str(FRAMES), "--rate", str(RATE), "--threads", str(THREADS)]
    figures, _ = run_device(at, pictures, *arguments)
    if figures["finished"]["device"] + figures["finished"]["worker"] != FRAMES:
        raise SystemExit(f"benchmarks: {figures}: not every frame was finished")
    stages = figures["stages_ms"]
    size = round(figures["bytes_per_frame"])
    limit_ms = _compute_ms(bundle, split) + round_trip_ms(at.broker, size)
    total_ms = stages["total"]["p50"]
    camera_ms = stages["capture"]["p50"] + stages["crop"]["p50"]
    return [
        Row(f"split {split}: bytes a frame", size, "B"),
        Row(f"split {split}: whole stream, p50", total_ms, "ms"),
        Row(f"split {split}: of it capture (JPEG 640x480) and crop", camera_ms, "ms"),
        Row(f"split {split}: limit (LiteRT + bare round trip)", limit_ms, "ms"),
        Row(f"split {split}: whole stream - limit", total_ms - limit_ms, "ms", 3.0),
    ]


def _compute_ms(bundle: Bundle, split: str) -> float:
    device, worker = Engine(bundle.model_path, threads=THREADS), Engine(bundle.model_path, threads=1)
    parts = {"image": [worker.whole()], "device": [device.whole()]}.get(split) or [
        device.head(split),
        worker.tail(split),
    ]
    return sum(_run_ms(part) for part in parts)


def _run_ms(part: Part) -> float:
    array = random_input(part)
    return median_ms(lambda: part.run(array))
