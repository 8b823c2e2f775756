"""The outline of a face: 468 points by mediapipe's mesh network, run with LiteRT."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

import numpy as np

from models.engine import Engine
from models.faces.files import MESH, read_model
from models.faces.tilted import Points, Tilted, around, pixels_under

POINTS: Final = 468
FOREHEAD: Final = 10
EYES: Final = (33, 263)
"""The outer corners. Source: mediapipe, face_landmark_landmarks_to_roi.pbtxt, rotation_vector_…_keypoint_index."""
JAW: Final = (
    *(234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152),
    *(377, 400, 378, 379, 365, 397, 288, 361, 323, 454),
)
"""From ear to ear over the chin. Source: mediapipe, face_mesh_connections.py, FACEMESH_FACE_OVAL, its lower half."""


class FaceMesh:
    """The mesh network ready to run; for one thread at a time."""

    def __init__(self, folder: Path | None = None, *, threads: int = 1) -> None:
        """Load the network. Raises: CropError when its file is missing or another one."""
        self._part = Engine(read_model(MESH, folder), threads=threads).whole()
        _, self._height, self._width, _ = self._part.inputs[0].shape

    def points(self, picture: np.ndarray, surroundings: Tilted) -> tuple[Points, float]:
        """Return the (468, 2) points of the face in a square, in pixels of the picture, and how sure it is one, 0-1."""
        seen = pixels_under(picture, surroundings, self._width, self._height)
        found, presence = self._part.run(seen[None].astype(np.float32) / np.float32(255))
        inside = found.reshape(POINTS, 3)[:, :2] / (self._width, self._height)
        return surroundings.to_picture(inside), 1 / (1 + math.exp(-float(presence.reshape(()))))


def outline(points: Points) -> Tilted:
    """Return the tight rectangle around jaw and forehead, upright by the line through the eyes.

    Source: Guo 2025, section 3.2: the contour of the jaw, cropped tightly between the ears and the chin.
    """
    x, y = points[EYES[1]] - points[EYES[0]]
    return around(points[[*JAW, FOREHEAD]], math.atan2(y, x))
