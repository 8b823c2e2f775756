"""What of a picture a network sees."""

from __future__ import annotations

import numpy as np
import pytest

from models.crop import Box, Centre, CropError, Cut, Region, Whole, open_crop, read_cuts
from models.manifest import parse_manifest
from models.pictures import decode_to_fit, encode_jpeg, fit
from models.toml_table import BundleError

BUNDLE = """
format = 1
name = "faces"
digest = "{digest}"
outputs = ["gender"]
[input]
width = 96
height = 96
low = 0.0
high = 1.0
{crop}
[[tasks]]
name = "gender"
kind = "classification"
output = "gender"
labels = ["male", "female"]
"""


def gradient(width: int, height: int) -> np.ndarray:
    """Return a picture whose red grows to the right and whose green grows downwards."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[..., 0] = np.linspace(0, 255, width).astype(np.uint8)
    picture[..., 1] = np.linspace(0, 255, height).astype(np.uint8)[:, None]
    return picture


def only(cuts: list[Cut]) -> np.ndarray:
    """Return the pixels of the one cut there is, which has no box."""
    (cut,) = cuts
    assert cut.box is None
    return cut.pixels


def test_without_a_crop_a_network_sees_what_it_always_saw() -> None:
    """`none` is the whole picture, squeezed, and an encoded one gives the very pixels that training reads."""
    data = encode_jpeg(gradient(640, 480))
    assert np.array_equal(only(read_cuts(data, Whole(), 64, 64)), decode_to_fit(data, 64, 64))


@pytest.mark.parametrize(("width", "height"), [(400, 200), (200, 400), (200, 200)])
def test_the_centre_is_not_squeezed(width: int, height: int) -> None:
    """Of a wide or tall picture the middle square is seen."""
    picture = gradient(width, height)
    left, top = (width - 200) // 2, (height - 200) // 2
    assert np.array_equal(only(Centre().cut(picture, 50, 50)), fit(picture[top : top + 200, left : left + 200], 50, 50))


def test_the_centre_has_the_shape_of_the_network() -> None:
    """A network that is wider than high sees the middle rows, of every column."""
    picture = gradient(200, 200)
    assert np.array_equal(only(Centre().cut(picture, 80, 40)), fit(picture[50:150], 80, 40))


def test_a_sliver_has_a_centre() -> None:
    """A picture of one row gives a picture, not an error."""
    assert only(Centre().cut(gradient(300, 1), 8, 8)).shape == (8, 8, 3)


def test_a_region_is_a_share_of_every_picture() -> None:
    """The same region of a picture and of its larger twin shows the same part."""
    region = Region(0.25, 0.5, 0.5, 0.5)
    picture = gradient(400, 200)
    assert region.box(picture) == Box(100, 100, 200, 100)
    assert np.array_equal(only(region.cut(picture, 40, 20)), fit(picture[100:, 100:300], 40, 20))


def test_a_region_keeps_pixels_enough_when_decoded() -> None:
    """A quarter of the picture needs it decoded four times as large."""
    assert Region(0, 0, 0.25, 0.5).size_to_decode(100, 100) == (800, 400)
    assert Whole().size_to_decode(100, 100) == (200, 200)


def test_a_tiny_region_of_a_tiny_picture_is_a_pixel() -> None:
    """No region is empty."""
    assert Region(0.99, 0.99, 0.01, 0.01).box(gradient(3, 3)) == Box(2, 2, 1, 1)


@pytest.mark.parametrize(
    "wrong", [(0, 0, 0, 1), (0.5, 0, 0.6, 1), (-0.1, 0, 1, 1), (0, 1, 1, 1), (0, 0, 1, float("nan"))]
)
def test_a_region_outside_the_picture_is_refused(wrong: tuple[float, float, float, float]) -> None:
    """The error says what was given and what is expected."""
    with pytest.raises(CropError, match=r"region: got .* expected LEFT,TOP,WIDTH,HEIGHT"):
        Region(*wrong)


def test_crops_are_opened_by_name() -> None:
    """Each name gives its crop; a region is asked for, and refused where it would do nothing."""
    region = Region(0, 0, 1, 1)
    assert [open_crop("none").name, open_crop("centre").name] == ["none", "centre"]
    assert open_crop("region", region=region) is region
    with pytest.raises(CropError, match="add --region"):
        open_crop("region")
    with pytest.raises(CropError, match="does not use it"):
        open_crop("centre", region=region)
    with pytest.raises(CropError, match="got 'center', expected one of none, centre, region, face"):
        open_crop("center")


def test_a_bundle_says_which_crop_it_was_trained_with() -> None:
    """`[input] crop` is none unless said otherwise; another word is refused."""
    digest = "0" * 64
    assert parse_manifest(BUNDLE.format(digest=digest, crop="")).input.crop == "none"
    assert parse_manifest(BUNDLE.format(digest=digest, crop='crop = "face"')).input.crop == "face"
    with pytest.raises(BundleError, match=r"input\.crop is 'head', expected one of none, centre, region, face"):
        parse_manifest(BUNDLE.format(digest=digest, crop='crop = "head"'))
