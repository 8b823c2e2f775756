"""The ways of a frame through the system, and what one frame costs on each: measured, or predicted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PredictorName = Literal["profile", "linear", "operators"]
"""Who says how long head and tail take: planning.predictors."""


@dataclass(frozen=True)
class ExitChance:
    """An early exit on the way: how many of all frames leave there, and what the device computes up to it."""

    name: str
    share: float
    after_s: float


@dataclass(frozen=True)
class Way:
    """One way of a frame: where the device stops and how the rest travels, with times measured on one host.

    The times are of a frame that leaves at no exit. `place` counts the cut points before the split, 0 for the picture.
    """

    split: str
    codec: str
    place: int
    head_s: float
    finished_bytes: float
    """What a message with finished predictions weighs, its envelope included."""
    payload_bytes: float = 0.0
    """What the message of a frame that goes on weighs, in the mean …"""
    largest_bytes: float = 0.0
    """… and at most, of what was tried."""
    crop_s: float = 0.0
    encode_s: float = 0.0
    decode_s: float = 0.0
    tail_s: float = 0.0
    exits: tuple[ExitChance, ...] = ()
    unknown_exits: tuple[str, ...] = ()
    """Exits on the way at which nobody knows how many leave; they are counted as if nobody did."""
    finishes: bool = False
    """Whether the device answers every frame."""
    shows_picture: bool = False
    accuracy: float | None = None
    leak_ssim: float | None = None
    """How well pictures were rebuilt from what travels; None where nobody measured it."""

    @property
    def name(self) -> str:
        """Return the split and the codec, as a device takes them."""
        return self.split if self.finishes else f"{self.split} {self.codec}"

    @property
    def sends(self) -> float:
        """Return the share of frames that travel unfinished."""
        return 0.0 if self.finishes else self.goes_on

    @property
    def goes_on(self) -> float:
        """Return the share of frames that leave at no exit."""
        return max(0.0, 1.0 - sum(found.share for found in self.exits))


@dataclass(frozen=True)
class Conditions:
    """What holds now: the link, how much slower the device is than when it was measured, and the worker."""

    bandwidth_bits_per_s: float
    round_trip_s: float
    device_slowdown: float = 1.0
    """Measured clock over present clock, times load; 2 is half as fast."""
    worker_slowdown: float = 1.0
    worker_wait_s: float = 0.0
    """How long a frame waits at a worker before its turn."""
    frames_per_s: float = 0.0
    """How many frames a second device and link must keep up with; 0: as many as they can."""


@dataclass(frozen=True)
class Journey:
    """The mean frame on one way, stage by stage in seconds, up to the answer at the worker's store."""

    crop_s: float
    head_s: float
    encode_s: float
    uplink_s: float
    wait_s: float
    decode_s: float
    tail_s: float
    payload_bytes: float

    @property
    def total_s(self) -> float:
        """Return the mean latency."""
        return self.device_s + self.uplink_s + self.wait_s + self.worker_s

    @property
    def device_s(self) -> float:
        """Return how long the device computes."""
        return self.crop_s + self.head_s + self.encode_s

    @property
    def worker_s(self) -> float:
        """Return how long the worker computes."""
        return self.decode_s + self.tail_s


def uplink_s(payload_bytes: float, bandwidth_bits_per_s: float, round_trip_s: float) -> float:
    """Return the time one payload takes to reach the other side. Source: Luger 2023, eq. 4.3."""
    return payload_bytes * 8 / bandwidth_bits_per_s + round_trip_s / 2


def journey(way: Way, at: Conditions) -> Journey:
    """Return what the mean frame takes on a way: those that leave early weigh in with what they cost.

    A frame that the device finishes travels too, as a short message; only the rest costs encoding and the worker.
    """
    on = way.sends
    head = way.goes_on * way.head_s + sum(found.share * found.after_s for found in way.exits)
    full, short = (
        uplink_s(size, at.bandwidth_bits_per_s, at.round_trip_s) for size in (way.payload_bytes, way.finished_bytes)
    )
    return Journey(
        crop_s=way.crop_s * at.device_slowdown,
        head_s=head * at.device_slowdown,
        encode_s=on * way.encode_s * at.device_slowdown,
        uplink_s=on * full + (1 - on) * short,
        wait_s=on * at.worker_wait_s,
        decode_s=on * way.decode_s * at.worker_slowdown,
        tail_s=on * way.tail_s * at.worker_slowdown,
        payload_bytes=on * way.payload_bytes + (1 - on) * way.finished_bytes,
    )
