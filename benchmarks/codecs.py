"""Bytes and time of one activation of a real photograph: our codecs, and the ways of the documents."""

from __future__ import annotations

import base64
import json

import numpy as np

from benchmarks.measure import Row, median_ms
from benchmarks.nets import keras_file
from headwater.codec import Codec, decode_tensor, encode_tensor
from headwater.demo import built_in_photographs
from models.bundle import Bundle
from models.engine import Engine
from models.pictures import decode_picture, encode_jpeg, encode_png, fit, to_input

LIMIT_BYTES = 10_000_000
CODECS = ("float32", "float32+zstd", "float16+zstd", "uint8", "uint8+zstd")


def run() -> list[Row]:
    """Return bytes and encoding + decoding times at one early cut of MobileNetV2-160 and of the litter model."""
    photograph = decode_picture(next(p for p in built_in_photographs() if p.stem == "china").read_bytes())
    values = _activation(photograph)
    rows = [Row("papers/002: JSON list, bytes", len(_json_list(values)), "B")]
    rows.append(
        Row("papers/002: JSON list, write + read", median_ms(lambda: _read_list(_json_list(values)), 9, 2), "ms")
    )
    rows.append(Row("papers/001: base64 in JSON, bytes", len(_json_base64(values)), "B"))
    rows.append(
        Row("papers/001: base64 in JSON, write + read", median_ms(lambda: _read_base64(_json_base64(values)), 30), "ms")
    )
    for name in CODECS:
        codec = Codec.named(name, "float32")
        rows.append(Row(f"{name}, bytes", len(encode_tensor(values, codec).data), "B"))
        rows.append(Row(f"{name}, write + read", median_ms(lambda: _there_and_back(values, codec), 50), "ms"))  # noqa: B023
    return rows + _pictures(photograph) + _native(photograph)


def _activation(photograph: np.ndarray) -> np.ndarray:
    engine = Engine(keras_file("MobileNetV2", 160, "float32"))
    head = engine.head(_early_cut(engine))
    return head.run(to_input(fit(photograph, 160, 160), head.inputs[0], -1.0, 1.0))[0]


def _early_cut(engine: Engine) -> str:
    """Return the cut point a third of the way through the network's work."""
    points = engine.graph.cut_points()
    third = (points[0].madds_head + points[0].madds_tail) / 3
    return min(points, key=lambda point: abs(point.madds_head - third)).name


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


def _native(photograph: np.ndarray) -> list[Row]:
    bundle = Bundle.load("litter")
    engine = Engine(bundle.model_path)
    rows = []
    for name in bundle.cut_points:
        head = engine.head(name)
        size = bundle.input
        picture = fit(photograph, size.width, size.height)
        values = head.run(to_input(picture, head.inputs[0], size.low, size.high, size.colour))[0]
        tensor = encode_tensor(values, Codec("native", "zstd"), head.outputs[0].scale, head.outputs[0].zero_point)
        rows.append(Row(f"litter int8 at {name}, native+zstd, bytes", len(tensor.data), "B"))
    return rows


def _there_and_back(values: np.ndarray, codec: Codec) -> np.ndarray:
    return decode_tensor(encode_tensor(values, codec), LIMIT_BYTES)


def _json_list(values: np.ndarray) -> bytes:
    return json.dumps(values.tolist()).encode()


def _read_list(text: bytes) -> np.ndarray:
    return np.array(json.loads(text), np.float32)


def _json_base64(values: np.ndarray) -> bytes:
    body = {"tensor": base64.b64encode(values.tobytes()).decode(), "splitting_point": 5, "model": "MobileNetV2"}
    return json.dumps(body).encode()


def _read_base64(text: bytes) -> np.ndarray:
    return np.frombuffer(base64.b64decode(json.loads(text)["tensor"]), np.float32)
