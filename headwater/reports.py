"""What people and other programs read: status, settings, refusals and what the store keeps. JSON."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from headwater.fields import (
    Boot,
    Count,
    Digest,
    Duration,
    Label,
    Name,
    Nanoseconds,
    Reason,
    Report,
    Sequence,
    Stages,
    Traceparent,
)
from headwater.frames import Position, Predictions

MOST_WAYS: Final = 256
"""More ways of a frame no decision names."""


class Link(Struct, frozen=True, forbid_unknown_fields=True):
    """The device's view of its link, smoothed."""

    bandwidth_bits_per_s: float | None
    """Null before there was a message long enough to tell."""
    round_trip_ms: float


class Clock(Struct, frozen=True, forbid_unknown_fields=True):
    """The clock of the worker that answered a device last, beside the device's own."""

    offset_ms: float
    """How far the worker's is ahead."""
    uncertainty_ms: float
    """By how much that may be wrong, either way."""


class FinishedCounts(Struct, frozen=True, forbid_unknown_fields=True):
    """How many frames were finished where."""

    device: Count = 0
    worker: Count = 0


class Status(Struct, frozen=True, forbid_unknown_fields=True):
    """A device's retained self-description; with `online` false it is also its last will."""

    version: int
    device: Name
    online: bool
    since_ns: Nanoseconds
    """Wall clock of the device's start."""
    sent_ns: Nanoseconds
    """Wall clock of this message; in the last will, of its making."""
    bundle: Label = ""
    digest: Annotated[str, Meta(max_length=64)] = ""
    split: Label = ""
    codec: Label = ""
    source: Annotated[str, Meta(max_length=512)] = ""
    position: Position | None = None
    frames_per_s: float = 0.0
    """Captured lately."""
    bytes_per_frame: float = 0.0
    """Of the frame messages, resends not counted."""
    captured: Count = 0
    """Since the start."""
    recovered: Count = 0
    """Frames that an earlier run left in the spool; captured + recovered = finished + dropped + in flight, always."""
    finished: FinishedCounts = FinishedCounts()
    exits: Annotated[dict[Label, Count], Meta(max_length=32)] = {}
    """Of those finished on the device: at an early exit, by its name."""
    unreported: Count = 0
    """Of those finished on the device: not sent, because of `--report positive`."""
    dropped: Annotated[dict[Label, Count], Meta(max_length=32)] = {}
    """By reason, as in overflow, expired, refused, too_large."""
    in_flight: Count = 0
    """Captured, and neither finished nor dropped yet."""
    spool_bytes: Count = 0
    spool_limit_bytes: Count = 0
    link: Link | None = None
    last_captured_ns: Nanoseconds | None = None
    """Wall clock of the last picture; from `--stale-after` on, while a camera hands out the same one, it stays."""
    last_finished_ns: Nanoseconds | None = None
    """Wall clock of the moment when a frame was last finished, here or by a worker; null before the first."""
    resent: Count = 0
    """Messages sent once more, because no result came in time."""
    clock: Clock | None = None
    """Null before the first answer."""
    temperature_c: float | None = None
    """Of the hottest part that the device's kernel knows of; null where it knows of none."""


Thresholds = Annotated[dict[Label, Annotated[dict[Label, float], Meta(max_length=32)]], Meta(max_length=32)]


class SettingsChange(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What an operator wants of a device from now on; what is left out stays as it is."""

    version: int
    split: Label | None = None
    """`image`, `device`, a cut point of the device's model, or `auto`: the device decides, again and again."""
    codec: Label | None = None
    """`auto`, an encoding (float32, float16, uint8, native) alone or with `+zstd`; of pictures `png` or `jpeg:90`."""
    report: Report | None = None
    """Whether frames finished on the device are all sent, or only those with a positive prediction."""
    thresholds: Thresholds | None = None
    """By exit, then by task: how sure it must be for a frame to leave there; what is not named stays as it is."""
    drop: Thresholds | None = None
    """The same for giving up: a frame ends there that is less sure than this of each task named."""


class SettingsApplied(Struct, frozen=True, forbid_unknown_fields=True):
    """The device's answer: what holds now, and why if something was refused."""

    version: int
    device: Name
    split: Label
    codec: Label
    report: Report
    thresholds: Thresholds = {}
    """Of every exit of the model, by its tasks."""
    drop: Thresholds = {}
    """The same for giving up; an exit without any gives no frame up."""
    refused: Reason | None = None


class Considered(Struct, frozen=True, forbid_unknown_fields=True):
    """One way of a frame as the device judged it."""

    split: Label
    codec: Label
    total_ms: float
    """The latency of the mean frame, predicted."""
    cost: float
    """Of the mean frame, predicted."""
    lost: Reason | None = None
    """Why it was not taken; null for the one that was."""


class Decision(Struct, frozen=True, forbid_unknown_fields=True):
    """Where a device with `split` auto computes from now on, by what it measured lately, and why not elsewhere."""

    version: int
    device: Name
    at_ns: Nanoseconds
    split: Label
    codec: Label
    why: Label
    """first, stays, better, limit, no link, refused, or nothing allowed."""
    bandwidth_bits_per_s: float
    round_trip_ms: float
    device_slowdown: float
    """How many times slower the device is than when its profile was measured."""
    worker_slowdown: float
    """How many times slower than this device, as it was then, the workers are."""
    worker_wait_ms: float
    frames_per_s: float
    """How many frames a second have to be kept up with; 0: as many as can."""
    currency: Label = ""
    """Of the costs; empty where no price book was given."""
    clock_hz: float | None = None
    """Of the device's processor when it last computed; null where it does not tell."""
    temperature_c: float | None = None
    considered: Annotated[list[Considered], Meta(max_length=MOST_WAYS)] = []


class Dead(Struct, frozen=True, forbid_unknown_fields=True):
    """A refused message: why, whose, and the first bytes of it."""

    version: int
    reason: Reason
    error: Label
    topic: Annotated[str, Meta(max_length=512)]
    worker: Name
    at_ns: Nanoseconds
    size_bytes: Count
    sample: Annotated[bytes, Meta(max_length=1024)]


class Record(Struct, frozen=True, forbid_unknown_fields=True):
    """What the store keeps of a finished frame."""

    version: int
    fleet: Name
    device: Name
    boot: Boot
    sequence: Sequence
    captured_ns: Nanoseconds
    stored_ns: Nanoseconds
    bundle: Label
    digest: Digest
    split: Label
    codec: Label
    payload_bytes: Count
    finished_by: Literal["device", "worker"]
    worker: Name | None
    predictions: Predictions
    stages_ns: Stages
    exit: Label | None = None
    position: Position | None = None
    name: Label | None = None
    traceparent: Traceparent | UnsetType = UNSET
    """Of a frame that is traced, by a worker that tells of it: the worker's span, for who reads the store."""


class StoredJourney(Struct, frozen=True, forbid_unknown_fields=True):
    """What the store keeps of a journey: the same, with the device's name."""

    device: Name
    boot: Boot
    sequence: Sequence
    uplink_ns: Duration
    downlink_ns: Duration
    uncertainty_ns: Duration
    total_ns: Duration
