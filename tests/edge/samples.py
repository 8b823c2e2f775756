"""A tiny bundle, frames, results, and a link that only remembers: what the tests of the device are made of."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from msgspec.structs import replace
from paho.mqtt.properties import Properties
from PIL import Image

from edge.machine import Machine
from edge.outbox import Offered
from edge.spool import Key
from headwater.clock import Stage
from headwater.errors import TooLarge
from headwater.messages import (
    VERSION,
    Activation,
    Finished,
    Frame,
    FrameId,
    Link,
    Prediction,
    Result,
    SettingsApplied,
    Status,
    Tensor,
    decode,
    encode,
)
from headwater.session import PACKET_OVERHEAD_BYTES, Limits, Received
from headwater.topics import Topics
from models.bundle import Bundle
from tests.models import tflite_files

DEVICE = "cam1"
BOOT = "0123abcd"
EARLIER_BOOT = "ffff0000"
TOPICS = Topics("demo")
NOW_NS = 1_789_990_000_000_000_000
MOST_SIDE = 65_536
"""Of a tensor that a frame may have."""


def bundle_folder(folder: Path, model: bytes | None = None, *, positive: str = "dirty", side: int = 8) -> Path:
    """Return a bundle's folder: a small classifier of three kinds for pictures of 8 x 8."""
    content = tflite_files.residual() if model is None else model
    folder.mkdir(parents=True)
    (folder / "model.tflite").write_bytes(content)
    (folder / "bundle.toml").write_text(
        f"""
format = 1
name = "tiny"
description = "Three kinds of nothing."
digest = "{hashlib.sha256(content).hexdigest()}"
outputs = ["scores"]
cut_points = ["conv_a", "add", "conv_c"]

[input]
width = {side}
height = {side}
low = -1.0
high = 1.0

[[tasks]]
name = "litter"
kind = "classification"
output = "scores"
labels = ["clean", "dirty", "unsure"]
positive = "{positive}"

[training]
data = "none"
licence = "none"
"""
    )
    return folder


def exit_bundle(folder: Path, threshold: float, drop: float | None = None) -> Bundle:
    """Return a bundle with an exit behind its first convolution, by entropy: 99 lets every frame leave, 0 none."""
    folder = bundle_folder(folder, tflite_files.early_exit())
    text = (folder / "bundle.toml").read_text().replace('"scores"', '"kind"').replace('"add", "conv_c"', '"conv_b"')
    text = text.replace("[[tasks]]", '[[tasks]]\nscores = "logits"')
    given_up = "" if drop is None else f"drop = {{ litter = {drop} }}"
    text += f"""
[[exits]]
name = "exit1"
after = "conv_a"
outputs = {{ litter = "exit1/kind" }}
rule = "entropy"
thresholds = {{ litter = {threshold} }}
{given_up}
"""
    (folder / "bundle.toml").write_text(text)
    return Bundle.load(folder)


def tiny_bundle(folder: Path, model: bytes | None = None) -> Bundle:
    """Return that bundle, loaded."""
    return Bundle.load(bundle_folder(folder, model))


def write_pictures(folder: Path, number: int, *, side: int = 24) -> Path:
    """Write that many small pictures of noise, each another one, and return their folder."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(3)
    for index in range(number):
        pixels = random.integers(0, 256, (side, side, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"picture{index:04d}.png")
    return folder


def frame(
    sequence: int, size_bytes: int = 100, *, boot: str = BOOT, finished: bool = False, age_s: float = 0.0
) -> Frame:
    """Return a frame as the head gives it, with a body of about that size."""
    rows = max(1, -(-size_bytes // MOST_SIDE))
    shape = (rows, size_bytes // rows)
    data = memoryview(bytes(shape[0] * shape[1]))
    predictions = [Prediction("litter", "clean", None, 0.5, [0.5, 0.5])]
    return Frame(
        version=VERSION,
        id=FrameId(DEVICE, boot, sequence),
        captured_ns=NOW_NS - round(age_s * 1e9),
        sent_ns=NOW_NS,
        bundle="tiny",
        digest="ab" * 32,
        split="device" if finished else "conv_a",
        codec="none" if finished else "uint8",
        body=Finished(predictions) if finished else Activation(Tensor("float32", shape, "uint8", "none", data, 0.5, 3)),
        stages_ns={"capture": 3_000_000, "head": 2_000_000},
    )


def offered(*frames: Frame) -> list[Offered]:
    """Return frames as the outbox takes them."""
    return [Offered(one, encode(one)) for one in frames]


def key(sequence: int, boot: str = BOOT) -> Key:
    """Return a frame's key."""
    return Key(boot, sequence)


