"""Faces, in real pictures: found, outlined, cut upright and tight."""

from __future__ import annotations

import math
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.crop import Region, open_crop, read_cuts
from models.faces.crop import FaceCrop
from models.faces.detector import FaceDetector
from models.faces.mesh import FaceMesh
from models.pictures import encode_jpeg, encode_png
from tests.face_models import need_face_models

REFERENCE = {152: (221.3, 175.5), 234: (179.0, 111.1), 454: (270.9, 116.3), 10: (227.5, 72.4)}
"""Points of the same face by the FaceMesh of mediapipe 0.10.18: chin, jaw at both ears, forehead."""
UTKFACE = Path(__file__).parents[3] / "shared/data/faces/utkface_200px.tar"
FACE = (224, 123)
"""The middle of the face."""


@pytest.fixture(scope="module")
def crop() -> FaceCrop:
    """The face crop, loaded once."""
    need_face_models()
    return FaceCrop()


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    """A real picture with one face, 512 by 512, out of a pip package."""
    data = pytest.importorskip("skimage.data")
    return np.asarray(data.astronaut())


def alike(one: np.ndarray, other: np.ndarray) -> float:
    """Return the mean difference of two pictures of one size, in levels."""
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


def turned(picture: np.ndarray, degrees: float) -> np.ndarray:
    """Return the picture turned anticlockwise around the face."""
    return np.asarray(Image.fromarray(picture).rotate(degrees, Image.Resampling.BICUBIC, center=FACE))


def test_the_points_are_those_of_face_mesh(crop: FaceCrop, astronaut: np.ndarray) -> None:
    """Chin, jaw and forehead are within a pixel of where mediapipe itself puts them (3 were allowed)."""
    (found,) = FaceDetector().find(astronaut)
    points, presence = FaceMesh().points(astronaut, found.surroundings())
    assert presence > 0.99
    for number, expected in REFERENCE.items():
        assert math.dist(points[number], expected) < 1.0, number


def test_the_detector_gives_a_box_and_six_points(crop: FaceCrop, astronaut: np.ndarray) -> None:
    """Eyes, nose, mouth and both ears are where they are, inside the box or, the ears, about it."""
    (found,) = FaceDetector().find(astronaut)
    assert (found.x, found.y, found.width, found.height) == (177, 82, 95, 95)
    right_eye, left_eye, nose, mouth, right_ear, left_ear = found.points
    assert right_ear[0] < right_eye[0] < nose[0] < left_eye[0] < left_ear[0]
    assert right_eye[1] < nose[1] < mouth[1]
    assert found.score > 0.9


def test_the_crop_is_tight_and_square(crop: FaceCrop, astronaut: np.ndarray) -> None:
    """The box goes from the forehead to the chin, and not much further than from ear to ear."""
    (cut,) = crop.cut(astronaut, 96, 96)
    assert cut.pixels.shape == (96, 96, 3)
    assert cut.pixels.dtype == np.uint8
    assert cut.box is not None
    x, y, width, height = cut.box
    assert abs(y - 71) <= 4
    assert abs(y + height - 176) <= 4
    assert 100 <= width <= 115
    assert abs(x + width / 2 - 225) <= 4


@pytest.mark.parametrize("degrees", [-60, -30, 30, 60, 90])
def test_a_rolled_face_is_cut_upright(crop: FaceCrop, astronaut: np.ndarray, degrees: float) -> None:
    """A head that leans to the side gives the crop of an upright one."""
    (straight,) = crop.cut(astronaut, 96, 96)
    (leaning,) = crop.cut(turned(astronaut, degrees), 96, 96)
    assert alike(leaning.pixels, straight.pixels) < 15


@pytest.mark.parametrize(("columns", "rows"), [(slice(185, 512), slice(None)), (slice(None), slice(100, 512))])
def test_a_face_at_the_border_is_cut_there(crop: FaceCrop, astronaut: np.ndarray, columns: slice, rows: slice) -> None:
    """What the border hides is filled with its last pixels; the box stays inside the picture."""
    picture = np.ascontiguousarray(astronaut[rows, columns])
    (cut,) = crop.cut(picture, 96, 96)
    assert cut.box is not None
    assert cut.box.x >= 0
    assert cut.box.y >= 0
    assert cut.box.x == 0 or cut.box.y == 0
    assert cut.box.x + cut.box.width <= picture.shape[1]
    assert cut.box.y + cut.box.height <= picture.shape[0]


def test_a_face_that_fills_its_picture_is_found(crop: FaceCrop, astronaut: np.ndarray) -> None:
    """Datasets are cut like that; the second look, with a rim around it, finds them."""
    tight = np.ascontiguousarray(astronaut[74:174, 180:270])
    (cut,) = crop.cut(tight, 96, 96)
    (expected,) = crop.cut(astronaut, 96, 96)
    assert alike(cut.pixels[16:80, 16:80], expected.pixels[16:80, 16:80]) < 12


