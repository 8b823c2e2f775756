"""What the stream tells of device and workers against what was measured before."""

from __future__ import annotations

import pytest

from edge.link import LinkSeen
from edge.observed import Observed
from headwater.clock import Stage
from planning.ways import ExitChance, Way

MS = 1_000_000
PICTURE = Way("image", "jpeg:90", 0, 0.0, 500, 40_000, crop_s=0.002, encode_s=0.002, decode_s=0.002, tail_s=0.018)
MIDDLE = Way("conv_b", "native", 3, 0.020, 500, 8_000, crop_s=0.002, encode_s=0.002, tail_s=0.010,
             exits=(ExitChance("exit1", 0.5, 0.008),))  # fmt: skip
DEVICE = Way("device", "none", 9, 0.080, 500, crop_s=0.002, finishes=True)
LINK = LinkSeen(None, None, None, 1e6)


def stages(crop: float = 0, head: float = 0, encode: float = 0) -> dict[Stage, int]:
    """Return a device's stages, given in milliseconds."""
    return {"capture": 99 * MS, "crop": int(crop * MS), "head": int(head * MS), "encode": int(encode * MS)}


def slowdown(seen: Observed) -> float | None:
    """Return how many times slower the device is."""
    found = seen.seen(LINK, 0.0).device_slowdown
    return None if found is None else found.mean


def test_nothing_is_known_at_first() -> None:
    """No slowdown is guessed."""
    seen = Observed((PICTURE, DEVICE), None).seen(LINK, 3.0)
    assert (seen.device_slowdown, seen.worker_slowdown, seen.worker_wait_s, seen.frames_per_s) == (None, None, None, 3)


@pytest.mark.parametrize(
    ("way", "at_exit", "took"),
    [
        (PICTURE, None, stages(crop=4, encode=4)),
        (MIDDLE, None, stages(crop=4, head=40, encode=4)),
        (MIDDLE, "exit1", stages(crop=4, head=16, encode=4)),
        (DEVICE, None, stages(crop=10, head=154)),
    ],
)
def test_twice_the_time_is_a_slowdown_of_two(way: Way, at_exit: str | None, took: dict[Stage, int]) -> None:
    """On every way, and for a frame that leaves early against what lies before its exit; capture does not count."""
    seen = Observed((PICTURE, MIDDLE, DEVICE), None)
    seen.computed(way.split, way.codec, at_exit, took, None, 1.0)
    assert slowdown(seen) == pytest.approx(2.0)


def test_a_clock_that_falls_is_believed_at_once() -> None:
    """The load is remembered, the clock is that of now: half the clock is twice the time before a frame shows it."""
    seen = Observed((DEVICE,), 1.5e9)
    seen.computed("device", "none", None, stages(crop=2, head=80), 1.5e9, 1.0)
    assert slowdown(seen) == pytest.approx(1.0)
    seen.computed("device", "none", None, stages(crop=4, head=160), 0.75e9, 2.0)
    assert slowdown(seen) == pytest.approx(2.0)


def test_ways_that_nobody_measured_tell_nothing() -> None:
    """A split that was set by hand with another codec is no measurement."""
    seen = Observed((PICTURE, DEVICE), None)
    seen.computed("image", "png", None, stages(crop=4, encode=4), None, 1.0)
    for _ in range(2):
        seen.answered("w", "image", "png", {"tail": 5 * MS}, 1.0)
    assert slowdown(seen) is None
    assert seen.seen(LINK, 0.0).worker_wait_s is None


def test_workers_tell_their_pace_and_how_long_frames_wait() -> None:
    """Decoding and tail against what they took here; inbox and batch are waiting. A first answer does not count."""
    seen = Observed((PICTURE, DEVICE), None)
    took: dict[Stage, int] = {"inbox": 30 * MS, "batch": 10 * MS, "decode": 1 * MS, "tail": 9 * MS, "store": 50 * MS}
    seen.answered("w", "image", "jpeg:90", {"tail": 3000 * MS}, 0.5)
    seen.answered("w", "image", "jpeg:90", took, 1.0)
    seen.answered("v", "image", "jpeg:90", {"tail": 3000 * MS}, 1.5)
    found = seen.seen(LINK, 0.0)
    assert found.worker_slowdown is not None
    assert found.worker_wait_s is not None
    assert found.worker_slowdown.mean == pytest.approx(0.5)
    assert found.worker_wait_s.mean == pytest.approx(0.040)
