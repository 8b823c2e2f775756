"""What travels over HTTP: a tensor up, an answer or a refusal down."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType

from headwater.fields import Digest, Label, Name, Nanoseconds, Reason, Stages
from headwater.frames import Boxes, Predictions, Tensor


class Offload(Struct, frozen=True, forbid_unknown_fields=True):
    """An activation that is to be finished, in MessagePack."""

    bundle: Label
    """The model's name, for people."""
    digest: Digest
    """SHA-256 of the .tflite file in hexadecimal; a tail of another file is never run."""
    split: Label
    """The cut point's name."""
    tensor: Tensor
    boxes: Boxes | UnsetType = UNSET
    """Of what was cut out of the picture, such as faces: as many as the batch has rows, in their order."""


class Answered(Struct, frozen=True, forbid_unknown_fields=True):
    """What a worker says of a picture or of an activation, in JSON."""

    bundle: Label
    digest: Digest
    split: Label
    """`image` for a picture, else the cut point's name."""
    worker: Name
    received_ns: Nanoseconds
    """The worker's stage clock when the request was there as a whole."""
    replied_ns: Nanoseconds
    """The worker's stage clock when the answer was made."""
    stages_ns: Stages
    """inbox (the wait for the model), decode, crop, tail: what the time between the two stamps above went into."""
    predictions: Predictions
    """Empty where the model looks at a part of the picture that is not there, such as a face."""


class Refused(Struct, frozen=True, forbid_unknown_fields=True):
    """Why a request has no answer."""

    error: Reason
    """One line: what, got, expected, and what to do."""
