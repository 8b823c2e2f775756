"""Frames that will never be finished: why, and what is said about it.

WireError (headwater.errors)
├── UnknownModel            no bundle here has the digest of the frame
├── UnknownBundle           no bundle here has the name that a request asks for
├── UnfitFrame              a well-formed message that its model, or its topic, does not fit
├── PoisonFrame             a worker of ours hung or crashed at it
└── FailedFrame             the worker has an error of its own with it
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from headwater.errors import Malformed, WireError
from headwater.messages import VERSION, Dead, FrameId, Result
from headwater.topics import Topics

if TYPE_CHECKING:
    from cloud_worker.inbox import Delivery

SAMPLE_BYTES = 1024
REASON_CHARACTERS = 1024
TOPIC_CHARACTERS = 512
FAULTS: Final = (Exception,)
"""What a fault of the worker itself may raise at one frame: that frame is refused, the stream goes on. Whatever it is:
what a library raises at crafted bytes (Pillow asserts, zlib has errors of its own) would else end this worker, and the
next one that is sent the same frame."""


class UnknownModel(WireError):
    """No bundle of this worker has the digest that the frame asks for."""

    def __init__(self, digest: str, bundle: str) -> None:
        super().__init__(
            f"model {digest[:12]}… (the device calls it {bundle!r}) is in no bundle of this worker;"
            " put the bundle into one of its --bundles folders"
        )
        self.digest, self.bundle = digest, bundle


class UnknownBundle(WireError):
    """No bundle of this worker has the name that a request asks for."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        near = difflib.get_close_matches(name[:80], known, n=1)
        advice = f"did you mean {near[0]}?" if near else f"there are: {', '.join(sorted(known)[:32]) or 'none'}"
        super().__init__(f"bundle: got {name[:80]!r}, which no bundle of this worker is called; {advice}")
        self.name = name


class UnfitFrame(WireError):
    """A well-formed frame that its model or its topic does not fit."""

    def __init__(self, what: str, got: object, expected: object, remedy: str) -> None:
        super().__init__(f"{what}: got {got}, expected {expected}; {remedy}")
        self.what, self.got, self.expected = what, got, expected


class PoisonFrame(WireError):
    """A worker process ended because of this frame."""

    def __init__(self) -> None:
        super().__init__("a worker hung or crashed at this frame, so none runs it again; the worker's log says where")


class FailedFrame(WireError):
    """The worker failed at a frame for a reason that is its own."""

    def __init__(self, error: Exception) -> None:
        super().__init__(f"this worker failed at it: {type(error).__name__}: {error}; see the worker's log")


def dead(delivery: Delivery, error: Exception, worker: str, at_ns: int) -> Dead:
    """Return what is said to operators of a refused message: the reason and its first bytes."""
    message = delivery.message
    return Dead(
        version=VERSION,
        reason=str(error)[:REASON_CHARACTERS],
        error=type(error).__name__,
        topic=message.topic[:TOPIC_CHARACTERS],
        worker=worker,
        at_ns=at_ns,
        size_bytes=len(message.payload),
        sample=bytes(message.payload[:SAMPLE_BYTES]),
    )


def refusal(delivery: Delivery, frame_id: FrameId, sent_ns: int, error: Exception, worker: str, now_ns: int) -> Result:
    """Return the answer to the device of a frame that will never be finished."""
    return Result(
        version=VERSION,
        id=frame_id,
        worker=worker,
        sent_ns=sent_ns,
        received_ns=delivery.received_ns,
        replied_ns=now_ns,
        stages_ns={},
        refused=str(error)[:REASON_CHARACTERS],
    )


def correlated_id(delivery: Delivery, topics: Topics) -> FrameId | None:
    """Return the frame id in the message's correlation data, None when there is none or it is another device's."""
    correlation = delivery.message.correlation
    if not correlation:
        return None
    try:
        frame_id = FrameId.parse(correlation.decode("ascii"))
    except (UnicodeDecodeError, Malformed):
        return None
    return frame_id if frame_id.device == topics.device_in(delivery.message.topic) else None
