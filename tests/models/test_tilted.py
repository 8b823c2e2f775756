"""Rectangles at an angle."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

from models.faces.tilted import Tilted, around, pixels_under, shaped, square_around


def photograph(width: int = 120, height: int = 90, seed: int = 0) -> np.ndarray:
    """Return a smooth picture without symmetry."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def test_an_upright_rectangle_at_its_own_size_is_a_slice() -> None:
    """Nothing is interpolated or averaged where pixels fall on pixels."""
    picture = photograph()
    seen = pixels_under(picture, Tilted(50, 40, 40, 20), 40, 20)
    assert np.array_equal(seen, picture[30:50, 30:70])
    assert seen.flags.owndata or seen.base is None


def test_a_quarter_turn_is_one() -> None:
    """A rectangle turned by 90 degrees clockwise sees what the picture turned back shows."""
    picture = photograph(80, 80)
    seen = pixels_under(picture, Tilted(40, 40, 80, 80, math.pi / 2), 80, 80)
    assert np.abs(seen.astype(int) - np.rot90(picture, 1).astype(int)).max() <= 1


@pytest.mark.parametrize("degrees", [0, 17, -60, 135])
def test_turning_picture_and_rectangle_together_changes_nothing(degrees: float) -> None:
    """What is upright in the rectangle stays so at every angle."""
    picture = photograph(200, 200)
    turned = np.asarray(Image.fromarray(picture).rotate(-degrees, Image.Resampling.BICUBIC))
    straight = pixels_under(picture, Tilted(100, 100, 100, 80), 50, 40)
    seen = pixels_under(turned, Tilted(100, 100, 100, 80, math.radians(degrees)), 50, 40)
    assert np.abs(seen.astype(int) - straight.astype(int)).mean() < 2


def test_a_large_rectangle_is_averaged() -> None:
    """Fine stripes become grey and not one of their colours."""
    picture = np.zeros((400, 400, 3), np.uint8)
    picture[:, ::2] = 255
    seen = pixels_under(picture, Tilted(200, 200, 300, 300), 30, 30)
    assert np.abs(seen.astype(int) - 127).max() <= 2


@pytest.mark.parametrize("centre", [(0, 0), (119, 89), (-500, 40), (60, 900)])
def test_outside_the_picture_its_border_goes_on(centre: tuple[int, int]) -> None:
    """A rectangle over the border, or wholly outside, is filled with the nearest pixels."""
    picture = photograph()
    seen = pixels_under(picture, Tilted(*centre, 40, 40), 40, 40)
    columns, rows = np.arange(centre[0] - 20, centre[0] + 20), np.arange(centre[1] - 20, centre[1] + 20)
    assert np.array_equal(seen, picture[np.clip(rows, 0, 89)][:, np.clip(columns, 0, 119)])


def test_the_rectangle_around_points_is_the_smallest_of_its_angle() -> None:
    """Corners go in, the same rectangle comes out."""
    rectangle = Tilted(30, 40, 20, 10, 0.3)
    assert around(rectangle.corners(), 0.3) == pytest.approx(rectangle)


def test_a_rectangle_grows_to_the_shape_of_the_network() -> None:
    """Never is one side cut, the centre and the angle stay."""
    assert shaped(Tilted(5, 6, 20, 10, 0.1), 30, 30) == Tilted(5, 6, 20, 20, 0.1)
    assert shaped(Tilted(5, 6, 10, 20), 60, 30) == Tilted(5, 6, 40, 20)
    assert shaped(Tilted(5, 6, 10, 20), 30, 30, margin=0.1) == Tilted(5, 6, 24, 24)
    assert square_around(Tilted(5, 6, 10, 20, 0.1)) == Tilted(5, 6, 30, 30, 0.1)
