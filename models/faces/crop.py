"""The face crop: each face of a picture, upright and tight around jaw and forehead."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

import numpy as np

from models.crop import MAX_FACES, Box, Cut, Pixels, Region
from models.faces.detector import FaceDetector, Found
from models.faces.mesh import FaceMesh, outline
from models.faces.tilted import Tilted, pixels_under, shaped, square_around

MARGIN: Final = 0.0
LEAST_PRESENCE: Final = 0.5
"""Below it the mesh says that this is no face. Source: mediapipe, face_landmark_cpu.pbtxt, threshold."""
STILL_RAD: Final = math.radians(3)
MOST_LOOKS: Final = 8
"""The mesh looks at a face at least twice, the second time in the square that it found itself: the detector's box is
smaller for a face that leans, by a tenth at 30 degrees, and its angle wrong by up to 60 degrees at 90."""


class FaceCrop:
    """Finds and cuts faces, the largest first; for one thread at a time."""

    name: Final = "face"

    def __init__(
        self,
        *,
        max_faces: int = MAX_FACES,
        region: Region | None = None,
        margin: float = MARGIN,
        folder: Path | None = None,
    ) -> None:
        """Load both networks.

        Args:
            max_faces: the most faces cut of one picture, the largest
            region: where faces are looked for, when not everywhere
            margin: how much is kept around the outline on each side, as a share of its longer side
            folder: where the model files are, when not where `headwater models fetch face` puts them

        Raises:
            CropError: mediapipe or a model file is missing.
        """
        self.most, self._region, self._margin = max_faces, region, margin
        self._detector, self._mesh = FaceDetector(folder), FaceMesh(folder)

    def cut(self, picture: Pixels, width: int, height: int) -> list[Cut]:
        """Return the faces, the largest first, each (height, width, 3) and its box; none where none is found."""
        x, y = self._region.box(picture)[:2] if self._region else (0, 0)
        part = self._region.within(picture) if self._region else picture
        cuts: list[Cut] = []
        for face in self._detector.find(part):
            outlined = self._outline(part, face)
            if outlined is None or len(cuts) == self.most:
                continue
            seen = shaped(outlined, width, height, self._margin)
            box = _box(seen, part)
            cuts.append(Cut(pixels_under(part, seen, width, height), box._replace(x=box.x + x, y=box.y + y)))
        return cuts

    def size_to_decode(self, width: int, height: int) -> tuple[int, int] | None:
        """Return None: how many pixels a face has is not known before it is found."""
        return None

    def _outline(self, picture: Pixels, face: Found) -> Tilted | None:
        """Return the rectangle around a face, looked at until it stands still; None where the mesh sees none."""
        square = face.surroundings()
        for look in range(MOST_LOOKS):
            points, presence = self._mesh.points(picture, square)
            if presence < LEAST_PRESENCE:
                return None
            found, before = outline(points), square
            if look > 0 and _turn_rad(found, before) < STILL_RAD:
                break
            square = square_around(found)
        return found


def _turn_rad(one: Tilted, other: Tilted) -> float:
    """Return the angle between two rectangles, 0 to pi."""
    return abs(math.remainder(one.angle_rad - other.angle_rad, math.tau))


def _box(seen: Tilted, picture: Pixels) -> Box:
    """Return whole pixels in the place and of the size of a tilted rectangle, as far as they are in the picture."""
    corners = seen._replace(angle_rad=0.0).corners()
    limits = (picture.shape[1], picture.shape[0])
    low = np.clip(np.floor(corners.min(axis=0)), 0, np.subtract(limits, 1)).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0)), low + 1, limits).astype(int)
    return Box(int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1]))
