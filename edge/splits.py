"""Where the device may stop computing, and how what it has then may travel."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Final

from headwater.codec import CODECS, LOSSLESS, Codec
from headwater.errors import SettingsError
from models.errors import NoCutPoint
from models.graph import CutPoint, Graph

IMAGE: Final = "image"
"""The split before the model: the picture travels."""
DEVICE: Final = "device"
"""The split behind the model: the device finishes, and its predictions travel."""
AUTO: Final = "auto"
"""No split but the wish that one be chosen, again and again, by what the stream shows."""
DEFAULT_JPEG_QUALITY: Final = 90
_JPEG: Final = re.compile(r"jpeg(?::(\d{1,3}))?", re.ASCII)


@dataclass(frozen=True)
class PictureCodec:
    """How a picture travels: PNG, which loses nothing, or JPEG of a quality."""

    jpeg_quality: int | None

    def __str__(self) -> str:
        return "png" if self.jpeg_quality is None else f"jpeg:{self.jpeg_quality}"


def cut_points(graph: Graph) -> tuple[CutPoint, ...]:
    """Return the model's cut points, none for a model that cannot be cut."""
    try:
        return graph.cut_points()
    except NoCutPoint:
        return ()


def checked_split(graph: Graph, split: str) -> str:
    """Return the split's short name. Raises: SettingsError with the nearest names."""
    points = cut_points(graph)
    if split in {IMAGE, DEVICE}:
        return split
    for point in points:
        if split in {point.name, point.tensor, f"#{point.index}"}:
            return point.name
    near = difflib.get_close_matches(split, [IMAGE, DEVICE, *(point.name for point in points)], n=3, cutoff=0.3)
    raise SettingsError(
        f"split: got {split!r}, expected image, device or a cut point of the model"
        f"{' such as ' + ', '.join(near) if near else ''}; list them with: headwater models cuts"
    )


def resolve_codec(graph: Graph, split: str, name: str) -> Codec | PictureCodec | None:
    """Return how frames travel from `split`: an activation's codec, a picture's, or None for finished predictions.

    `auto` is what loses nothing. Raises: SettingsError for a codec that is not one, or is for something else.
    """
    for_pictures = _picture_codec(name)
    if for_pictures is None and name not in CODECS:
        raise SettingsError(f"codec: got {name!r}, expected one of {', '.join(CODECS)}, png, jpeg or jpeg:QUALITY")
    if split == DEVICE:
        return None
    if split == IMAGE:
        if for_pictures is None and name != LOSSLESS:
            raise SettingsError(f"codec: got {name!r}, with split image expected auto, png, jpeg or jpeg:QUALITY")
        return for_pictures or PictureCodec(None)
    if for_pictures is not None:
        raise SettingsError(f"codec: {name!r} is for pictures, with split {split} expected {', '.join(CODECS)}")
    dtype = next(point.dtype for point in cut_points(graph) if point.name == split)
    return Codec.named(name, dtype)


def codec_fits(graph: Graph, split: str, name: str) -> bool:
    """Tell whether frames may travel so from `split`."""
    try:
        resolve_codec(graph, split, name)
    except SettingsError:
        return False
    return True


def codecs_to_try(codec: str) -> tuple[str, ...]:
    """Return how frames may travel on a device that is told one codec; `auto` may send a good JPEG, too."""
    return (LOSSLESS, f"jpeg:{DEFAULT_JPEG_QUALITY}") if codec == LOSSLESS else (codec,)


def _picture_codec(name: str) -> PictureCodec | None:
    if name == "png":
        return PictureCodec(None)
    match = _JPEG.fullmatch(name)
    if match is None:
        return None
    quality = int(match[1] or DEFAULT_JPEG_QUALITY)
    if not 1 <= quality <= 100:
        raise SettingsError(f"codec: got {name!r}, expected a JPEG quality from 1 to 100")
    return PictureCodec(quality)
