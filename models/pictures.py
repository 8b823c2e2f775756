"""Pictures: bytes to pixels, pixels to a network's input. The same code in training and on the device."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, Protocol

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from models.choices import Colour
from models.errors import ModelError
from models.jpeg import MOST_SCANS, scans
from models.png import SIGNATURE, check_chunks

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "PPM")
MAX_PIXELS = 50_000_000
LOW: Final = -1.0
HIGH: Final = 127 / 128
"""What pixel values 0 and 255 become in `centred`."""
SMALL_PIXELS: Final = 256 * 256
"""Up to here JPEG gets code tables of its own: 4 % fewer bytes at 160x160 for 0.25 ms, at 640x480 1 % for 3 ms."""
_STRIP_PIXELS: Final = 2**20
"""So many are brought to RGB at a time: what lies between costs little memory, whatever the picture's mode."""
_GAP = 2  # the reduction by whole factors stops at this many times the wanted size; the filter does the rest
_LUMA = (299, 587, 114)  # Source: ITU-R BT.601
_JPEG = ("JPEG", "MPO")
_EXIF_ORIENTATION = 0x0112
_TURNED = (5, 6, 7, 8)  # orientations that swap width and height
_DAMAGE = (
    OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, ArithmeticError, AttributeError, AssertionError,
    RuntimeError, struct.error, zlib.error,
)  # fmt: skip
"""What Pillow raises at damaged files; it promises no list."""


class DataError(ModelError):
    """A picture, or a folder of pictures, cannot be used."""


class InputTensor(Protocol):
    """What `to_input` must know of a network's input; a scale of 0.0 means not quantised."""

    @property
    def dtype(self) -> Any: ...
    @property
    def scale(self) -> float: ...
    @property
    def zero_point(self) -> int: ...


def fit(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return the whole picture squeezed to (height, width, 3) uint8, antialiased and the same on every machine.

    `picture` is (H, W, 3) uint8 RGB. Large pictures are first averaged over whole blocks, which costs a few
    milliseconds where a filter over every pixel costs a hundred. All steps are integer arithmetic.
    """
    _check_picture(picture)
    if picture.shape[:2] == (height, width):
        return picture.copy()
    rows = picture.shape[0]
    block = min(max(1, rows // (height * _GAP)), 256)
    image = Image.fromarray(_average_rows(picture, block))
    box = (0.0, 0.0, float(image.width), rows / block)
    small = image.resize((width, height), Image.Resampling.BILINEAR, box=box, reducing_gap=float(_GAP))
    return np.asarray(small)


def to_input(picture: np.ndarray, spec: InputTensor, low: float, high: float, colour: Colour = "RGB") -> np.ndarray:
    """Return a (H, W, 3) uint8 RGB picture as (1, H, W, C) in the network's input dtype; 0 becomes low, 255 high."""
    _check_picture(picture)
    table = _input_table(np.dtype(spec.dtype).name, float(spec.scale), int(spec.zero_point), low, high)
    pixels = in_colour(picture, colour)
    if table.itemsize == 1:
        converted = np.frombuffer(bytearray(pixels.tobytes().translate(table.tobytes())), table.dtype)
    else:
        converted = np.take(table, pixels.reshape(-1))
    return converted.reshape(1, *pixels.shape)


def centred(pictures: np.ndarray | Sequence[np.ndarray]) -> np.ndarray:
    """Return uint8 pixels v as float32 (v - 128) / 128, from LOW to HIGH: in int8 one step for each pixel value."""
    return (np.asarray(pictures, np.float32) - 128) / 128


def decode_picture(
    data: bytes,
    *,
    max_pixels: int = MAX_PIXELS,
    at_least: tuple[int, int] | None = None,
    max_decoded: int | None = None,
    formats: tuple[str, ...] = FORMATS,
) -> np.ndarray:
    """Return the picture in `data` as (H, W, 3) uint8 RGB, upright after its EXIF orientation.

    With `at_least` (width, height of the upright picture) a large JPEG is decoded at the smallest of 1/1, 1/2, 1/4
    and 1/8 of its size that still has that many pixels, several times faster. The same bytes and arguments give the
    same pixels. Transparent parts become white. `max_decoded` bounds the pixels that are held in memory, which are
    those after that reduction; of a JPEG in several scans, and of every other format, all. Of bytes from the network
    only the `formats` that were announced are opened.

    Raises: DataError when the bytes are no picture of such a format, are cut short, hold over max_pixels, or are a
    JPEG in over MOST_SCANS scans.
    """
    return decode_with_exif(data, max_pixels=max_pixels, at_least=at_least, max_decoded=max_decoded, formats=formats)[0]


def decode_with_exif(
    data: bytes,
    *,
    max_pixels: int = MAX_PIXELS,
    at_least: tuple[int, int] | None = None,
    max_decoded: int | None = None,
    formats: tuple[str, ...] = FORMATS,
) -> tuple[np.ndarray, bytes]:
    """Return what `decode_picture` does and the picture's EXIF block, empty where it has none. Raises: DataError."""
    try:
        passes = _passes(data)
        with Image.open(io.BytesIO(data), formats=formats) as image:
            _check_pixels(image.size, max_pixels)
            whole = image.size
            _draft(image, at_least)
            if max_decoded is not None:
                _check_pixels(whole if passes > 1 else image.size, max_decoded)
            image.load()
            exif = image.info.get("exif")
            return _upright_rgb(image), exif if isinstance(exif, bytes) else b""
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"picture of {len(data)} B is refused: {error}; make it smaller") from error
    except UnidentifiedImageError as error:
        raise DataError(f"{len(data)} B are no picture: expected one of {', '.join(formats)}") from error
    except _DAMAGE as error:
        raise DataError(f"picture of {len(data)} B is damaged or cut short: {error}; fetch it again") from error


