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
"""Longer pictures are looked at in this size; the network itself sees 128 pixels."""
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

        Where none is found it is looked at once more with a rim around it: a face that fills its picture, or is cut by
        the border, looks to the network as it should only then.
        """
        small, scale = _for_search(picture)
        found = self._look(small, 0) or self._look(_with_rim(small), round(RIM * max(small.shape[:2])))
        back = [Found(f.x * scale, f.y * scale, f.width * scale, f.height * scale, f.score, f.points * scale)
                for f in found]  # fmt: skip
        return sorted(back, key=lambda face: -face.area)

    def _look(self, picture: np.ndarray, rim: int) -> list[Found]:
        image = self._image(image_format=self._format, data=np.ascontiguousarray(picture))
        size = (picture.shape[1], picture.shape[0])
        found = []
        for one in self._detector.detect(image).detections:
            box, score = one.bounding_box, float(one.categories[0].score)
            points = np.array([(point.x, point.y) for point in one.keypoints]) * size - rim
            face = Found(box.origin_x - rim, box.origin_y - rim, box.width, box.height, score, points)
            if _shows_itself(face, size[0] - 2 * rim, size[1] - 2 * rim):
                found.append(face)
        return found


def _shows_itself(face: Found, width: int, height: int) -> bool:
    """Tell whether the middle of a face is inside the picture, and not in the rim."""
    return 0 <= face.x + face.width / 2 <= width and 0 <= face.y + face.height / 2 <= height


def _for_search(picture: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the picture no longer than needed, and by what its pixels are multiplied to get back."""
    rows, columns = picture.shape[:2]
    scale = max(rows, columns) / SEARCH_SIDE
    if scale <= 1:
        return picture, 1.0
    return fit(picture, max(1, round(columns / scale)), max(1, round(rows / scale))), scale


def _with_rim(picture: np.ndarray) -> np.ndarray:
    rim = round(RIM * max(picture.shape[:2]))
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
            f"crop face: mediapipe cannot be imported ({error}), needed to find faces; pip install 'headwater[face]'"
        ) from error
    Detector.__del__ = _close
    options = Options(base_options=BaseOptions(model_asset_buffer=content), min_detection_confidence=LEAST_SCORE)
    return Image, ImageFormat.SRGB, Detector.create_from_options(options)


def _close(detector: Any, is_over: Callable[[], bool] = sys.is_finalizing) -> None:
    """Close a detector, but not when the interpreter ends: its thread has ended before, and mediapipe's own fails."""
    if not is_over():
        detector.close()


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
