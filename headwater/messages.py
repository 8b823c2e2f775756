"""What travels between device, worker and site, and how it is checked when it arrives.

MessagePack for what the stream carries (`Frame`, `Result`, `Journeys`), JSON for what people and other programs read
(`Status`, `Decision`, `SettingsChange`, `SettingsApplied`, `Dead`, `Record`). `docs/asyncapi.yaml` describes the same
for a device in another language; a test holds the two together. What travels over HTTP (headwater/requests.py)
describes itself at `/openapi.json`.
"""

from __future__ import annotations

import math
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

from headwater.errors import Malformed, TooLarge, UnknownVersion
from headwater.fields import (
    MAX_DIMENSION,
    MAX_DIMENSIONS,
    Boot,
    Compression,
    Count,
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
from headwater.frames import (
    MAX_BOXES,
    MAX_PREDICTIONS,
    MAX_SCORES_SENT,
    Activation,
    Box,
    Boxes,
    Finished,
    Frame,
    FrameId,
    Journey,
    Journeys,
    Picture,
    Position,
    Prediction,
    Predictions,
    Result,
    Tensor,
    scores_to_send,
)
from headwater.reports import (
    MOST_WAYS,
    Clock,
    Considered,
    Dead,
    Decision,
    FinishedCounts,
    Link,
    Record,
    SettingsApplied,
    SettingsChange,
    Status,
    StoredJourney,
)
from headwater.requests import Answered, Offload, Refused

VERSION: Final = 1

__all__ = [
    "MAX_BOXES",
    "MAX_DIMENSION",
    "MAX_DIMENSIONS",
    "MAX_PREDICTIONS",
    "MAX_SCORES_SENT",
    "MOST_WAYS",
    "VERSION",
    "Activation",
    "Answered",
    "Boot",
    "Box",
    "Boxes",
    "Clock",
    "Compression",
    "Considered",
    "Count",
    "Dead",
    "Decision",
    "Digest",
    "Dimension",
    "Duration",
    "Encoding",
    "Finished",
    "FinishedCounts",
    "Frame",
    "FrameId",
    "Journey",
    "Journeys",
    "Label",
    "Link",
    "M",
    "Name",
    "Nanoseconds",
    "Offload",
    "Picture",
    "Position",
    "Prediction",
    "Predictions",
    "Reason",
    "Record",
    "Refused",
    "Result",
    "Sequence",
    "SettingsApplied",
    "SettingsChange",
    "Stages",
    "Status",
    "StoredJourney",
    "Tensor",
    "TensorType",
    "decode",
    "decode_json",
    "encode",
    "encode_json",
    "scores_to_send",
]


class _Versioned(Struct):
    version: int


M = TypeVar("M", bound=Struct)

_pack = msgspec.msgpack.Encoder()
_json = msgspec.json.Encoder()
_unpack: dict[type[Struct], msgspec.msgpack.Decoder[Any]] = {
    kind: msgspec.msgpack.Decoder(kind) for kind in (Frame, Result, Journeys, Offload, _Versioned)
}
_unjson: dict[type[Struct], msgspec.json.Decoder[Any]] = {
    kind: msgspec.json.Decoder(kind)
    for kind in (
        Status,
        Decision,
        SettingsChange,
        SettingsApplied,
        Dead,
        Record,
        StoredJourney,
        Answered,
        Refused,
        _Versioned,
    )
}


def encode(message: Frame | Result | Journeys | Offload) -> bytes:
    """Return a stream message as MessagePack."""
    return _pack.encode(message)


Json = Status | Decision | SettingsChange | SettingsApplied | Dead | Record | StoredJourney | Answered | Refused


def encode_json(message: Json) -> bytes:
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
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
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
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return
    if version != VERSION:
        raise UnknownVersion(version, VERSION)


def _refuse_nonsense(message: Struct) -> None:
    """Refuse numbers that no comparison catches: NaN and infinity."""
    position = getattr(message, "position", None)
    if position is not None and not _finite(position.latitude, position.longitude, position.accuracy_m or 0.0):
        raise Malformed(f"position: got {position}, expected finite degrees and metres")
    body = getattr(message, "body", None)
    carrier = body or message
    tensor = getattr(carrier, "tensor", None)
    if tensor is not None and not _finite(tensor.scale):
        raise Malformed(f"activation: got scale {tensor.scale}, expected a finite one")
    predictions = getattr(carrier, "predictions", ())
    for prediction in predictions:
        if not _finite(prediction.value or 0.0, prediction.confidence or 0.0, *prediction.scores):
            raise Malformed(f"prediction of {prediction.task!r}: got NaN or infinity, expected finite numbers")


def _finite(*numbers: float) -> bool:
    return all(map(math.isfinite, numbers))
