"""Where the faces of a picture are: mediapipe's FaceDetector, through its Tasks API."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from models.crop import CropError
from models.faces.files import DETECTOR, read_model
from models.faces.tilted import Points, Tilted, square_around
from models.pictures import fit

LEAST_SCORE: Final = 0.5
SEARCH_SIDE: Final = 512
"""Longer pictures are looked at in this size, their tiles in it too; the network itself sees 128 pixels."""
LEAST_TILE: Final = 192
"""Tiles of fewer pixels would show the network nothing that it has not seen."""
RIM: Final = 0.5
"""How much is put around a picture without a face, as a share of its longer side, before the second look."""
_GREY: Final = 127


class Found(NamedTuple):
    """A face: its box, and its six points: both eyes, tip of the nose, mouth, both ears, as we see them from the left.

    In pixels of the picture; a face at the border may reach out of it.
    """

    x: float
    y: float
    width: float
    height: float
    score: float
    points: Points

    def moved(self, scale: float, x: float = 0.0, y: float = 0.0) -> Found:
        """Return the same face where the picture is so much larger, after its origin was moved."""
        return Found(
            *((self.x + x) * scale, (self.y + y) * scale, self.width * scale, self.height * scale),
            self.score,
            (self.points + np.array((x, y))) * scale,
        )

    def is_part_of(self, other: Found) -> bool:
        """Tell whether two boxes share a third of the smaller one: they show one face."""
        wide = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        tall = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        return bool(max(0.0, wide) * max(0.0, tall) > min(self.area, other.area) / 3)

    def is_cut_at(self, x: int, y: int, side: int, columns: int, rows: int) -> bool:
        """Tell whether the box reaches over an edge of a tile that is no border of the picture."""
        right, lower = x + side, y + side
        across = (self.x < x and x > 0) or (self.x + self.width > right and right < columns)
        return bool(across or (self.y < y and y > 0) or (self.y + self.height > lower and lower < rows))

    def has_middle_in(self, picture: np.ndarray) -> bool:
        """Tell whether the middle of a face is inside the picture, and not in a rim around it."""
        x, y = self.x + self.width / 2, self.y + self.height / 2
        return bool(0 <= x <= picture.shape[1] and 0 <= y <= picture.shape[0])

    @property
    def area(self) -> float:
        """The pixels of the box."""
        return self.width * self.height

    def surroundings(self) -> Tilted:
        """Return the square in which the mesh is sought: upright by the line through the eyes."""
        x, y = self.points[1] - self.points[0]
        centre = (self.x + self.width / 2, self.y + self.height / 2)
        return square_around(Tilted(*centre, self.width, self.height, math.atan2(y, x)))


class FaceDetector:
    """A detector ready to look; for one thread at a time."""

    def __init__(self, folder: Path | None = None) -> None:
        """Load mediapipe and its network. Raises: CropError when either is missing."""
        content = read_model(DETECTOR, folder)
        self._image, self._format, self._detector = _load(content)

    def find(self, picture: np.ndarray) -> list[Found]:
        """Return the faces of an (H, W, 3) uint8 RGB picture, the largest first.

        It is looked at as a whole; then in tiles of half its longer side, for faces of less than an eighth of it, which
        the network does not see; where none is found, once more with a rim around it: a face that fills its picture, or
        is cut by the border, looks as it should only then.
        """
        small, scale = _at_most(picture, SEARCH_SIDE)
        found = [face.moved(scale) for face in self._look(small)]
        for face in self._look_closer(picture):
            if not any(face.is_part_of(other) for other in found):
                found.append(face)
        if not found:
            rim = round(RIM * max(small.shape[:2]))
            found = [face.moved(scale, -rim, -rim) for face in self._look(_with_rim(small, rim))]
            found = [face for face in found if face.has_middle_in(picture)]
        return sorted(found, key=lambda face: -face.area)

    def _look_closer(self, picture: np.ndarray) -> Iterator[Found]:
        """Yield what is found in tiles, but for faces that a tile cuts: another tile has them whole."""
        medium, scale = _at_most(picture, 2 * SEARCH_SIDE)
        rows, columns = medium.shape[:2]
        side = max(rows, columns) // 2
        for x, y in _tiles(columns, rows, side) if side >= LEAST_TILE else ():
            for face in self._look(medium[y : y + side, x : x + side]):
                at = face.moved(1.0, x, y)
                if not at.is_cut_at(x, y, side, columns, rows):
                    yield at.moved(scale)

    def _look(self, picture: np.ndarray) -> list[Found]:
        image = self._image(image_format=self._format, data=np.ascontiguousarray(picture))
        size = (picture.shape[1], picture.shape[0])
        found = []
        for one in self._detector.detect(image).detections:
            box, score = one.bounding_box, float(one.categories[0].score)
            points = np.array([(point.x, point.y) for point in one.keypoints]) * size
            found.append(Found(box.origin_x, box.origin_y, box.width, box.height, score, points))
        return found


def _at_most(picture: np.ndarray, side: int) -> tuple[np.ndarray, float]:
    """Return the picture no longer than `side`, and by what its pixels are multiplied to get back."""
    rows, columns = picture.shape[:2]
    scale = max(rows, columns) / side
    if scale <= 1:
        return picture, 1.0
    return fit(picture, max(1, round(columns / scale)), max(1, round(rows / scale))), scale


def _tiles(width: int, height: int, side: int) -> list[tuple[int, int]]:
    """Return the left and upper edges of tiles that overlap by half or more and cover all."""
    lefts, tops = ([*range(0, max(1, long - side), max(1, side // 2)), max(0, long - side)] for long in (width, height))
    return [(x, y) for y in dict.fromkeys(tops) for x in dict.fromkeys(lefts)]


def _with_rim(picture: np.ndarray, rim: int) -> np.ndarray:
    return np.pad(picture, ((rim, rim), (rim, rim), (0, 0)), constant_values=_GREY)


def _load(content: bytes) -> tuple[Any, Any, Any]:
    """Return mediapipe's class of pictures, their format, and a detector. Raises: CropError when it is missing."""
    try:
        with _left_out("tensorflow"):
            from mediapipe import Image, ImageFormat
            from mediapipe.tasks.python import BaseOptions
            from mediapipe.tasks.python.vision import FaceDetector as Detector
            from mediapipe.tasks.python.vision import FaceDetectorOptions as Options
    except ImportError as error:
        raise CropError(
            f"crop face: mediapipe cannot be imported ({error}), needed to find faces; {_remedy(str(error))}"
        ) from error
    Detector.__del__ = _close
    options = Options(base_options=BaseOptions(model_asset_buffer=content), min_detection_confidence=LEAST_SCORE)
    return Image, ImageFormat.SRGB, Detector.create_from_options(options)


def _close(detector: Any, is_over: Callable[[], bool] = sys.is_finalizing) -> None:
    """Close a detector, but not when the interpreter ends: its thread has ended before, and mediapipe's own fails."""
    if not is_over():
        detector.close()


def _remedy(reason: str) -> str:
    """Return what to install: mediapipe, or over the desktop's OpenCV that it brings the one without a screen."""
    if ".so" in reason:
        return "pip install --force-reinstall --no-deps opencv-python-headless"
    return "install the extra face (docs/install.md)"


@contextmanager
def _left_out(package: str) -> Iterator[None]:
    """Keep a package from being loaded: mediapipe takes only a decorator of its documentation from TensorFlow."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[package]