def result(
    sequence: int,
    *,
    boot: str = BOOT,
    device: str = DEVICE,
    worker: str = "worker-1",
    sent_ns: int = NOW_NS,
    received_ns: int = NOW_NS,
    replied_ns: int = NOW_NS,
    stages_ns: dict[Stage, int] | None = None,
    refused: str | None = None,
    at_exit: str | None = None,
) -> bytes:
    """Return a worker's answer as it travels."""
    identity = FrameId(device, boot, sequence)
    stages = stages_ns or {}
    stamps = (sent_ns, received_ns, replied_ns)
    return encode(Result(VERSION, identity, worker, *stamps, stages, exit=at_exit, refused=refused))


class Clock:
    """A clock that is set by hand: seconds for durations, nanoseconds as the device's stage clock."""

    def __init__(self) -> None:
        self.s = 1000.0
        self.wall_s = NOW_NS / 1e9 - 1000.0
        """What the wall clock is ahead of `s`."""

    def __call__(self) -> float:
        return self.s

    def now_ns(self) -> int:
        """Return the stage clock."""
        return NOW_NS + round((self.s - 1000.0) * 1e9)

    def machine(self, start: str = "start-1") -> Machine:
        """Return a machine that runs by this clock, and whose wall clock is set by `wall_s`."""
        return Machine(start, lambda: self.s, lambda: self.wall_s + self.s)


@dataclass
class FakeLink:
    """A session that remembers what was published and acknowledged."""

    limits: Limits = field(default_factory=Limits)
    is_connected: bool = False
    published: list[tuple[str, bytes, int, bool]] = field(default_factory=list)
    mids: list[int] = field(default_factory=list)
    acked: list[Received] = field(default_factory=list)
    properties: list[Properties | None] = field(default_factory=list)

    def publish(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, properties: Properties | None = None
    ) -> int:
        """Remember one message and return its number."""
        if len(payload) + PACKET_OVERHEAD_BYTES > self.limits.packet_bytes:
            raise TooLarge("message", len(payload), self.limits.packet_bytes - PACKET_OVERHEAD_BYTES)
        self.published.append((topic.removeprefix(f"{TOPICS.root}/{DEVICE}/"), payload, qos, retain))
        self.properties.append(properties)
        self.mids.append(len(self.published))
        return len(self.published)

    def ack(self, message: Received) -> None:
        """Remember an acknowledgement."""
        self.acked.append(message)

    def payloads(self, kind: str) -> list[bytes]:
        """Return what was published on one of the device's topics."""
        return [payload for topic, payload, _, _ in self.published if topic == kind]

    def frames(self) -> list[Frame]:
        """Return the frames published."""
        return [decode(Frame, payload, 10**9) for payload in self.payloads("frame")]


class FakeReporter:
    """A device that has nothing to say."""

    def __init__(self) -> None:
        self.settings: list[bytes] = []
        self.answers: list[tuple[str, str, Result]] = []
        self.sizes: list[tuple[str, str, int]] = []

    def status(self, link: Link | None) -> Status:
        """Return a status."""
        return Status(VERSION, DEVICE, online=True, since_ns=NOW_NS, sent_ns=NOW_NS, link=link)

    def apply(self, payload: bytes) -> SettingsApplied | None:
        """Remember the settings; an empty message asks for nothing."""
        self.settings.append(payload)
        return SettingsApplied(VERSION, DEVICE, "image", "png", "all") if payload else None

    def answered(self, split: str, codec: str, result: Result, at_ns: int) -> None:
        """Remember what a worker says."""
        self.answers.append((split, codec, result))

    def sized(self, split: str, codec: str, message_bytes: int) -> None:
        """Remember how long messages are."""
        self.sizes.append((split, codec, message_bytes))


def received(kind: str, payload: bytes, mid: int = 1) -> Received:
    """Return a message as the session gives it."""
    return Received(TOPICS.of_device(DEVICE, kind), payload, 1, mid, 1)


def sequences(frames: Sequence[Frame]) -> list[int]:
    """Return the frames' numbers."""
    return [one.id.sequence for one in frames]


def renamed(one: Frame, name: str) -> Frame:
    """Return the frame with another picture's name."""
    return replace(one, name=name)
