"""How near a worker comes to LiteRT's tail alone in a loop: frames a second, everything else included."""

from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path

import numpy as np

from benchmarks.installation import installation
from benchmarks.measure import Row, median_ms
from benchmarks.nets import cut_with_tail_of, keras_file, random_input
from headwater.clock import StageClock
from headwater.codec import Codec, encode_tensor
from headwater.messages import VERSION, Activation, Frame, FrameId, Result, decode, encode
from headwater.session import Address, Callbacks, Received, Session
from headwater.topics import Topics
from models.bundle import Bundle
from models.engine import Engine

WINDOW = 64
SECONDS = 6.0
RESULT_LIMIT_BYTES = 100_000
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
        reached, size = frames_per_s(at.broker, bundle, split, array, tail.inputs[0].scale)
    alone_after_ms = median_ms(lambda: tail.run(array))
    alone_per_s = 2e3 / (alone_ms + alone_after_ms)
    return [
        Row(f"tail of {label} ({bundle.name} at {split}): LiteRT alone", alone_per_s, "/s"),
        Row(f"tail of {label}: worker, frames of {size:,} B", reached, "/s"),
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


def frames_per_s(broker: str, bundle: Bundle, split: str, array: np.ndarray, scale: float) -> tuple[float, int]:
    """Return how many results a second come back while the worker always has frames waiting."""
    topics, clock = Topics("demo"), StageClock()
    room, answered = threading.Semaphore(WINDOW), [0]
    refused: list[str] = []

    def on_message(message: Received) -> None:
        found = decode(Result, message.payload, RESULT_LIMIT_BYTES)
        if found.refused is not None:
            refused.append(found.refused)
        answered[0] += 1
        room.release()

    session = Session(
        Address.parse(broker),
        f"bench-{os.getpid()}",
        Callbacks(on_message=on_message),
        subscriptions=[(topics.of_device(DEVICE, "result"), 0)],
    )
    session.start(10.0)
    tensor = encode_tensor(array, Codec("native", "zstd"), scale, 0)
    sequence, counted_from, begin_s, end_s = 0, 0, 0.0, float("inf")
    message = b""
    while time.monotonic() < end_s:
        room.acquire()
        frame_id = FrameId(DEVICE, BOOT, sequence)
        now_ns = clock.now_ns()
        frame = Frame(
            VERSION, frame_id, now_ns, now_ns, bundle.name, bundle.digest, split, "native+zstd", Activation(tensor), {}
        )
        message = encode(frame)
        session.publish(topics.of_device(DEVICE, "frame"), message)
        sequence += 1
        if begin_s == 0.0 and answered[0] > 2 * WINDOW:
            counted_from, begin_s = answered[0], time.monotonic()
            end_s = begin_s + SECONDS
    reached = (answered[0] - counted_from) / (time.monotonic() - begin_s)
    session.stop()
    if refused:
        raise SystemExit(f"benchmarks: the worker refused {len(refused)} frames: {refused[0]}")
    return reached, len(message)
