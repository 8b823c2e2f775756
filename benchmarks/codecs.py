"""Bytes and time of one activation of a real photograph: our codecs, and the ways of the documents."""

from __future__ import annotations

import base64
import json

import numpy as np

from benchmarks.measure import Row, median_ms
from headwater.codec import Codec, decode_tensor, encode_tensor
from headwater.demo import built_in_photographs
from models.bundle import Bundle
from models.engine import Engine, TensorSpec
from models.pictures import decode_picture, encode_jpeg, encode_png, fit, to_input

LIMIT_BYTES = 10_000_000
CUT = "block_5_add"
"""A third of the way through the litter model's work."""
CODECS = ("float32", "float16", "uint8", "uint8+zstd")


def run() -> list[Row]:
    """Return bytes and writing + reading times at one cut of the litter model, and the bytes at every other.

    What stands for a float network's activation is the int8 network's, times its scale: real numbers of a real picture,
    of which only what does not profit from their 256 different values is measured.
    """
    photograph = decode_picture(next(p for p in built_in_photographs() if p.stem == "china").read_bytes())
    bundle = Bundle.load("litter")
    engine = Engine(bundle.model_path, outputs=bundle.finals)
    native, spec = _activation(engine, bundle, photograph, CUT)
    values = ((native.astype(np.float32) - spec.zero_point) * spec.scale).astype(np.float32)
    rows = [Row("papers/002: JSON list, bytes", len(_json_list(values)), "B")]
    rows.append(
        Row("papers/002: JSON list, write + read", median_ms(lambda: _read_list(_json_list(values)), 9, 2), "ms")
    )
    rows.append(Row("papers/001: base64 in JSON, bytes", len(_json_base64(values)), "B"))
    rows.append(
        Row("papers/001: base64 in JSON, write + read", median_ms(lambda: _read_base64(_json_base64(values)), 30), "ms")
    )
    for name in CODECS:
        rows += _codec(name, values, Codec.named(name, "float32"))
    rows += _codec("native int8+zstd", native, Codec("native", "zstd"), spec)
    return rows + _pictures(photograph) + _every_cut(engine, bundle, photograph)


def _activation(engine: Engine, bundle: Bundle, picture: np.ndarray, cut: str) -> tuple[np.ndarray, TensorSpec]:
    head, wanted = engine.head(cut), bundle.input
    small = fit(picture, wanted.width, wanted.height)
    values = head.run(to_input(small, head.inputs[0], wanted.low, wanted.high, wanted.colour))[0]
    return values, head.outputs[0]


def _codec(name: str, values: np.ndarray, codec: Codec, spec: TensorSpec | None = None) -> list[Row]:
    scale, zero_point = (spec.scale, spec.zero_point) if spec else (0.0, 0)
    size = len(encode_tensor(values, codec, scale, zero_point).data)
    time_ms = median_ms(lambda: decode_tensor(encode_tensor(values, codec, scale, zero_point), LIMIT_BYTES), 50)
    return [Row(f"{name}, bytes", size, "B"), Row(f"{name}, write + read", time_ms, "ms")]


def _pictures(photograph: np.ndarray) -> list[Row]:
    small = fit(photograph, 160, 160)
    return [
        Row("the picture as JPEG 90, bytes", len(encode_jpeg(small, 90)), "B"),
        Row(
            "the picture as JPEG 90, write + read", median_ms(lambda: decode_picture(encode_jpeg(small, 90)), 50), "ms"
        ),
        Row("the picture as PNG, bytes", len(encode_png(small)), "B"),
        Row("the picture as PNG, write + read", median_ms(lambda: decode_picture(encode_png(small)), 50), "ms"),
    ]


def _every_cut(engine: Engine, bundle: Bundle, picture: np.ndarray) -> list[Row]:
    rows = []
    for name in bundle.cut_points:
        values, spec = _activation(engine, bundle, picture, name)
        tensor = encode_tensor(values, Codec("native", "zstd"), spec.scale, spec.zero_point)
        rows.append(Row(f"at {name}: native int8+zstd, bytes", len(tensor.data), "B"))
    return rows


def _json_list(values: np.ndarray) -> bytes:
    return json.dumps(values.tolist()).encode()


def _read_list(text: bytes) -> np.ndarray:
    return np.array(json.loads(text), np.float32)


def _json_base64(values: np.ndarray) -> bytes:
    body = {"tensor": base64.b64encode(values.tobytes()).decode(), "splitting_point": 5, "model": "MobileNetV2"}
    return json.dumps(body).encode()


def _read_base64(text: bytes) -> np.ndarray:
    return np.frombuffer(base64.b64decode(json.loads(text)["tensor"]), np.float32)