def decode_to_fit(data: bytes, width: int, height: int, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Return the picture in `data` as (height, width, 3) uint8: decoded no larger than needed, then `fit`.

    Training reads its pictures with this; whoever holds the encoded file gets the very same pixels.
    """
    return fit(decode_picture(data, max_pixels=max_pixels, at_least=size_to_decode(width, height)), width, height)


def size_to_decode(width: int, height: int) -> tuple[int, int]:
    """Return the `at_least` of `decode_picture` with which `fit` to this size gives what training saw."""
    return width * _GAP, height * _GAP


def encode_jpeg(picture: np.ndarray, quality: int = 85) -> bytes:
    """Return a (H, W, 3) uint8 RGB picture as JPEG; a small one with code tables of its own."""
    small = picture.shape[0] * picture.shape[1] <= SMALL_PIXELS
    return _encode(picture, "JPEG", quality=quality, optimize=small)


def encode_png(picture: np.ndarray) -> bytes:
    """Return a (H, W, 3) uint8 RGB picture as PNG: lossless, compressed for speed."""
    return _encode(picture, "PNG", compress_level=1)


def _encode(picture: np.ndarray, kind: str, **options: int) -> bytes:
    _check_picture(picture)
    out = io.BytesIO()
    Image.fromarray(picture).save(out, kind, **options)
    return out.getvalue()


def _check_picture(picture: np.ndarray) -> None:
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise DataError(
            f"picture is {picture.dtype} of shape {picture.shape}, expected uint8 of shape (height, width, 3); "
            "convert it to RGB first"
        )


def _average_rows(picture: np.ndarray, block: int) -> np.ndarray:
    """Return the mean of every `block` rows, rounded; the last block may hold fewer."""
    if block == 1:
        return picture
    whole = len(picture) // block * block
    sums = picture[:whole].reshape(-1, block, *picture.shape[1:]).sum(axis=1, dtype=np.uint16)
    means: np.ndarray = ((sums + block // 2) // block).astype(np.uint8)
    rest = picture[whole:]
    if not len(rest):
        return means
    last = (rest.sum(axis=0, dtype=np.uint16, keepdims=True) + len(rest) // 2) // len(rest)
    return np.concatenate([means, last.astype(np.uint8)])


@lru_cache(maxsize=32)
def _input_table(dtype: str, scale: float, zero_point: int, low: float, high: float) -> np.ndarray:
    """Return what each pixel value becomes. Source: XNNPACK, f32-qs8-vcvt: times 1/scale, half to even."""
    steps = np.arange(256, dtype=np.float64) / 255
    values: np.ndarray = (low + steps * (high - low)).astype(np.float32)
    if np.issubdtype(np.dtype(dtype), np.floating):
        return values.astype(dtype)
    if scale == 0.0:
        raise DataError(
            f"input is {dtype} without a scale: expected a float or a quantised input; convert the model again"
        )
    limits = np.iinfo(dtype)
    steps_from_zero = np.rint(values * (np.float32(1) / np.float32(scale)))
    return np.asarray(np.clip(steps_from_zero + zero_point, limits.min, limits.max), dtype)


def in_colour(picture: np.ndarray, colour: Colour) -> np.ndarray:
    """Return (…, 3) uint8 RGB pictures in the channels of a network: BGR, or one of grey (luma)."""
    if colour == "BGR":
        return np.ascontiguousarray(picture[..., ::-1])
    if colour == "grey":
        grey = (picture.astype(np.uint32) @ np.array(_LUMA, np.uint32) + 500) // 1000
        return grey.astype(np.uint8)[..., None]
    return picture


def _check_pixels(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise DataError(
            f"picture of {width}x{height} is over the limit of {max_pixels} pixels; make it smaller or raise the limit"
        )


def _passes(data: bytes) -> int:
    """Return in how many passes the picture is decoded. Raises: DataError for more than a camera's file ever asks."""
    if data[: len(SIGNATURE)] == SIGNATURE:
        check_chunks(data)
    passes = scans(data) if data[:3] == b"\xff\xd8\xff" else 1
    if passes > MOST_SCANS:
        raise DataError(f"JPEG: got over {MOST_SCANS} scans, expected at most {MOST_SCANS}; save it again")
    return passes


def _draft(image: Image.Image, at_least: tuple[int, int] | None) -> None:
    if at_least is None or image.format not in _JPEG:
        return
    width, height = at_least
    turned = image.getexif().get(_EXIF_ORIENTATION) in _TURNED
    image.draft(image.mode, (height, width) if turned else (width, height))


def _upright_rgb(image: Image.Image) -> np.ndarray:
    """Return (H, W, 3) uint8, brought to RGB strip by strip."""
    ImageOps.exif_transpose(image, in_place=True)
    width, height = image.size
    rows = max(1, _STRIP_PIXELS // width)
    if rows >= height:
        return _rgb(image)
    found = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, rows):
        below = min(height, top + rows)
        found[top:below] = _rgb(image.crop((0, top, width, below)))
    return found


def _rgb(image: Image.Image) -> np.ndarray:
    if image.mode == "RGB" and not image.has_transparency_data:
        return np.asarray(image)
    if image.mode.startswith("I") or image.mode == "F":
        grey = np.nan_to_num(np.asarray(image).astype(np.float64))
        scale = 257.0 if image.mode.startswith("I") else 1.0
        eight = np.clip(np.rint(grey / scale), 0, 255).astype(np.uint8)
        return np.repeat(eight[..., None], 3, axis=2)
    if image.has_transparency_data:
        clear = image.convert("RGBA")
        white = Image.new("RGBA", clear.size, "white")
        return np.asarray(Image.alpha_composite(white, clear).convert("RGB"))
    return np.asarray(image.convert("RGB"))
