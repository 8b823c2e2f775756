"""Activations to bytes and back: float32, float16, uint8 affine or the model's own integers, with or without zstd."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, get_args

import numpy as np
import zstandard

from headwater.errors import BadTensor, SettingsError, TooLarge
from headwater.messages import Compression, Encoding, Tensor, TensorType

ZSTD_LEVEL: Final = 1
LOSSLESS: Final = "auto"
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

    Raises: BadTensor when there is a value that the codec cannot hold (NaN, infinity, over the range of float16).
    """
    if codec.encoding == "uint8":
        flat, scale, zero_point = _affine(values)
    elif codec.encoding == "native":
        flat = values.astype(_NATIVE_TYPES[values.dtype.name], copy=False)
    else:
        flat = _floats(values, codec.encoding)
    data = memoryview(np.ascontiguousarray(flat).reshape(-1).view(np.uint8))
    if codec.compression == "zstd":
        data = memoryview(zstandard.ZstdCompressor(level=ZSTD_LEVEL, write_content_size=True).compress(data))
    dtype: TensorType = values.dtype.name  # type: ignore[assignment]
    return Tensor(dtype, values.shape, codec.encoding, codec.compression, data, float(scale), int(zero_point))


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
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    if not math.isfinite(high - low):
        raise BadTensor("activation: got NaN, infinity or a range over float32's, expected finite values; use float32")
    scale = (high - low) / 255 or 1.0
    zero_point = round(-low / scale)
    scaled = values * np.float32(1 / scale) if scale > 1e-38 else values / scale
    scaled += np.float32(zero_point + 0.5)
    return np.clip(scaled, 0, 255, out=scaled).astype(np.uint8), scale, zero_point


def decode_tensor(tensor: Tensor, limit_bytes: int) -> np.ndarray:
    """Return the array of `tensor.shape` and `tensor.dtype`, read-only where it is the message's own memory.

    Raises: TooLarge before anything is allocated, BadTensor when the bytes do not match their description.
    """
    if tensor.encoding != "native" and tensor.dtype != "float32":
        raise BadTensor(f"activation: got {tensor.encoding} for {tensor.dtype}, expected native")
    wire_type = np.dtype(_NATIVE_TYPES[tensor.dtype] if tensor.encoding == "native" else _WIRE_TYPES[tensor.encoding])
    count = math.prod(tensor.shape)
    largest_bytes = count * max(wire_type.itemsize, np.dtype(tensor.dtype).itemsize)
    if largest_bytes > limit_bytes:
        raise TooLarge(f"activation {'x'.join(map(str, tensor.shape))}", largest_bytes, limit_bytes)
    data = _decompressed(tensor, count * wire_type.itemsize)
    flat = np.frombuffer(data, wire_type)
    if tensor.encoding == "uint8":
        if not (math.isfinite(tensor.scale) and 0 <= tensor.zero_point <= 255):
            raise BadTensor(f"activation: got scale {tensor.scale} and zero point {tensor.zero_point}")
        table = (np.arange(256, dtype=np.float64) - tensor.zero_point) * tensor.scale
        flat = table.astype(np.float32)[flat]
    return flat.astype(tensor.dtype, copy=False).reshape(tensor.shape)


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
