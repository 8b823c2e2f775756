"""What frames take, as measured on one installation: samples where the spread counts, means where it does not. JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from planning.errors import PlanError

FORMAT: Final = 1
MAX_TIMES_BYTES: Final = 4_000_000
MAX_SAMPLES: Final = 5000
CROWDED: Final = 0.5
"""From this share of all cores on, processes often find none that is free, and take longer than they would."""
_Seconds = Annotated[float, Meta(ge=0, le=3600)]
_Bytes = Annotated[float, Meta(ge=0, le=1e9)]
Samples = Annotated[tuple[_Seconds, ...], Meta(min_length=1, max_length=MAX_SAMPLES)]
Sizes = Annotated[tuple[_Bytes, ...], Meta(min_length=1, max_length=MAX_SAMPLES)]
_Text = Annotated[str, Meta(max_length=200)]


class CloudTimes(Struct, frozen=True, forbid_unknown_fields=True):
    """What frames of one kind take once they have left their device."""

    payload_bytes: Sizes
    """Of their messages."""
    rested_s: Samples
    """A worker that had nothing to do, from taking one out of its inbox until the store has it."""
    next_s: Samples
    """A worker that always has more waiting: decoding one and running its tail."""
    write_s: _Seconds
    """Such a worker, until the store has a batch."""
    reply_s: _Seconds
    """The worker, for each: reading, answering, acknowledging, and what its network thread takes of the processor."""
    store_s: _Seconds
    """The store's processor, for each."""
    broker_s: _Seconds
    """The broker's processor, for each: the frame and its result, in and out."""


class FrameTimes(Struct, frozen=True, forbid_unknown_fields=True):
    """What frames of one split take on one installation, device, broker, worker and store on one machine."""

    format: int
    machine: _Text
    machine_busy: Annotated[float, Meta(ge=0, le=1)]
    """The share of all its cores that worked while one device was measured."""
    bundle: _Text
    split: _Text
    codec: _Text
    device_s: Samples
    """The device, from the start of the capture until the message is encoded."""
    inbox_s: Samples
    """An idle worker, until it takes a frame out of its inbox."""
    travel_s: Samples
    """All else between capture and result while nothing waits: spool, broker, both ways over the loopback."""
    result_bytes: _Bytes
    left: Annotated[float, Meta(ge=0, le=1)]
    """The share of the frames that left at an early exit of their own accord."""
    going: CloudTimes | None
    """Of frames that the worker finishes; None for split device."""
    finished: CloudTimes
    """Of frames that the device finished, and the worker only records."""


def save_times(path: Path, times: FrameTimes) -> None:
    """Write measured times as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(times), indent=1) + b"\n")


def load_times(path: Path) -> FrameTimes:
    """Return measured times. Raises: PlanError for a file that cannot be read or holds something else."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_TIMES_BYTES + 1)
    except OSError as error:
        raise PlanError(f"times: {path} cannot be read ({error.strerror}); measure some with --measure") from error
    if len(data) > MAX_TIMES_BYTES:
        raise PlanError(f"times: {path} is over {MAX_TIMES_BYTES} B, expected a file that --measure wrote")
    try:
        times = msgspec.json.decode(data, type=FrameTimes)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise PlanError(f"times: {path} is not a file of measured times ({error}); measure again") from error
    if times.format != FORMAT:
        raise PlanError(f"times: {path} has format {times.format}, expected {FORMAT}; measure again")
    return times
