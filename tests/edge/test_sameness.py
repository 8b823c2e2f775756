"""A camera that goes on handing out the same picture is noticed; one that looks at a still scene is not."""

from __future__ import annotations

import numpy as np
import pytest

from edge.sameness import Sameness, sample

RANDOM = np.random.default_rng(6)


def scene(noise: int = 0) -> np.ndarray:
    """Return a picture of the same wall, with the noise of a sensor."""
    wall = np.full((480, 640, 3), 100, np.int16)
    return (wall + (RANDOM.integers(-noise, noise + 1, wall.shape) if noise else 0)).astype(np.uint8)


@pytest.fixture
def seen() -> tuple[Sameness, list[float]]:
    """A watcher and its clock."""
    now = [100.0]
    return Sameness(lambda: now[0]), now


def test_the_same_picture_is_dated_from_its_first_showing(seen: tuple[Sameness, list[float]]) -> None:
    """Another one ends it, and a first one begins nothing."""
    sameness, now = seen
    picture = scene(noise=2)
    for now[0] in (100.0, 130.0, 170.0):
        sameness.saw(picture.copy())
    assert sameness.since_s == 100.0
    assert (sameness.lasts(69.0), sameness.lasts(70.0), sameness.lasts(0.0)) == (True, False, False)
    sameness.saw(scene(noise=2))
    assert sameness.since_s is None
    assert not sameness.lasts(1.0)
    now[0] = 500.0
    assert not sameness.lasts(1.0)


def test_a_still_scene_with_the_least_noise_is_none(seen: tuple[Sameness, list[float]]) -> None:
    """One bit of noise in a sensor is enough."""
    sameness, now = seen
    for _ in range(50):
        now[0] += 10.0
        sameness.saw(scene(noise=1))
        assert sameness.since_s is None


@pytest.mark.parametrize("shape", [(1, 1, 3), (33, 64, 3), (480, 640, 3), (2160, 3840, 3), (127, 5000, 3)])
def test_little_of_a_large_picture_is_compared(shape: tuple[int, int, int]) -> None:
    """At most 48 KB of it, from all over it; another size is another picture."""
    picture = np.zeros(shape, np.uint8)
    assert 0 < len(sample(picture)) <= 48 * 1024
    brighter = picture.copy()
    brighter[: shape[0] // 2 + 1] = 1
    assert sample(brighter) != sample(picture)
