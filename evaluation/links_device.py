"""The device of `headwater evaluate links`: every way of a frame in turn, a line of JSON on stdout for each.

A process of its own, so that its parent can hold it to a share of a core or to a limit of memory.
"""

from __future__ import annotations

import resource
import socket
import statistics
import sys
import time
from typing import Final

import msgspec

from edge.head import Body, Dropped, Head, Pixels, prepare_head
from edge.rehearsal import as_message, drawn_pictures
from edge.splits import DEVICE
from evaluation.regret_worker import HEADER, Ready, Took
from evaluation.shaped_link import WORKER, drain
from headwater.clock import Stopwatch
from headwater.codec import LOSSLESS
from headwater.errors import ChildError, HeadwaterError
from headwater.messages import Activation, Finished, Picture
from models.bundle import Bundle
from models.crop import Whole
from models.engine import Engine
from models.errors import ModelError

RUN_S: Final = 0.5
"""A run of the head is repeated for so long, some periods of a quota, and its mean counts.
Short frames travel again until they have taken as much in all; their median counts."""
LONG_S: Final = 5.0
"""What travels longer travels once: on this link it takes the same time each time."""
ROW: Final = "row "
_PROBES, _SHORT_BYTES, _LONG_BYTES, _LONG_PROBE_S = 9, 500, 50_000, 0.02


class Task(msgspec.Struct):
    """What a device is to do."""

    bundle: str
    ways: list[tuple[str, str]]
    """Split and codec of each."""
    runs: int
    share: float
    """Of a processor core, that it is held to."""
    port: int
    bandwidth_bits_per_s: float


class Measured(msgspec.Struct):
    """One way of a frame; medians, in seconds."""

    split: str
    codec: str
    bytes: int
    crop_s: float
    head_s: float
    encode_s: float
    trip_s: float
    decode_s: float
    tail_s: float
    trips: int
    bandwidth_bits_per_s: float
    round_trip_s: float
    resident_bytes: int


class Uplink:
    """The connection to the worker, over a link of some bandwidth that is idle before each frame."""

    def __init__(self, port: int, bandwidth_bits_per_s: float) -> None:
        """Raises: OSError where nobody listens."""
        self._bits_per_s = bandwidth_bits_per_s
        self._stream = socket.create_connection((WORKER, port))
        self._stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._answers = self._stream.makefile("rb")
        self._filler = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def trip(self, kind: bytes, payload: bytes) -> tuple[float, float, float]:
        """Return the time of a message and its answer, and of the worker's decoding and tail. Raises: ChildError."""
        message = HEADER.pack(kind, len(payload)) + payload
        drain(self._filler, self._bits_per_s)
        began_s = time.perf_counter()
        self._stream.sendall(message)
        answer = self._answers.readline()
        took_s = time.perf_counter() - began_s
        if not answer:
            raise ChildError("worker", "ended while a frame was under way", "")
        found = msgspec.json.decode(answer, type=Took)
        return took_s, found.decode_s, found.tail_s

    def measured(self) -> tuple[float, float]:
        """Return bandwidth and round trip as a device measures them: by a short and a long message."""
        long_bytes = max(_LONG_BYTES, round(self._bits_per_s * _LONG_PROBE_S / 8))
        self.trip(b"N", bytes(_SHORT_BYTES))  # the first is slower on both sides
        short_s, long_s = (
            statistics.median(self.trip(b"N", bytes(size))[0] for _ in range(_PROBES))
            for size in (_SHORT_BYTES, long_bytes)
        )
        bits_per_s = (long_bytes - _SHORT_BYTES) * 8 / max(long_s - short_s, 1e-6)
        return bits_per_s, max(0.0, short_s - _SHORT_BYTES * 8 / bits_per_s)


def run(task: Task) -> None:
    """Go every way; print each when it is measured."""
    bundle = Bundle.load(task.bundle)
    engine = Engine(bundle.model_path, outputs=bundle.finals, max_cached_parts=1)
    uplink = Uplink(task.port, task.bandwidth_bits_per_s)
    bandwidth_bits_per_s, round_trip_s = uplink.measured()
    picture = drawn_pictures(1)[0]
    for split, codec in task.ways:
        head = prepare_head(bundle, engine, split, LOSSLESS if split == DEVICE else codec, {}, Whole())
        message = as_message(bundle, head, _body(head.run(picture, Stopwatch())))
        uplink.trip(b"P", msgspec.json.encode(Ready(bundle.digest, bundle.name, head.split)))
        uplink.trip(b"F", message)  # the first is slower on both sides
        runs = [_stages_s(head, picture, task.share) for _ in range(task.runs)]
        crop_s, head_s, encode_s = (statistics.median(stages) for stages in zip(*runs, strict=True))
        trips = _trips(uplink, message, task.runs)
        trip_s, decode_s, tail_s = map(statistics.median, zip(*trips, strict=True))
        resident_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        row = Measured(
            split, codec, len(message), crop_s, head_s, encode_s, trip_s, decode_s, tail_s, len(trips),
            bandwidth_bits_per_s, round_trip_s, resident_bytes,
        )  # fmt: skip
        print(ROW + msgspec.json.encode(row).decode(), flush=True)  # noqa: T201  the parent reads it


def _stages_s(head: Head, picture: Pixels, share: float) -> tuple[float, float, float]:
    """Return crop, head and encode of the mean frame over RUN_S or longer.

    A run ends in the midst of a period of the quota. So its length is taken to be the processor's time over the share,
    to which the quota holds it but for the last period. The pauses of a quota fall on any stage: the stages share that
    length as they do in the median.
    """
    laps, began_s, computed_s = list[Stopwatch](), time.monotonic(), time.process_time()
    while not laps or time.monotonic() - began_s < RUN_S:
        laps.append(Stopwatch())
        head.run(picture, laps[-1])
    frame_s = (time.process_time() - computed_s) / share / len(laps)
    crop, inner, encode = (
        statistics.median(one.stages_ns.get(name, 0) for one in laps) for name in ("crop", "head", "encode")
    )
    scale_s = frame_s / (crop + inner + encode)
    return crop * scale_s, inner * scale_s, encode * scale_s


def _trips(uplink: Uplink, message: bytes, runs: int) -> list[tuple[float, float, float]]:
    trips = [uplink.trip(b"F", message)]
    while trips[0][0] <= LONG_S and (len(trips) < runs or sum(one[0] for one in trips) < RUN_S):
        trips.append(uplink.trip(b"F", message))
    return trips


def _body(body: Body | Dropped) -> Body:
    if not isinstance(body, Activation | Picture | Finished):
        raise AssertionError("a frame without crop and exits is never dropped")
    return body


if __name__ == "__main__":
    try:
        run(msgspec.json.decode(sys.argv[1], type=Task))
    except (HeadwaterError, ModelError, OSError) as error:
        sys.exit(str(error))
