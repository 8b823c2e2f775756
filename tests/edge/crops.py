"""Crops that need no network: so many parts of a picture, each with its box."""

from __future__ import annotations

import numpy as np

from models.choices import CropName
from models.crop import Box, Cut
from models.pictures import fit


class Stripes:
    """The picture in as many upright stripes as told, the left one first; it stands for a face crop."""

    name: CropName = "face"

    def __init__(self, number: int, most: int = 8) -> None:
        self.number, self.most = number, most

    def cut(self, picture: np.ndarray, width: int, height: int) -> list[Cut]:
        """Return the stripes with their boxes."""
        wide = picture.shape[1] // max(1, self.number)
        return [
            Cut(
                fit(np.ascontiguousarray(picture[:, n * wide : (n + 1) * wide]), width, height),
                Box(n * wide, 0, wide, picture.shape[0]),
            )
            for n in range(self.number)
        ]

    def size_to_decode(self, width: int, height: int) -> tuple[int, int] | None:
        """Return None: the picture at its own size."""
        return None
