"""Activations to bytes and back: float32, float16, uint8 affine or the model's own integers, with or without zstd."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, get_args

import numpy as np
import zstandard

from headwater.errors import BadTensor, SettingsError, TooLarge
from headwater.messages import MAX_DIMENSION, MAX_DIMENSIONS, Compression, Encoding, Tensor, TensorType

ZSTD_LEVEL: Final = 1
LOSSLESS: Final = "auto"
SMALLEST_SCALE: Final = float(np.finfo(np.float32).tiny)
LARGEST_SCALE: Final = float(np.finfo(np.float32).max) / 256
"""Between these, a scale and its inverse are normal float32 numbers and 255 steps of it are finite."""
_WIRE_TYPES: Final[dict[str, str]] = {"float32": "<f4", "float16": "<f2", "uint8": "u1"}
_NATIVE_TYPES: Final[dict[str, str]] = {"float32": "<f4", "int8": "i1", "uint8": "u1", "int16": "<i2", "int32": "<i4"}

CODECS: Final = (LOSSLESS, *(f"{e}{c}" for e in get_args(Encoding) for c in ("", "+zstd")))
"""The names that `--codec` takes. `auto` is lossless: the model's own type, compressed."""


@dataclass(frozen=True)
class Codec:
    """How an activation is written: an encoding of its values and a compression of the bytes."""

    encoding: Encoding
    compression: Compression

    @classmethod
    def named(cls, name: str, dtype: str) -> Codec:
        """Return the codec called `name` for activations of `dtype`. Raises: SettingsError."""
        if name not in CODECS:
            raise SettingsError(f"codec: got {name!r}, expected one of {', '.join(CODECS)}")
        if dtype not in _NATIVE_TYPES:
            raise SettingsError(f"codec: an activation of {dtype} cannot travel; expected {', '.join(_NATIVE_TYPES)}")
        if name == LOSSLESS:
            return cls("native", "zstd")
        encoding, _, compression = name.partition("+")
        if dtype != "float32" and encoding != "native":
            raise SettingsError(f"codec: {name!r} is for float32, this activation is {dtype}; use native or auto")
        return cls(encoding, compression or "none")  # type: ignore[arg-type]

    def __str__(self) -> str:
        return self.encoding if self.compression == "none" else f"{self.encoding}+{self.compression}"


def encode_tensor(values: np.ndarray, codec: Codec, scale: float = 0.0, zero_point: int = 0) -> Tensor:
    """Return `values` as they travel; `scale` and `zero_point` describe native integers.

    Raises: BadTensor when there is a value or a shape that cannot travel (NaN, infinity, over float16, no values).
    """
    _check_sendable(values, codec)
    if codec.encoding == "uint8":
        flat, scale, zero_point = _affine(values)
    elif codec.encoding == "native":
        flat = values.astype(_NATIVE_TYPES[values.dtype.name], copy=False)
    else:
        flat = _floats(values, codec.encoding)
    data = np.ascontiguousarray(flat).reshape(-1).view(np.uint8).data
    if codec.compression == "zstd":
        data = memoryview(zstandard.ZstdCompressor(level=ZSTD_LEVEL, write_content_size=True).compress(data))
    dtype: TensorType = values.dtype.name  # type: ignore[assignment]
    return Tensor(dtype, values.shape, codec.encoding, codec.compression, data, float(scale), int(zero_point))


def _check_sendable(values: np.ndarray, codec: Codec) -> None:
    _check_encoding(codec.encoding, values.dtype.name)
    if not (1 <= values.ndim <= MAX_DIMENSIONS and all(1 <= side <= MAX_DIMENSION for side in values.shape)):
        raise BadTensor(
            f"activation: got shape {values.shape}, expected 1 to {MAX_DIMENSIONS} sides of 1 to {MAX_DIMENSION}"
        )


