"""What each cut of a model costs on this host: bytes, multiply-adds, and measured milliseconds of head and tail."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np

from models.engine import Array, Engine, Part, TensorSpec
from models.errors import ModelFileError, NoCutPoint, RunError
from models.graph import CutPoint, TensorName
from models.runtime import runtime_name, work_clock

RUNS = 15
LONGEST_PER_PART_S = 1.0
VERSION = 2

Progress = Callable[[int, int], None]


class CutCost(msgspec.Struct, frozen=True):
    """One cut point and what it costs; the milliseconds are None when they were not measured."""

    name: str
    tensor: str
    shape: tuple[int, ...]
    dtype: str
    bytes: int
    madds_head: int
    madds_tail: int
    ms_head: float | None = None
    ms_tail: float | None = None


class Profile(msgspec.Struct, frozen=True):
    """All cut points of one model, measured with one runtime on one host."""

    digest: str
    host: str
    runtime: str
    threads: int
    xnnpack: bool
    ms_whole: float
    cuts: tuple[CutCost, ...]
    version: int = VERSION


def costs(points: Sequence[CutPoint]) -> tuple[CutCost, ...]:
    """Return what the file alone tells about each cut point."""
    return tuple(CutCost(p.name, p.tensor, p.shape, p.dtype, p.nbytes, p.madds_head, p.madds_tail) for p in points)


def profile(
    model: Path,
    *,
    threads: int = 1,
    xnnpack: bool = True,
    signature: str | None = None,
    outputs: Sequence[TensorName] | None = None,
    fresh: bool = False,
    progress: Progress | None = None,
) -> Profile:
    """Return the profile of a model on this host: from the cache, else measured and kept there.

    Args:
        model: the .tflite file
        threads: LiteRT threads
        xnnpack: run with the XNNPACK kernels
        signature: the signature to use, of a file with several
        outputs: the final outputs, when not all (a model with early exits)
        fresh: measure again even when the cache knows
        progress: called with (cut points done, all) while measuring

    Raises:
        NoCutPoint: the model has none.
        RunError: its input is of open size, so that nothing stands for a picture of it.
    """
    engine = Engine(model, threads=threads, xnnpack=xnnpack, max_cached_parts=1, signature=signature, outputs=outputs)
    points = engine.graph.cut_points()
    if not points:
        raise NoCutPoint(engine.graph.origin)
    digest = hashlib.sha256(_bytes(model)).hexdigest()
    variant = hashlib.sha256(repr((signature, outputs)).encode()).hexdigest()[:8] if signature or outputs else ""
    path = cache_path(digest, threads, xnnpack, variant)
    known = None if fresh else _cached(path)
    if known is not None and known.digest == digest and [cut.name for cut in known.cuts] == [p.name for p in points]:
        return known
    measured = _measure(engine, points, progress or (lambda done, total: None))
    result = Profile(digest, platform.node(), runtime_name(), threads, xnnpack, *measured)
    _keep(path, result)
    return result


def _bytes(model: Path) -> bytes:
    try:
        return model.read_bytes()
    except OSError as error:
        raise ModelFileError(str(model), f"it cannot be read ({error.strerror})") from error


def cache_path(digest: str, threads: int, xnnpack: bool, variant: str = "") -> Path:
    """Return where the profile of a model on this host with this runtime is kept."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "headwater" / "profiles"
    parts = [digest[:24], platform.node(), runtime_name(), f"{threads}t" if xnnpack else f"{threads}t-plain", variant]
    return folder / (re.sub(r"[^A-Za-z0-9.]+", "-", "-".join(parts)).strip("-") + ".json")


def _cached(path: Path) -> Profile | None:
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Profile)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found if found.version == VERSION else None


def _keep(path: Path, result: Profile) -> None:
    """Write the profile to the cache; a cache that cannot be written only costs time."""
    unfinished = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_bytes(msgspec.json.encode(result))
        unfinished.replace(path)
    except OSError:
        return


def _measure(engine: Engine, points: Sequence[CutPoint], progress: Progress) -> tuple[float, tuple[CutCost, ...]]:
    """Return the milliseconds of the whole model, and the cost of every cut with those of its head and tail."""
    whole = engine.whole()
    if any(-1 in spec.shape_signature[1:] for spec in whole.inputs):
        raise RunError(
            engine.graph.origin,
            "its input is of open size",
            "convert it for one size, or leave the times out (--no-measure)",
        )
    pictures = [noise(spec) for spec in whole.inputs]
    ms_whole, _ = median_ms(whole, pictures)
    found = []
    for done, (point, cost) in enumerate(zip(points, costs(points), strict=True)):
        progress(done, len(points))
        ms_head, activation = median_ms(engine.head(point.name), pictures)
        ms_tail, _ = median_ms(engine.tail(point.name), activation)
        shape, size = activation[0].shape, activation[0].nbytes
        found.append(msgspec.structs.replace(cost, shape=shape, bytes=size, ms_head=ms_head, ms_tail=ms_tail))
    progress(len(points), len(points))
    return ms_whole, tuple(found)


def median_ms(part: Part, inputs: Sequence[Array], runs: int = RUNS) -> tuple[float, tuple[Array, ...]]:
    """Return the median time of one run of a warmed-up part by its work clock, and its outputs."""
    clock_ns = work_clock(part.threads)
    outputs, times_ns, began_ns = part.run(*inputs), list[int](), time.perf_counter_ns()
    while len(times_ns) < 3 or (len(times_ns) < runs and time.perf_counter_ns() - began_ns < LONGEST_PER_PART_S * 1e9):
        start_ns = clock_ns()
        outputs = part.run(*inputs)
        times_ns.append(clock_ns() - start_ns)
    return statistics.median(times_ns) / 1e6, outputs


def noise(spec: TensorSpec, seed: int = 0) -> Array:
    """Return random numbers of the shape and type of an input, over the whole range of an integer, else in [0, 1)."""
    random, dtype = np.random.default_rng(seed), np.dtype(spec.dtype)
    if np.issubdtype(dtype, np.integer) and dtype.itemsize == 1:
        limits = np.iinfo(dtype)
        return random.integers(limits.min, limits.max + 1, spec.shape).astype(dtype)
    return random.random(spec.shape).astype(dtype)
