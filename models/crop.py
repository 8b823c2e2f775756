"""What of a picture a network sees: all of it, its centre, a region, or its faces. The same code trains and runs.

`open_crop` gives the crop of a name; everything about faces is in models/faces and loaded only when asked for.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, Protocol, get_args

import numpy as np

from models.choices import CropName
from models.errors import ModelError
from models.pictures import MAX_PIXELS, decode_picture, fit, size_to_decode

CROPS: Final[tuple[CropName, ...]] = get_args(CropName)
MAX_FACES: Final = 8

Pixels = np.ndarray[Any, Any]
"""(H, W, 3) uint8 RGB."""


class CropError(ModelError):
    """A crop, or what it needs, cannot be used."""


class NothingFound(CropError):
    """A crop finds nothing in any of the pictures that something is to be learnt from."""

    def __init__(self, crop: str, pictures: int) -> None:
        super().__init__(
            f"the crop {crop} finds nothing in any of {pictures} pictures, expected it to in some; "
            "give others with --data, or use another crop"
        )
        self.crop, self.pictures = crop, pictures


class Box(NamedTuple):
    """A rectangle of whole pixels of the captured picture; x and y are its left and upper edge."""

    x: int
    y: int
    width: int
    height: int


class Cut(NamedTuple):
    """What a network is shown, at its own size, and, of a face, the rectangle around it."""

    pixels: Pixels
    box: Box | None = None


class Crop(Protocol):
    """What of a picture a network sees."""

    @property
    def name(self) -> CropName:
        """As written in a bundle.toml."""

    @property
    def most(self) -> int:
        """How many cuts a picture may have; with 1 it has one, or none where nothing is found."""

    def cut(self, picture: Pixels, width: int, height: int) -> list[Cut]:
        """Return what is seen of an (H, W, 3) uint8 RGB picture, each (height, width, 3); nothing where no face is."""

    def size_to_decode(self, width: int, height: int) -> tuple[int, int] | None:
        """Return the `at_least` with which an encoded picture is decoded for cuts of this size; None: at its own."""


class Whole:
    """The whole picture, squeezed to the network's shape."""

    name: Final = "none"
    most: Final = 1

    def cut(self, picture: Pixels, width: int, height: int) -> list[Cut]:
        """Return the picture itself."""
        return [Cut(fit(picture, width, height))]

    def size_to_decode(self, width: int, height: int) -> tuple[int, int] | None:
        """Return a few times the size of the network's input."""
        return size_to_decode(width, height)


class Centre:
    """The largest rectangle of the network's shape in the middle of the picture: nothing is squeezed."""

    name: Final = "centre"
    most: Final = 1

    def cut(self, picture: Pixels, width: int, height: int) -> list[Cut]:
        """Return the middle; the longer sides lose as much at both ends."""
        rows, columns = picture.shape[:2]
        wide, tall = min(columns, round(rows * width / height)), min(rows, round(columns * height / width))
        left, top = (columns - wide) // 2, (rows - tall) // 2
        middle = picture[top : top + max(1, tall), left : left + max(1, wide)]
        return [Cut(fit(np.ascontiguousarray(middle), width, height))]

    def size_to_decode(self, width: int, height: int) -> tuple[int, int] | None:
        """Return what the whole picture needs: the middle is as long as one of its sides."""
        return size_to_decode(width, height)


class Region:
    """A fixed rectangle, as shares of the picture, squeezed to the network's shape."""

    name: Final = "region"
    most: Final = 1

    def __init__(self, left: float, top: float, width: float, height: float) -> None:
        """Take the left and upper edge and the size, each a share of 1. Raises: CropError when outside the picture."""
        if not (0 <= left < 1 and 0 <= top < 1 and 0 < width <= 1 - left + 1e-9 and 0 < height <= 1 - top + 1e-9):
            raise CropError(
                f"region: got {left:g},{top:g},{width:g},{height:g}, expected LEFT,TOP,WIDTH,HEIGHT as shares of the "
                "picture from 0 to 1 that stay inside it, such as 0.25,0.5,0.5,0.5"
            )
        self._left, self._top, self._width, self._height = left, top, width, height

    def box(self, picture: Pixels) -> Box:
        """Return the rectangle in pixels of this picture, at least one each way."""
        rows, columns = picture.shape[:2]
        left, top = min(int(self._left * columns), columns - 1), min(int(self._top * rows), rows - 1)
        wide, tall = max(1, round(self._width * columns)), max(1, round(self._height * rows))
        return Box(left, top, min(wide, columns - left), min(tall, rows - top))

    def within(self, picture: Pixels) -> Pixels:
        """Return the pixels of the region, in memory of their own."""
        x, y, width, height = self.box(picture)
        return np.ascontiguousarray(picture[y : y + height, x : x + width])

    def cut(self, picture: Pixels, width: int, height: int) -> list[Cut]:
        """Return the region."""
        return [Cut(fit(self.within(picture), width, height))]

    def size_to_decode(self, width: int, height: int) -> tuple[int, int] | None:
        """Return what the whole picture needs for its region to have pixels enough."""
        wide, tall = size_to_decode(width, height)
        return min(65_535, round(wide / self._width)), min(65_535, round(tall / self._height))


def open_crop(name: str, *, region: Region | None = None, max_faces: int = MAX_FACES) -> Crop:
    """Return the crop of this name, ready to use; with `face`, a region says where faces are looked for.

    Raises: CropError for an unknown name, a region that is missing or not used, or what `face` needs and is not here.
    """
    if name not in CROPS:
        raise CropError(f"crop: got {name!r}, expected one of {', '.join(CROPS)}")
    if region is not None and name in {"none", "centre"}:
        raise CropError(f"region: given with crop {name!r}, which does not use it; add --crop region or --crop face")

    if name == "region":
        if region is None:
            raise CropError("crop region: its rectangle is missing; add --region LEFT,TOP,WIDTH,HEIGHT")
        return region
    if name == "face":
        from models.faces.crop import FaceCrop

        return FaceCrop(max_faces=max_faces, region=region)
    return Whole() if name == "none" else Centre()


def read_cuts(data: bytes, crop: Crop, width: int, height: int, *, max_pixels: int = MAX_PIXELS) -> list[Cut]:
    """Return what a network of this size sees of an encoded picture; empty where the crop finds nothing.

    Whoever holds the same bytes gets the same pixels, in training as on a device. Raises: DataError for no picture.
    """
    picture = decode_picture(data, max_pixels=max_pixels, at_least=crop.size_to_decode(width, height))
    return crop.cut(picture, width, height)
