"""How much memory a device and a worker hold at most while the shipped model streams."""

from __future__ import annotations

from benchmarks.installation import camera_pictures, installation, resident_bytes, run_device
from benchmarks.measure import Row
from models.bundle import Bundle

FRAMES = 500
MB = 1e6


def run() -> list[Row]:
    """Return the high-water marks after a few hundred frames."""
    split = Bundle.load("litter").cut_points[0]
    with installation() as at:
        pictures = camera_pictures(at.folder)
        _, device = run_device(at, pictures, "--split", split, "--frames", str(FRAMES), "--rate", "50")
        worker = resident_bytes(at.workers[0].pid)
    return [
        Row("device, most resident memory", device / MB, "MB", 200),
        Row("worker, most resident memory", worker / MB, "MB", 250),
    ]
