"""What does a batch gain in TensorFlow? Whole networks against LiteRT, in frames a second, on a GPU where one is found.

LiteRT has one thread and runs picture by picture, as one process of a worker does; a machine has as many of those as it
has cores. TensorFlow takes the GPU, or all cores.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.measure import Row, interleaved_ms
from benchmarks.nets import keras_file, random_input
from models.bundle import Bundle
from models.engine import Engine
from models.tensorflow_engine.engine import TensorFlowEngine, prepare

BATCHES = (1, 8, 32)
REPEATS, WARM_UP = 9, 3


def run() -> list[Row]:
    """Return the rates and ratios for the shipped model and for two float32 networks."""
    litter = Bundle.load("litter")
    return [
        *_one("litter int8 160", litter.model_path, litter.finals),
        *_one("MobileNetV2 float32 160", keras_file("MobileNetV2", 160, "float32")),
        *_one("ResNet50 float32 224", keras_file("ResNet50", 224, "float32")),
    ]


def _one(label: str, path: Path, finals: Sequence[str] | None = None) -> list[Row]:
    litert = Engine(path, threads=1, outputs=finals).whole()
    tensorflow = TensorFlowEngine(path, outputs=finals).whole()
    picture, device = random_input(litert), prepare() or "processor"
    batches = [partial(tensorflow.run, np.repeat(picture, rows, axis=0)) for rows in BATCHES]
    alone_ms, *times_ms = interleaved_ms([partial(litert.run, picture), *batches], REPEATS, WARM_UP)
    rows = [Row(f"{label}: LiteRT, one thread", 1000 / alone_ms, "/s")]
    for count, time_ms in zip(BATCHES, times_ms, strict=True):
        rows.append(Row(f"{label}: TensorFlow ({device}), {count} at once", count * 1000 / time_ms, "/s"))
        rows.append(Row(f"{label}: TensorFlow, {count} at once / LiteRT", count * alone_ms / time_ms, "×"))
    return rows
