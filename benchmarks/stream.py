"""What the whole stream adds to its limit: LiteRT alone for head and tail, plus a bare MQTT round trip of its bytes.

Stream and limit run at one pace, as a camera gives its frames: between two of them the processor falls asleep and its
caches are lost, which makes every step slower than it is in a loop without a rest, here as there.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from pathlib import Path

from benchmarks.echo import round_trip_ms
from benchmarks.installation import Installation, camera_pictures, installation, network_pictures, run_device
from benchmarks.measure import Row, median_ms
from benchmarks.nets import random_input
from models.bundle import Bundle
from models.engine import Engine, Part
from models.pictures import decode_to_fit

FRAMES, RATE = 200, 20
THREADS = 1
"""LiteRT threads on the device, as on the worker: a net of 2 ms is slower with more when it rests between frames."""
MOST_OVER_MS = 3.0


def run() -> list[Row]:
    """Return, for the picture, three cut points and the device, the stream's p50 and what is over the limit."""
    bundle = Bundle.load("litter")
    offered = bundle.cut_points
    cuts = [offered[0], offered[len(offered) // 2], offered[-1]]
    rows: list[Row] = []
    with installation() as at:
        small = network_pictures(at.folder, bundle.input.width, bundle.input.height)
        for split in ["image", *cuts, "device"]:
            rows += _one(at, small, split, bundle)
        rows += _with_camera(at, cuts[1], bundle)
    return rows


def _one(at: Installation, pictures: Path, split: str, bundle: Bundle) -> list[Row]:
    stages, size = _streamed(at, pictures, split)
    computing_ms, travelling_ms = _computing_ms(bundle, split), round_trip_ms(at.broker, size, 1 / RATE)
    over_ms = stages["total"]["p50"] - computing_ms - travelling_ms
    return [
        Row(f"split {split}: bytes a frame", size, "B"),
        Row(f"split {split}: whole stream, p50", stages["total"]["p50"], "ms"),
        Row(f"split {split}: LiteRT alone", computing_ms, "ms"),
        Row(f"split {split}: bare round trip", travelling_ms, "ms"),
        Row(f"split {split}: whole stream - limit", over_ms, "ms", MOST_OVER_MS),
    ]


def _with_camera(at: Installation, split: str, bundle: Bundle) -> list[Row]:
    """Return the same for pictures that must first be decoded and scaled; Pillow alone does that in the limit."""
    pictures = camera_pictures(at.folder)
    stages, size = _streamed(at, pictures, split)
    wanted, turns = bundle.input, cycle([path.read_bytes() for path in sorted(pictures.iterdir())])
    decoding_ms = _paced_ms(lambda: decode_to_fit(next(turns), wanted.width, wanted.height))
    limit_ms = _computing_ms(bundle, split) + round_trip_ms(at.broker, size, 1 / RATE)
    total_ms, name = stages["total"]["p50"], f"split {split}, JPEG 640x480"
    return [
        Row(f"{name}: whole stream, p50", total_ms, "ms"),
        Row(f"{name}: whole stream - limit", total_ms - limit_ms, "ms"),
        Row(f"{name}: decoding and scaling alone", decoding_ms, "ms"),
        Row(f"{name}: whole stream - limit - decoding", total_ms - limit_ms - decoding_ms, "ms", MOST_OVER_MS),
    ]


def _streamed(at: Installation, pictures: Path, split: str) -> tuple[dict[str, dict[str, float]], int]:
    codec = ["--codec", "jpeg:90"] if split == "image" else []
    arguments = ["--split", split, "--frames", str(FRAMES), "--rate", str(RATE), "--threads", str(THREADS), *codec]
    figures, _ = run_device(at, pictures, *arguments)
    return figures["stages_ms"], round(figures["bytes_per_frame"])


def _computing_ms(bundle: Bundle, split: str) -> float:
    device, worker = (Engine(bundle.model_path, outputs=bundle.finals, threads=n) for n in (THREADS, 1))
    parts = {"image": [worker.whole()], "device": [device.whole()]}.get(split) or [
        device.head(split),
        worker.tail(split),
    ]
    return sum(_run_ms(part) for part in parts)


def _run_ms(part: Part) -> float:
    array = random_input(part)
    return _paced_ms(lambda: part.run(array))


def _paced_ms(run: Callable[[], object]) -> float:
    return median_ms(run, FRAMES // 2, 5, pause_s=1 / RATE)
