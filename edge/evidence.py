"""What a bundle says of a way: how often its answers are right, and what leaks on it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from edge.splits import AUTO, DEVICE, IMAGE, checked_split
from headwater.errors import SettingsError
from models.bundle import Bundle
from models.engine import Engine
from models.exits import ExitRule
from models.stages import exits_before
from planning.decide import Limits
from planning.ways import Way


def leaks_of(bundle: Bundle, splits: Sequence[str]) -> dict[str, float]:
    """Return the SSIM with which pictures come back from the splits; none of those before the first that was tried.

    Behind it there is nothing that was not there: what was not tried leaks at most what the last one before it did.
    """
    measured = {leak.cut: leak.ssim for leak in bundle.leaks}
    found, least = {IMAGE: 1.0}, 1.0
    for split in splits:
        if split in measured:
            least = min(least, measured[split])
            found[split] = least
        elif least < 1.0:
            found[split] = least
    return found


def check_may_leave(bundle: Bundle, engine: Engine, split: str, limits: Limits) -> None:
    """Pass where what travels from a split may leave the device. Raises: SettingsError."""
    if split in (AUTO, DEVICE):
        return
    split = checked_split(engine.graph, split)
    if limits.keeps_pictures and split == IMAGE:
        raise SettingsError("split: got 'image', and with --keep-pictures no picture leaves the device; choose another")
    most, leaks = limits.leak_ssim_at_most, leaks_of(bundle, [IMAGE, *bundle.cut_points])
    if most is not None and not leaks.get(split, math.inf) <= most:
        known = f"leaks an SSIM of {leaks[split]:.3f}" if split in leaks else "was not tried for what it leaks"
        raise SettingsError(f"split: got {split!r}, which {known}, and --leak allows {most:.3f}; choose a deeper one")


def with_evidence(
    way: Way, bundle: Bundle, engine: Engine, rules: Mapping[str, ExitRule], leaks: Mapping[str, float]
) -> Way:
    """Return a way with what the bundle says of its accuracy and of what it leaks."""
    asked = any(found.name in rules for found in exits_before(engine, bundle, way.split))
    metric = "accuracy with exits" if asked else "accuracy"
    return replace(
        way,
        accuracy=_accuracy(way, bundle, metric),
        leak_ssim=leaks.get(way.split),
        shows_picture=way.split == IMAGE,
    )


def _accuracy(way: Way, bundle: Bundle, metric: str) -> float | None:
    """Return the accuracy of the worst task, each by the row with most pictures; None where nobody measured it.

    It is as measured where nothing is lost on the way, and less what a codec may lose where the bundle measured that.
    """
    rows = sorted((found for found in bundle.accuracy if found.metric == metric), key=lambda found: found.pictures)
    by_task = {found.task: found.value for found in rows}
    if not by_task:
        return None
    if way.finishes or way.codec in _LOSSLESS:
        return min(by_task.values())
    if bundle.wire is not None and bundle.codecs.get(way.split) == way.codec:
        return min(by_task.values()) - bundle.wire.max_loss / 100
    return None


_LOSSLESS: Final = frozenset({"png", "native", "native+zstd", "float32", "float32+zstd"})
