"""What the stream carries: frames up, results down, journeys up again. MessagePack on the wire."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

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
    Offset,
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
    """Random, new at each start of the device, so that sequence numbers may begin again."""
    sequence: Sequence
    """Counts the captures since that start."""

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


class Box(Struct, frozen=True, forbid_unknown_fields=True):
    """Where in the captured picture something was found, such as a face; in its pixels."""

    x: Offset
    """Of the left edge."""
    y: Offset
    """Of the upper edge."""
    width: Dimension
    height: Dimension


MAX_BOXES: Final = 16
Boxes = Annotated[tuple[Box, ...], Meta(min_length=1, max_length=MAX_BOXES)]


class Tensor(Struct, frozen=True, forbid_unknown_fields=True):
    """An activation on the wire: `data` holds `shape` values of `dtype` in `encoding`, then `compression`.

    `scale` and `zero_point` are those of the uint8 affine encoding, or, with `native`, the model's own.
    """

    dtype: TensorType
    """The model's type of this tensor, which the receiver restores."""
    shape: Annotated[tuple[Dimension, ...], Meta(min_length=1, max_length=MAX_DIMENSIONS)]
    """With the batch, as the model has it; values in C order, the last side running fastest."""
    encoding: Encoding
    """How each value is written, little-endian; all but `native` need dtype float32."""
    compression: Compression
    """`zstd`: one frame whose header has the content size (mandatory), nothing behind it."""
    data: memoryview
    scale: float = 0.0
    """With encoding uint8: value = (byte - zero_point) * scale, from 0 to 1.3e+36."""
    zero_point: int = 0
    """With encoding uint8: the byte that stands for exactly 0, from 0 to 255."""


class Activation(Struct, frozen=True, forbid_unknown_fields=True, tag="activation"):
    """The body of a frame whose head ran on the device."""

    tensor: Tensor
    boxes: Boxes | UnsetType = UNSET
    """Of what was cut out of the picture, such as faces: as many as the batch has rows, in their order."""


class Picture(Struct, frozen=True, forbid_unknown_fields=True, tag="picture"):
    """The body of a frame that travels as a picture of the model's input size."""

    format: Literal["jpeg", "png"]
    width: Dimension
    """As in the picture itself, checked before it is decoded."""
    height: Dimension
    """With boxes, that of all their pictures, one below the other."""
    data: memoryview
    """The JPEG or PNG file, RGB."""
    boxes: Boxes | UnsetType = UNSET
    """Of what was cut out of the picture, such as faces, in the order of their pictures."""


class Prediction(Struct, frozen=True, forbid_unknown_fields=True):
    """What one task says of a frame: a label with its confidence, or a value, and the raw scores."""

    task: Label
    label: Label | None = None
    """Of a classification: the best class."""
    value: float | None = None
    """Of a regression, in the task's unit."""
    confidence: float | None = None
    """Of a classification: the best class's score, 0 to 1. All numbers are finite."""
    scores: Annotated[list[float], Meta(max_length=4096)] = []
    """In the model's order. A device that has finished a frame leaves those of more than 64 labels out; raw outputs,
    which have no label, always travel."""
    box: Box | UnsetType = UNSET
    """Of what it speaks: a part of the picture; the whole picture when left out."""


MAX_SCORES_SENT: Final = 64
"""A thousand scores are 9 KB: more than what a device sends that has not finished the frame."""


def scores_to_send(label: str | None, scores: list[float]) -> list[float]:
    """Return the scores of a frame that a device has finished: of many labels none, the best one's confidence tells."""
    return scores if label is None or len(scores) <= MAX_SCORES_SENT else []


MAX_PREDICTIONS: Final = 64
Predictions = Annotated[list[Prediction], Meta(max_length=MAX_PREDICTIONS)]
"""Of all tasks of the first box, then of the next, the largest box first."""


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
    """The model's name, for people."""
    digest: Digest
    """SHA-256 of the .tflite file in hexadecimal; a worker finishes frames of models it has, no others."""
    split: Label
    """`image` (the picture travels), `device` (finished there) or the cut point's name."""
    codec: Label
    """What was asked for, for people; the body describes itself."""
    body: Activation | Picture | Finished
    stages_ns: Stages
    """The device's own: capture, crop, head, encode, spool."""
    position: Position | None = None
    name: Label | None = None
    """Of the file that the picture came from."""


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
    """The worker's own: inbox, decode, batch, tail, store."""
    predictions: Predictions = []
    exit: Label | None = None
    """The early exit at which the frame was finished; null is the model's end."""
    refused: Reason | None = None


class Journey(Struct, frozen=True, forbid_unknown_fields=True):
    """What only the device can know of a frame, once its result is back."""

    boot: Boot
    sequence: Sequence
    uplink_ns: Duration
    downlink_ns: Duration
    uncertainty_ns: Duration
    """By how much the split of the travel time into uplink and downlink may be wrong, either way."""
    total_ns: Duration
    """From the start of the capture to the result, on the device's clock."""


class Journeys(Struct, frozen=True, forbid_unknown_fields=True):
    """Several journeys in one message, at most one such message a second."""

    version: int
    entries: Annotated[list[Journey], Meta(max_length=1024)]