def _check_encoding(encoding: Encoding, dtype: str) -> None:
    if dtype not in _NATIVE_TYPES:
        raise BadTensor(f"activation: got {dtype}, expected {', '.join(_NATIVE_TYPES)}")
    if encoding != "native" and dtype != "float32":
        raise BadTensor(f"activation: got {encoding} for {dtype}, expected native")


def _floats(values: np.ndarray, encoding: Encoding) -> np.ndarray:
    with np.errstate(over="ignore"):
        written = values.astype(_WIRE_TYPES[encoding], copy=False)
    if encoding == "float16" and not np.isfinite(written).all():
        raise BadTensor("activation: got a value outside float16's ±65504, expected a finite one; use float32 or uint8")
    return written


def _affine(values: np.ndarray) -> tuple[np.ndarray, float, int]:
    """Return (uint8 values, scale, zero point) with real = (q - zero point) * scale; zero stays exactly zero.

    Source: Jacob et al. 2018, eq. 1.
    """
    low, high = float(values.min()), float(values.max())
    low, high = min(low, 0.0), max(high, 0.0)  # in this order NaN stays NaN
    scale = max((high - low) / 255, SMALLEST_SCALE)
    if not scale <= LARGEST_SCALE:
        raise BadTensor(f"activation: got values from {low} to {high}, expected finite and moderate ones; use float32")
    zero_point = round(-low / scale)
    scaled = values * np.float32(1 / scale)
    scaled += np.float32(zero_point + 0.5)
    return np.clip(scaled, 0, 255, out=scaled).astype(np.uint8), scale, zero_point


def decode_tensor(tensor: Tensor, limit_bytes: int) -> np.ndarray:
    """Return the array of `tensor.shape` and `tensor.dtype`, read-only where it is the message's own memory.

    Raises: TooLarge before anything is allocated, BadTensor when the bytes do not match their description.
    """
    _check_encoding(tensor.encoding, tensor.dtype)
    wire_type = np.dtype(_NATIVE_TYPES[tensor.dtype] if tensor.encoding == "native" else _WIRE_TYPES[tensor.encoding])
    count = math.prod(tensor.shape)
    largest_bytes = count * max(wire_type.itemsize, np.dtype(tensor.dtype).itemsize)
    if largest_bytes > limit_bytes:
        raise TooLarge(f"activation {'x'.join(map(str, tensor.shape))}", largest_bytes, limit_bytes)
    data = _decompressed(tensor, count * wire_type.itemsize)
    flat = np.frombuffer(data, wire_type)
    if tensor.encoding == "uint8":
        flat = _from_affine(flat, tensor.scale, tensor.zero_point)
    return flat.astype(tensor.dtype, copy=False).reshape(tensor.shape)


def _from_affine(quantised: np.ndarray, scale: float, zero_point: int) -> np.ndarray:
    if not (0 <= scale <= LARGEST_SCALE and 0 <= zero_point <= 255):
        raise BadTensor(f"activation: got scale {scale} and zero point {zero_point}, expected finite and 0 to 255")
    real = quantised.astype(np.float32)
    real -= np.float32(zero_point)
    real *= np.float32(scale)
    return real


def _decompressed(tensor: Tensor, expected_bytes: int) -> memoryview | bytes:
    data: memoryview | bytes = tensor.data
    if tensor.compression == "zstd":
        # zstandard allocates what the frame's header announces, so the header is held against the shape first.
        try:
            announced = zstandard.frame_content_size(data)
            if announced == expected_bytes:
                return zstandard.ZstdDecompressor().decompress(data, allow_extra_data=False)
        except zstandard.ZstdError as error:
            raise BadTensor(f"activation: the zstd frame is broken ({error})") from None
        raise BadTensor(f"activation: zstd announces {announced} B, its shape and type need {expected_bytes} B")
    if len(data) != expected_bytes:
        raise BadTensor(f"activation: got {len(data)} B, its shape and type need {expected_bytes} B")
    return data
