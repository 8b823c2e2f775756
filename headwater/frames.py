"""What the stream carries: frames up, results down, journeys up again. MessagePack on the wire."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from headwater.errors import Malformed
from headwater.fields import (
    MAX_DIMENSIONS,
    Boot,
    Compression,
    Digest,
    Dimension,
    Duration,
    Encoding,
    Label,
    Name,
    Nanoseconds,
    Reason,
    Sequence,
    Stages,
    TensorType,
)

_FRAME_ID: Final = re.compile(r"(?P<device>.*)-(?P<boot>[^-]*)-(?P<sequence>0|[1-9][0-9]{0,12})")


class FrameId(Struct, frozen=True, forbid_unknown_fields=True):
    """Names one captured picture: which device, since which start of it, and the how-manieth."""

    device: Name
    boot: Boot
    sequence: Sequence

    def __str__(self) -> str:
        return f"{self.device}-{self.boot}-{self.sequence}"

    @classmethod
    def parse(cls, text: str) -> FrameId:
        """Return the id written as `device-boot-sequence`. Raises: Malformed."""
        found = _FRAME_ID.fullmatch(text)
        if found is None:
            raise Malformed(f"frame id: got {text[:80]!r}, expected device-boot-sequence")
        fields = found.groupdict() | {"sequence": int(found["sequence"])}
        try:
            return msgspec.convert(fields, cls)
        except msgspec.ValidationError as error:
            raise Malformed(f"frame id: got {text[:80]!r}, expected device-boot-sequence ({error})") from None


class Position(Struct, frozen=True, forbid_unknown_fields=True):
    """A place on WGS 84 in degrees, and who says so (`exif`, `gpx`, `gpsd`, `fixed`, `made-up`)."""

    latitude: Annotated[float, Meta(ge=-90, le=90)]
    longitude: Annotated[float, Meta(ge=-180, le=180)]
    source: Annotated[str, Meta(max_length=32)]
    accuracy_m: Annotated[float, Meta(ge=0)] | None = None


class Tensor(Struct, frozen=True, forbid_unknown_fields=True):
    """An activation on the wire: `data` holds `shape` values of `dtype` in `encoding`, then `compression`.

    `scale` and `zero_point` are those of the uint8 affine encoding, or, with `native`, the model's own.
    """

    dtype: TensorType
    shape: Annotated[tuple[Dimension, ...], Meta(min_length=1, max_length=MAX_DIMENSIONS)]
    encoding: Encoding
    compression: Compression
    data: memoryview
    scale: float = 0.0
    zero_point: int = 0


class Activation(Struct, frozen=True, forbid_unknown_fields=True, tag="activation"):
    """The body of a frame whose head ran on the device."""

    tensor: Tensor


class Picture(Struct, frozen=True, forbid_unknown_fields=True, tag="picture"):
    """The body of a frame that travels as a picture of the model's input size."""

    format: Literal["jpeg", "png"]
    width: Dimension
    height: Dimension
    data: memoryview


class Prediction(Struct, frozen=True, forbid_unknown_fields=True):
    """What one task says of a frame: a label with its confidence, or a value, and the raw scores."""

    task: Label
    label: Label | None = None
    value: float | None = None
    confidence: float | None = None
    scores: Annotated[list[float], Meta(max_length=4096)] = []


Predictions = Annotated[list[Prediction], Meta(max_length=64)]


class Finished(Struct, frozen=True, forbid_unknown_fields=True, tag="finished"):
    """The body of a frame that the device finished itself: at `exit`, or with the whole model (None)."""

    predictions: Predictions
    exit: Label | None = None


class Frame(Struct, frozen=True, forbid_unknown_fields=True):
    """One captured picture on its way from a device to a worker."""

    version: int
    id: FrameId
    captured_ns: Nanoseconds
    """Wall clock of the capture, on the device."""
    sent_ns: Nanoseconds
    """The device's stage clock when it handed this message to MQTT."""
    bundle: Label
    digest: Digest
    split: Label
    codec: Label
    body: Activation | Picture | Finished
    stages_ns: Stages
    position: Position | None = None
    name: Label | None = None


class Result(Struct, frozen=True, forbid_unknown_fields=True):
    """A worker's answer to one frame; with `refused`, why the frame will never be finished."""

    version: int
    id: FrameId
    worker: Name
    sent_ns: Nanoseconds
    """The frame's own `sent_ns`, handed back."""
    received_ns: Nanoseconds
    """The worker's stage clock when the frame came in."""
    replied_ns: Nanoseconds
    """The worker's stage clock when this message was handed to MQTT."""
    stages_ns: Stages
    predictions: Predictions = []
    exit: Label | None = None
    refused: Reason | None = None


class Journey(Struct, frozen=True, forbid_unknown_fields=True):
    """What only the device can know of a frame, once its result is back."""

    boot: Boot
    sequence: Sequence
    uplink_ns: Duration
    downlink_ns: Duration
    uncertainty_ns: Duration
    total_ns: Duration
    """From the start of the capture to the result, on the device's clock."""


class Journeys(Struct, frozen=True, forbid_unknown_fields=True):
    """Several journeys in one message, at most one such message a second."""

    version: int
    entries: Annotated[list[Journey], Meta(max_length=1024)]