def test_several_faces_come_largest_first_and_no_more_than_asked_for(crop: FaceCrop, astronaut: np.ndarray) -> None:
    """Each has its own box; --max-faces keeps the largest."""
    face = astronaut[20:256, 100:336]
    picture = np.full((336, 580, 3), 127, np.uint8)
    picture[:236, :236] = face
    picture[:, 244:] = np.asarray(Image.fromarray(face).resize((336, 336), Image.Resampling.BICUBIC))
    first, second = crop.cut(picture, 96, 96)
    assert first.box is not None
    assert second.box is not None
    assert first.box.x > 244 > second.box.x
    assert first.box.width > second.box.width
    (largest,) = FaceCrop(max_faces=1).cut(picture, 96, 96)
    assert largest.box == first.box


@pytest.mark.parametrize("name", ["38_1_0_20170104202343507", "9_0_0_20170110224425000", "60_1_0_20170110141547583"])
def test_a_turned_face_is_cut(crop: FaceCrop, name: str) -> None:
    """Nearly from the side, one eye hidden, at the border: the most turned of 1,200 faces of UTKFace are found."""
    if not UTKFACE.is_file():
        assert not os.environ.get("CI"), f"{UTKFACE} is missing, and CI is set"
        pytest.skip(f"no {UTKFACE}")
    with tarfile.open(UTKFACE) as archive:
        member = next(found for found in archive if name in found.name)
        data = archive.extractfile(member)
        assert data is not None
        (cut,) = read_cuts(data.read(), crop, 96, 96)
    assert cut.box is not None
    assert min(cut.box.width, cut.box.height) > 100


@pytest.mark.parametrize(("x", "y"), [(0, 0), (600, 250), (1024, 464), (384, 128)])
def test_a_small_face_in_a_large_picture_is_found(crop: FaceCrop, astronaut: np.ndarray, x: int, y: int) -> None:
    """Of a fourteenth of the picture's width, anywhere: the tiles show it to the network large enough."""
    picture = np.full((720, 1280, 3), 90, np.uint8)
    picture[y : y + 256, x : x + 256] = astronaut[:256, 100:356]
    (cut,) = crop.cut(picture, 96, 96)
    (expected,) = crop.cut(astronaut, 96, 96)
    assert cut.box is not None
    assert expected.box is not None
    assert np.abs(np.subtract(cut.box, expected.box) - (x - 100, y, 0, 0)).max() <= 4


@pytest.mark.parametrize("kind", ["noise", "grey", "sliver", "pixel"])
def test_where_no_face_is_none_is_cut(crop: FaceCrop, kind: str) -> None:
    """An empty list is the answer, whatever the picture's size."""
    shape = {"noise": (240, 320, 3), "grey": (240, 320, 3), "sliver": (1, 2000, 3), "pixel": (1, 1, 3)}[kind]
    picture = np.full(shape, 128, np.uint8)
    if kind == "noise":
        picture = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    assert crop.cut(picture, 96, 96) == []


def test_faces_are_looked_for_in_a_region_only(crop: FaceCrop, astronaut: np.ndarray) -> None:
    """Outside it none is found, inside it the box is that of the whole picture."""
    (whole,) = crop.cut(astronaut, 96, 96)
    (inside,) = FaceCrop(region=Region(0.2, 0.0, 0.5, 0.5)).cut(astronaut, 96, 96)
    assert whole.box is not None
    assert inside.box is not None
    assert np.abs(np.subtract(inside.box, whole.box)).max() <= 3
    assert FaceCrop(region=Region(0.0, 0.6, 1.0, 0.4)).cut(astronaut, 96, 96) == []


def test_a_large_picture_gives_the_same_face(crop: FaceCrop, astronaut: np.ndarray) -> None:
    """The search is done in a small version, the crop is taken from the large one."""
    large = np.asarray(Image.fromarray(astronaut).resize((2048, 2048), Image.Resampling.BICUBIC))
    (small_cut,), (large_cut,) = crop.cut(astronaut, 96, 96), crop.cut(large, 96, 96)
    assert large_cut.box is not None
    assert small_cut.box is not None
    assert np.abs(np.divide(large_cut.box, 4) - small_cut.box).max() <= 1.5
    assert alike(large_cut.pixels, small_cut.pixels) < 3


def test_training_and_device_see_the_same_pixels(crop: FaceCrop, astronaut: np.ndarray) -> None:
    """Whoever holds the encoded picture, or its pixels, cuts the same face, bit for bit, at every time."""
    data = encode_png(astronaut)
    (read,), (cut,) = read_cuts(data, open_crop("face"), 96, 96), crop.cut(astronaut, 96, 96)
    assert np.array_equal(read.pixels, cut.pixels)
    assert read.box == cut.box
    assert read_cuts(encode_jpeg(np.zeros((90, 90, 3), np.uint8)), crop, 96, 96) == []
