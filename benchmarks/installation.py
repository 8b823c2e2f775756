"""A whole Headwater for measuring: broker, store, workers and device as the real processes."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headwater.children import Child, start
from headwater.demo import built_in_photographs
from models.pictures import decode_picture, decode_to_fit, encode_jpeg, fit

START_S = 60.0
LOOK_S = 0.05


@dataclass(frozen=True)
class Installation:
    """Where a running installation listens, and what runs."""

    broker: str
    store: str
    workers: list[Child]
    folder: Path


def headwater(name: str, *arguments: str) -> Child:
    """Return a running `headwater` command."""
    return start(name, [sys.executable, "-P", "-m", "headwater", *arguments])


@contextmanager
def installation(workers: int = 1, *, processes: int = 1, bundles: Path | None = None) -> Iterator[Installation]:
    """Run broker, store and workers of so many processes each; all are stopped at the end.

    One process alone has no parent: what is measured of it is its own.
    """
    running: list[Child] = []
    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as name:
        folder = Path(name)
        try:
            broker = server("broker", folder, running)
            store = server("store", folder, running)
            for number in range(workers):
                extra = ["--bundles", str(bundles)] if bundles else []
                extra += ["--in-hand-file", str(folder / f"in-hand-{number}")] if processes == 1 else []
                at = ["--broker", broker, "--store", store, "--name", f"worker-{number}", *extra]
                running.append(headwater("worker", "worker", "--processes", str(processes), *at))
                running[-1].wait_for_line("ready", START_S)
            yield Installation(broker, store, running[2:], folder)
        finally:
            for child in reversed(running):
                child.stop()


def server(name: str, folder: Path, running: list[Child]) -> str:
    running.append(headwater(name, name, "run", "--port", "0", "--folder", str(folder / name)))
    return running[-1].wait_for_line("listening", START_S).split()[1]


def run_device(at: Installation, pictures: Path, *arguments: str) -> tuple[dict[str, Any], int]:
    """Return a device's figures after it has sent all its pictures, and the most memory it held, in bytes."""
    spool = str(at.folder / "spool")
    command = ["--source", str(pictures), "--broker", at.broker, "--spool", spool, "--json", "--loop", *arguments]
    device = headwater("device", "edge", *command)
    most = 0
    while device.alive:
        most = max(most, resident_bytes(device.pid))
        time.sleep(LOOK_S)
    summary: dict[str, Any] = json.loads(device.wait_for_line("{", 10))
    device.stop()
    if summary["dropped"] or sum(summary["finished"].values()) != summary["captured"]:
        raise SystemExit(f"benchmarks: not every frame was finished: {summary}")
    return summary, most


def resident_bytes(pid: int) -> int:
    """Return the most memory that a process has held so far. Source: proc(5), VmHWM."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)


def network_pictures(folder: Path, width: int, height: int) -> Path:
    """Write the same photographs in the network's own size, uncompressed, and return the folder."""
    pictures = folder / "network"
    pictures.mkdir(parents=True, exist_ok=True)
    for path in built_in_photographs():
        small = decode_to_fit(path.read_bytes(), width, height)
        (pictures / f"{path.stem}.ppm").write_bytes(b"P6 %d %d 255\n" % (width, height) + small.tobytes())
    return pictures


def camera_pictures(folder: Path) -> Path:
    """Write the photographs of pip packages as a camera would give them, 640x480 JPEG, and return the folder."""
    pictures = folder / "camera"
    pictures.mkdir(parents=True, exist_ok=True)
    for path in built_in_photographs():
        picture = fit(decode_picture(path.read_bytes()), 640, 480)
        (pictures / f"{path.stem}.jpg").write_bytes(encode_jpeg(picture, 90))
    return pictures
