"""What the stream tells of device and workers against what was measured before."""

from __future__ import annotations

import pytest

from edge.link import LinkSeen
from edge.observed import Observed
from headwater.clock import Stage
from headwater.messages import VERSION, FrameId, Result
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


def answer(worker: str, *, refused: str | None = None, sent_ns: int = 10**9, **ms: float) -> Result:
    """Return what a worker says, its stages given in milliseconds."""
    took: dict[Stage, int] = {name: int(value * MS) for name, value in ms.items()}  # type: ignore[misc]
    return Result(VERSION, FrameId("cam1", "0123abcd", 1), worker, sent_ns, 0, 0, took, refused=refused)


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
        (MIDDLE, "exit1", stages(crop=4, head=16)),
        (DEVICE, None, stages(crop=10, head=154)),
    ],
)
def test_twice_the_time_is_a_slowdown_of_two(way: Way, at_exit: str | None, took: dict[Stage, int]) -> None:
    """On every way, and for a frame that leaves early against what lies before its exit; capture does not count."""
    seen = Observed((PICTURE, MIDDLE, DEVICE), None)
    seen.computed(way.split, way.codec, at_exit, took, None, 1.0)
    assert slowdown(seen) == pytest.approx(2.0)


def test_a_clock_that_is_told_wrong_does_no_harm() -> None:
    """It is taken out of the load and put in again: frames that take as long as ever say that nothing has changed."""
    seen = Observed((DEVICE,), 1.5e9)
    seen.computed("device", "none", None, stages(crop=2, head=80), 1.5e9, 1.0)
    assert slowdown(seen) == pytest.approx(1.0)
    for second in range(2, 40):
        seen.computed("device", "none", None, stages(crop=2, head=80), 0.75e9, float(second))
        seen.computed("image", "png", None, stages(), 0.75e9, float(second))
    assert slowdown(seen) == pytest.approx(1.0, rel=0.01)


def test_ways_that_nobody_measured_tell_nothing() -> None:
    """A split that was set by hand with another codec is no measurement."""
    seen = Observed((PICTURE, DEVICE), None)
    seen.computed("image", "png", None, stages(crop=4, encode=4), None, 1.0)
    for _ in range(2):
        seen.answered("image", "png", answer("w", tail=5), 1, 1.0)
    assert slowdown(seen) is None
    assert seen.seen(LINK, 0.0).worker_wait_s is None


def test_workers_tell_their_pace_and_how_long_frames_wait() -> None:
    """Decoding and tail against what they took here; inbox and batch are waiting. Loading the model does not count."""
    seen = Observed((PICTURE, DEVICE), None)
    seen.answered("image", "jpeg:90", answer("w", tail=3000, sent_ns=1), 5, 0.5)
    seen.answered("image", "jpeg:90", answer("w", inbox=2000, tail=9, sent_ns=4), 6, 0.6)
    seen.answered("image", "jpeg:90", answer("w", inbox=30, batch=10, decode=1, tail=9, store=50), 1, 1.0)
    seen.answered("image", "jpeg:90", answer("v", tail=3000, sent_ns=10**9), 2 * 10**9, 1.5)
    found = seen.seen(LINK, 0.0)
    assert found.worker_slowdown is not None
    assert found.worker_wait_s is not None
    assert found.worker_slowdown.mean == pytest.approx(0.5)
    assert found.worker_wait_s.mean == pytest.approx(0.040)


def test_a_small_tail_says_little_of_a_worker() -> None:
    """What takes a worker a fraction of the whole may be slow for reasons of its own; how long frames wait it tells."""
    late = Way("conv_z", "native", 8, 0.079, 500, 16_000, tail_s=0.001)
    seen = Observed((PICTURE, late, DEVICE), None)
    for number in range(3):
        seen.answered("conv_z", "native", answer("w", inbox=7, tail=3), 1, float(number))
    found = seen.seen(LINK, 0.0)
    assert found.worker_slowdown is None
    assert found.worker_wait_s is not None


def test_many_workers_tell_by_their_first_answers() -> None:
    """Each frame goes to another worker that has its model: nothing is thrown away."""
    seen = Observed((PICTURE, DEVICE), None)
    for number in range(50):
        seen.answered("image", "jpeg:90", answer(f"w{number}", decode=4, tail=36), 1, float(number))
    found = seen.seen(LINK, 0.0).worker_slowdown
    assert found is not None
    assert found.mean == pytest.approx(2.0)


def test_a_refusal_holds_until_something_is_taken() -> None:
    """Since when, not how often."""
    seen = Observed((PICTURE, DEVICE), None)
    for at_s in (3.0, 4.0):
        seen.answered("image", "jpeg:90", answer("w", refused="unknown digest"), 1, at_s)
    assert seen.seen(LINK, 0.0).refused_s == 3.0
    seen.answered("image", "jpeg:90", answer("w", tail=20), 1, 5.0)
    assert seen.seen(LINK, 0.0).refused_s is None


def test_messages_are_as_long_as_they_were_of_late() -> None:
    """Three pictures of the day do not say how long those of the night are; the longest is never forgotten."""
    seen = Observed((PICTURE, DEVICE), None)
    assert seen.ways((PICTURE, DEVICE)) == (PICTURE, DEVICE)
    for second in range(60):
        seen.sized("image", "jpeg:90", 90_000 if second == 3 else 60_000, float(second))
    picture, device = seen.ways((PICTURE, DEVICE))
    assert (picture.largest_bytes, device) == (90_000, DEVICE)
    assert picture.payload_bytes == pytest.approx(60_000, rel=0.01)


def test_an_exit_that_nobody_measured_tells_nothing() -> None:
    """What an operator has opened has no expected time."""
    seen = Observed((MIDDLE,), None)
    seen.computed("conv_b", "native", "exit9", stages(crop=4, head=16), None, 1.0)
    assert slowdown(seen) is None
