"""What travels between device, worker and site, and how it is checked when it arrives.

MessagePack for what the stream carries (`Frame`, `Result`, `Journeys`), JSON for what people and other programs read
(`Status`, `SettingsChange`, `SettingsApplied`, `Dead`, `Record`). `docs/asyncapi.yaml` describes the same for a device
in another language; a test holds the two together.
"""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from headwater.clock import Stage
from headwater.errors import Malformed, TooLarge, UnknownVersion

VERSION: Final = 1

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")]
"""The name of a device, fleet or worker: it stands in topics and keys, so it has no `/`, `+`, `#` or `:`."""
Boot = Annotated[str, Meta(pattern=r"^[0-9a-f]{8}\Z")]
Sequence = Annotated[int, Meta(ge=0, lt=2**40)]
Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Label = Annotated[str, Meta(max_length=256)]
Reason = Annotated[str, Meta(max_length=1024)]
Count = Annotated[int, Meta(ge=0, le=2**62)]
Nanoseconds = Annotated[int, Meta(ge=-(2**62), le=2**62)]
Duration = Annotated[int, Meta(ge=0, le=2**62)]
Stages = Annotated[dict[Stage, Duration], Meta(max_length=16)]
MAX_DIMENSIONS: Final = 8
MAX_DIMENSION: Final = 65536
Dimension = Annotated[int, Meta(ge=1, le=MAX_DIMENSION)]
TensorType = Literal["float32", "int8", "uint8", "int16", "int32"]
Encoding = Literal["float32", "float16", "uint8", "native"]
Compression = Literal["none", "zstd"]

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


class Link(Struct, frozen=True, forbid_unknown_fields=True):
    """The device's view of its link, smoothed."""

    bandwidth_bits_per_s: float | None
    round_trip_ms: float


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
    sent_ns: Nanoseconds
    bundle: Label = ""
    digest: Annotated[str, Meta(max_length=64)] = ""
    split: Label = ""
    codec: Label = ""
    source: Annotated[str, Meta(max_length=512)] = ""
    position: Position | None = None
    frames_per_s: float = 0.0
    bytes_per_frame: float = 0.0
    captured: Count = 0
    recovered: Count = 0
    """Frames that an earlier run left in the spool; captured + recovered = finished + dropped + in flight, always."""
    finished: FinishedCounts = FinishedCounts()
    unreported: Count = 0
    """Of those finished on the device: not sent, because of `--report positive`."""
    dropped: Annotated[dict[Label, Count], Meta(max_length=32)] = {}
    in_flight: Count = 0
    spool_bytes: Count = 0
    spool_limit_bytes: Count = 0
    link: Link | None = None
    last_captured_ns: Nanoseconds | None = None


class SettingsChange(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What an operator wants of a device from now on; what is left out stays as it is."""

    version: int
    split: Label | None = None
    codec: Label | None = None
    report: Literal["all", "positive"] | None = None


class SettingsApplied(Struct, frozen=True, forbid_unknown_fields=True):
    """The device's answer: what holds now, and why if something was refused."""

    version: int
    device: Name
    split: Label
    codec: Label
    report: Literal["all", "positive"]
    refused: Reason | None = None


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


class StoredJourney(Struct, frozen=True, forbid_unknown_fields=True):
    """What the store keeps of a journey: the same, with the device's name."""

    device: Name
    boot: Boot
    sequence: Sequence
    uplink_ns: Duration
    downlink_ns: Duration
    uncertainty_ns: Duration
    total_ns: Duration


class _Versioned(Struct):
    version: int


M = TypeVar("M", bound=Struct)

_pack = msgspec.msgpack.Encoder()
_json = msgspec.json.Encoder()
_unpack: dict[type[Struct], msgspec.msgpack.Decoder[Any]] = {
    kind: msgspec.msgpack.Decoder(kind) for kind in (Frame, Result, Journeys, _Versioned)
}
_unjson: dict[type[Struct], msgspec.json.Decoder[Any]] = {
    kind: msgspec.json.Decoder(kind)
    for kind in (Status, SettingsChange, SettingsApplied, Dead, Record, StoredJourney, _Versioned)
}


def encode(message: Frame | Result | Journeys) -> bytes:
    """Return a stream message as MessagePack."""
    return _pack.encode(message)


def encode_json(message: Status | SettingsChange | SettingsApplied | Dead | Record | StoredJourney) -> bytes:
    """Return a message for people and other programs as JSON."""
    return _json.encode(message)


def decode(kind: type[M], payload: bytes | memoryview, limit_bytes: int) -> M:
    """Return the stream message in `payload`. Raises: TooLarge, UnknownVersion, Malformed; nothing else."""
    return _checked(kind, _unpack, payload, limit_bytes)


def decode_json(kind: type[M], payload: bytes | memoryview | str, limit_bytes: int = 1_000_000) -> M:
    """Return the JSON message in `payload`. Raises: TooLarge, UnknownVersion, Malformed; nothing else."""
    return _checked(kind, _unjson, payload, limit_bytes)


def _checked(
    kind: type[M], decoders: dict[type[Struct], Any], payload: bytes | memoryview | str, limit_bytes: int
) -> M:
    if len(payload) > limit_bytes:
        raise TooLarge(kind.__name__.lower(), len(payload), limit_bytes)
    try:
        message: M = decoders[kind].decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        _refuse_other_version(decoders[_Versioned], payload)
        raise Malformed(f"{kind.__name__.lower()} of {len(payload)} B: {error}") from None
    version = getattr(message, "version", VERSION)
    if version != VERSION:
        raise UnknownVersion(version, VERSION)
    _refuse_nonsense(message)
    return message


def _refuse_other_version(decoder: Any, payload: bytes | memoryview | str) -> None:
    try:
        version = decoder.decode(payload).version
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    if version != VERSION:
        raise UnknownVersion(version, VERSION)


def _refuse_nonsense(message: Struct) -> None:
    """Refuse numbers that no comparison catches: NaN and infinity."""
    position = getattr(message, "position", None)
    if position is not None and not _finite(position.latitude, position.longitude, position.accuracy_m or 0.0):
        raise Malformed(f"position: got {position}, expected finite degrees and metres")
    body = getattr(message, "body", None)
    if isinstance(body, Activation) and not _finite(body.tensor.scale):
        raise Malformed(f"activation: got scale {body.tensor.scale}, expected a finite one")
    predictions = getattr(body or message, "predictions", ())
    for prediction in predictions:
        if not _finite(prediction.value or 0.0, prediction.confidence or 0.0, *prediction.scores):
            raise Malformed(f"prediction of {prediction.task!r}: got NaN or infinity, expected finite numbers")


def _finite(*numbers: float) -> bool:
    return all(map(math.isfinite, numbers))
