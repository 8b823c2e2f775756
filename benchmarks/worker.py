"""How near a worker comes to LiteRT's tail alone in a loop: frames a second, everything else included.

A client that costs next to nothing keeps it busy (light_client.py), for it has the same cores.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np

from benchmarks.installation import installation
from benchmarks.light_client import FIRST_SEQUENCE, LightClient
from benchmarks.measure import Row, median_ms
from benchmarks.nets import cut_with_tail_of, keras_file, random_input
from headwater.codec import Codec, encode_tensor
from headwater.messages import VERSION, Activation, Frame, FrameId, encode
from headwater.topics import Topics
from models.bundle import Bundle
from models.engine import Engine

WINDOW = 64
WARM_UP = 2 * WINDOW
SECONDS = 6.0
DEVICE, BOOT = "bench", "00000000"


def run() -> list[Row]:
    """Return the ratio for a tail of about 0.4 ms and for one of about 10 ms, one worker with one thread."""
    litter = Bundle.load("litter")
    large = keras_file("ResNet50", 96, "float32")
    return [*_one("0.4 ms", litter, 0.4, 0.5), *_one("10 ms", Bundle.load(large), 10.0, 0.85)]


def _one(label: str, bundle: Bundle, tail_ms: float, goal: float) -> list[Row]:
    engine = Engine(bundle.model_path, outputs=bundle.finals, threads=1)
    split, _ = cut_with_tail_of(engine, tail_ms, bundle.cut_points if bundle.tasks else ())
    tail = engine.tail(split)
    array = random_input(tail)
    alone_ms = median_ms(lambda: tail.run(array))
    with installation(bundles=folder_of(bundle)) as at:
        message = frame_message(bundle, split, array, tail.inputs[0].scale)
        reached = answers_per_s(at.broker, message, SECONDS)
    alone_after_ms = median_ms(lambda: tail.run(array))
    alone_per_s = 2e3 / (alone_ms + alone_after_ms)
    return [
        Row(f"tail of {label} ({bundle.name} at {split}): LiteRT alone", alone_per_s, "/s"),
        Row(f"tail of {label}: worker, frames of {len(message):,} B", reached, "/s"),
        Row(f"tail of {label}: worker / LiteRT alone", reached / alone_per_s, "×", goal, "higher"),
    ]


def folder_of(bundle: Bundle) -> Path:
    """Return a folder that holds only this model, for a worker to find: its own where it has a manifest."""
    if bundle.tasks:
        return bundle.folder
    folder = Path(".cache/bench") / bundle.digest[:12]
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / bundle.model_path.name).exists():
        shutil.copy(bundle.model_path, folder)
    return folder


def frame_message(bundle: Bundle, split: str, array: np.ndarray, scale: float = 0.0) -> bytes:
    """Return the frame of a light client that brings an activation, encoded."""
    tensor, now_ns = encode_tensor(array, Codec("native", "zstd"), scale, 0), time.time_ns()
    frame_id = FrameId(DEVICE, BOOT, FIRST_SEQUENCE)
    body = Activation(tensor)
    return encode(Frame(VERSION, frame_id, now_ns, now_ns, bundle.name, bundle.digest, split, "native+zstd", body, {}))


def answers_per_s(broker: str, message: bytes, seconds: float) -> float:
    """Return how many answers a second come back while workers always have frames waiting."""
    topics = Topics("demo")
    client = LightClient(broker, topics.of_device(DEVICE, "frame"), topics.of_device(DEVICE, "result"), message)
    while client.answered < WARM_UP:
        client.run(WINDOW, 0.1)
    begin_s, begun = time.monotonic(), client.answered
    client.run(WINDOW, seconds)
    reached = (client.answered - begun) / (time.monotonic() - begin_s)
    client.close()
    if b"tail" not in client.last_answer:
        raise SystemExit(f"benchmarks: the worker did not finish the frames: {client.last_answer[-300:]!r}")
    return reached
