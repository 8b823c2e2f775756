"""The same pictures, network, cut and broker, once the papers' way and once Headwater's."""

from __future__ import annotations

import json
import sys
from typing import Any

from benchmarks.installation import Installation, camera_pictures, installation, run_device
from benchmarks.measure import Row
from benchmarks.nets import keras_file
from benchmarks.worker import folder_of
from headwater.children import start
from models.bundle import Bundle
from models.engine import Engine

CUT = "block_5_add"
FRAMES = 60
FAST_FRAMES = 600


def run() -> list[Row]:
    """Return latency, frames a second and bytes of both ways, and their ratios; float32 and, shipped, int8."""
    large = Bundle.load(keras_file("MobileNetV2", 160, "float32"))
    litter = Bundle.load("litter")
    with installation(bundles=folder_of(large)) as at:
        pictures = camera_pictures(at.folder)
        theirs = _papers_way(at, str(pictures))
        rows = _rows("papers' way (Keras, JSON)", theirs)
        for label, bundle in (("float32", large), ("int8", litter)):
            ours = _our_way(at, bundle, pictures)
            rows += _rows(f"Headwater {label}", ours)
            rows.append(
                Row(f"latency: papers' way / Headwater {label}", theirs["p50_ms"] / ours["p50_ms"], "×", 10, "higher")
            )
            ratio = ours["frames_per_s"] / theirs["frames_per_s"]
            rows.append(Row(f"frames/s: Headwater {label} / papers' way", ratio, "×", 10, "higher"))
    return rows


def _rows(label: str, figures: dict[str, float]) -> list[Row]:
    return [
        Row(f"{label}: p50", figures["p50_ms"], "ms"),
        Row(f"{label}: frames/s", figures["frames_per_s"], "/s"),
        Row(f"{label}: bytes a frame", figures["bytes"], "B"),
    ]


def _papers_way(at: Installation, pictures: str) -> dict[str, float]:
    program = [sys.executable, "-m", "benchmarks.papers_way"]
    other = start("papers' subscriber", [*program, "subscriber", at.broker, at.store, CUT])
    try:
        other.wait_for_line("ready", 120)
        publisher = start("papers' publisher", [*program, "publisher", at.broker, CUT, pictures, str(FRAMES)])
        figures: dict[str, float] = json.loads(publisher.wait_for_line("{", 300))
        publisher.stop()
        return figures
    finally:
        other.stop()


def _our_way(at: Installation, bundle: Bundle, pictures: Any) -> dict[str, float]:
    points = Engine(bundle.model_path, outputs=bundle.finals).graph.cut_points()
    split = next(p.name for p in points if CUT in f"{p.name} {p.tensor}")
    common = ["--bundle", str(bundle.model_path.parent if bundle.tasks else bundle.model_path), "--split", split]
    calm, _ = run_device(at, pictures, *common, "--frames", str(FRAMES), "--rate", "20")
    fast, _ = run_device(at, pictures, *common, "--frames", str(FAST_FRAMES), "--name", "fast")
    return {
        "p50_ms": calm["stages_ms"]["total"]["p50"],
        "frames_per_s": fast["frames_per_s"],
        "bytes": calm["bytes_per_frame"],
    }
