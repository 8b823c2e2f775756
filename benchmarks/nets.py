"""The networks that are measured."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import numpy as np

from models.engine import Engine, Part

NEAR = 0.25
"""By so much of what is wanted a tail may be quicker or slower."""
CACHE = Path(".cache/zoo")
EXPORT = Path("tests/models/zoo_export.py")


def keras_file(name: str, size: int, kind: str) -> Path:
    """Return an architecture of keras.applications as a .tflite file, converted once and kept."""
    path = CACHE / f"{name}-{size}-{kind}.tflite"
    if not path.is_file():
        CACHE.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, EXPORT, name, str(size), CACHE, kind], check=True, capture_output=True)
    return path


def random_input(part: Part) -> np.ndarray:
    """Return noise that fits a part's only input."""
    spec = part.inputs[0]
    random = np.random.default_rng(0)
    if np.dtype(spec.dtype).kind == "f":
        return random.uniform(-1, 1, spec.shape).astype(spec.dtype)
    limits = np.iinfo(spec.dtype)
    return random.integers(limits.min, limits.max, spec.shape, spec.dtype, endpoint=True)


def cut_with_tail_of(engine: Engine, wanted_ms: float, offered: Collection[str] = ()) -> tuple[str, float]:
    """Return the cut point whose tail takes about `wanted_ms` here, of those offered if any, and its time.

    Inside a block the same milliseconds may carry six times the bytes, so of all whose tail is near enough it is the
    one where least travels; where none is, the nearest.
    """
    from benchmarks.measure import median_ms

    times, sizes = {}, {}
    for point in engine.graph.cut_points():
        if offered and point.name not in offered:
            continue
        tail = engine.tail(point.name)
        array = random_input(tail)
        times[point.name] = median_ms(lambda tail=tail, array=array: tail.run(array), repeats=15, warm_up=3)
        sizes[point.name] = array.nbytes
    near = [name for name, ms in times.items() if abs(ms - wanted_ms) <= NEAR * wanted_ms]
    name = min(near, key=sizes.__getitem__) if near else min(times, key=lambda name: abs(times[name] - wanted_ms))
    return name, times[name]
