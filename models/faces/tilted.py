"""Rectangles that stand at an angle in a picture, and the pixels under them."""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
from PIL import Image

Points = np.ndarray[Any, Any]
"""(n, 2) float64: x to the right and y downwards, in pixels; the first pixel reaches from 0 to 1."""


_GROWN: Final = 1.5


class Tilted(NamedTuple):
    """A rectangle by its centre and size in pixels, turned clockwise by `angle_rad` as seen in the picture."""

    x: float
    y: float
    width: float
    height: float
    angle_rad: float = 0.0

    def to_picture(self, inside: Points) -> Points:
        """Return in pixels of the picture what is given in shares of the rectangle, 0 to 1 from its upper left."""
        offsets = (np.asarray(inside, np.float64) - 0.5) * (self.width, self.height)
        return np.asarray(offsets @ _rotation(self.angle_rad).T + (self.x, self.y))

    def corners(self) -> Points:
        """Return the four corners."""
        return self.to_picture(np.array([(0, 0), (1, 0), (1, 1), (0, 1)]))


def around(points: Points, angle_rad: float) -> Tilted:
    """Return the smallest rectangle of this angle around some points."""
    turned = points @ _rotation(angle_rad)
    low, high = turned.min(axis=0), turned.max(axis=0)
    x, y = (low + high) / 2 @ _rotation(angle_rad).T
    width, height = high - low
    return Tilted(float(x), float(y), float(width), float(height), angle_rad)


def square_around(rectangle: Tilted) -> Tilted:
    """Return the square in which the mesh is sought around a face.

    Source: mediapipe, face_detection_front_detection_to_roi.pbtxt, scale_x, scale_y and square_long.
    """
    side = _GROWN * max(rectangle.width, rectangle.height)
    return rectangle._replace(width=side, height=side)


def shaped(rectangle: Tilted, width: int, height: int, margin: float = 0.0) -> Tilted:
    """Return the rectangle grown by a margin, a share of its longer side, then to the shape width : height."""
    by = 2 * margin * max(rectangle.width, rectangle.height)
    wide, tall = max(rectangle.width + by, 1.0), max(rectangle.height + by, 1.0)
    return rectangle._replace(width=max(wide, tall * width / height), height=max(tall, wide * height / width))


def pixels_under(picture: np.ndarray, rectangle: Tilted, width: int, height: int) -> np.ndarray:
    """Return what lies under a rectangle, upright, as (height, width, 3) uint8 of the caller's own.

    Averaged where there are more pixels than wanted, interpolated where there are fewer; outside the picture its
    outermost pixels go on.
    """
    per_pixel = max(rectangle.width / width, rectangle.height / height)
    block = max(1, int(per_pixel))
    window, left, top = _window(picture, rectangle, block)
    if block > 1:
        window = window.reduce(block)
    finer = max(1, round(per_pixel / block))
    size = (width * finer, height * finer)
    origin, right, down = rectangle.to_picture(np.array([(0, 0), (1 / size[0], 0), (0, 1 / size[1])]))
    across, along = (right - origin) / block, (down - origin) / block
    start = (origin - (left, top)) / block
    matrix = (across[0], along[0], start[0], across[1], along[1], start[1])
    seen = window.transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    return np.array(seen.reduce(finer) if finer > 1 else seen)


def _window(picture: np.ndarray, rectangle: Tilted, block: int) -> tuple[Image.Image, int, int]:
    """Return the upright part of the picture that holds the rectangle, whole blocks of it, and where it begins."""
    corners, rim = rectangle.corners(), 2 * block
    left, top = (int(edge) for edge in np.floor(corners.min(axis=0)) - rim)
    wide, tall = (math.ceil(edge) for edge in (corners.max(axis=0) + rim - (left, top)) / block)
    rows, before_y, after_y = _inside(top, tall * block, picture.shape[0])
    columns, before_x, after_x = _inside(left, wide * block, picture.shape[1])
    part = picture[rows, columns]
    if before_x or before_y or after_x or after_y:
        part = np.pad(part, ((before_y, after_y), (before_x, after_x), (0, 0)), mode="edge")
    return Image.fromarray(np.ascontiguousarray(part)), left, top


def _inside(start: int, length: int, size: int) -> tuple[slice, int, int]:
    """Return what of a stretch lies in 0 to size, at least one pixel, and how much is missing before and behind."""
    first = min(max(start, 0), size - 1)
    last = max(min(start + length, size), first + 1)
    before = min(max(0, first - start), length - 1)
    return slice(first, last), before, length - before - (last - first)


def _rotation(angle_rad: float) -> np.ndarray[Any, Any]:
    cosine, sine = math.cos(angle_rad), math.sin(angle_rad)
    return np.array([(cosine, -sine), (sine, cosine)])
