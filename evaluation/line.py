"""A frame's stages on a device, and its way to a worker over a link that is idle before."""

from __future__ import annotations

import socket
import statistics
import time
from collections.abc import Callable
from typing import Final

import msgspec

from edge.head import Head, Pixels
from evaluation.regret_worker import HEADER, Ready, Took
from evaluation.shaped_link import WORKER, drain
from headwater.clock import Stopwatch
from headwater.errors import ChildError
from models.bundle import Bundle

LONG_S: Final = 5.0
"""What travels longer travels once: on such a link it takes the same time each time."""
REPEAT_S: Final = 0.5
"""Short frames travel again until they have taken as much in all; their median counts."""
_PROBES, _SHORT_BYTES, _LONG_BYTES, _LONG_PROBE_S = 9, 500, 50_000, 0.02
Trip = tuple[float, float, float]
"""Seconds of a message and its answer, and of the worker's decoding and tail."""


class Line:
    """A connection to the worker, over a link of some bandwidth."""

    def __init__(self, port: int, bits_per_s: float, last_words: Callable[[], str] = str) -> None:
        """Take what the worker said last, if it ends. Raises: OSError where nobody listens."""
        self.bits_per_s, self._last_words = bits_per_s, last_words
        self._stream = socket.create_connection((WORKER, port))
        self._stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._answers = self._stream.makefile("rb")
        self._filler = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def close(self) -> None:
        """End the connection."""
        for one in (self._answers, self._stream, self._filler):
            one.close()

    def measured(self) -> tuple[float, float]:
        """Return bandwidth and round trip as a device measures them: by a short and a long message."""
        long_bytes = max(_LONG_BYTES, round(self.bits_per_s * _LONG_PROBE_S / 8))
        self._trip(b"N", bytes(_SHORT_BYTES))  # the first is slower on both sides
        short_s, long_s = (
            statistics.median(self._trip(b"N", bytes(size))[0] for _ in range(_PROBES))
            for size in (_SHORT_BYTES, long_bytes)
        )
        bits_per_s = (long_bytes - _SHORT_BYTES) * 8 / max(long_s - short_s, 1e-6)
        return bits_per_s, max(0.0, short_s - _SHORT_BYTES * 8 / bits_per_s)

    def make_ready(self, bundle: Bundle, split: str, message: bytes) -> None:
        """Let the worker load what it needs for frames of a split; the first frame is slower on both sides."""
        self._trip(b"P", msgspec.json.encode(Ready(bundle.digest, bundle.name, split)))
        self._trip(b"F", message)

    def trips(self, message: bytes, runs: int) -> list[Trip]:
        """Return so many trips of a frame, more where they are short, one where it is long. Raises: ChildError."""
        found = [self._trip(b"F", message)]
        while found[0][0] <= LONG_S and (len(found) < runs or sum(one[0] for one in found) < REPEAT_S):
            found.append(self._trip(b"F", message))
        return found

    def _trip(self, kind: bytes, payload: bytes) -> Trip:
        message = HEADER.pack(kind, len(payload)) + payload
        drain(self._filler, self.bits_per_s)
        began_s = time.perf_counter()
        self._stream.sendall(message)
        answer = self._answers.readline()
        took_s = time.perf_counter() - began_s
        if not answer:
            raise ChildError("worker", "ended while a frame was under way", self._last_words())
        found = msgspec.json.decode(answer, type=Took)
        return took_s, found.decode_s, found.tail_s


def stages_s(head: Head, picture: Pixels, share: float, least_s: float) -> tuple[float, float, float]:
    """Return crop, head and encode of the mean frame over `least_s` or longer, in a process held to a share of a core.

    A run ends in the midst of a period of the quota. So its length is taken to be the processor's time over the share,
    to which the quota holds it but for the last period. The pauses of a quota fall on any stage: the stages share that
    length as they do in the median.
    """
    laps, began_s, computed_s = list[Stopwatch](), time.monotonic(), time.process_time()
    while not laps or time.monotonic() - began_s < least_s:
        laps.append(Stopwatch())
        head.run(picture, laps[-1])
    frame_s = (time.process_time() - computed_s) / share / len(laps)
    crop, inner, encode = (
        statistics.median(one.stages_ns.get(name, 0) for one in laps) for name in ("crop", "head", "encode")
    )
    scale_s = frame_s / (crop + inner + encode)
    return crop * scale_s, inner * scale_s, encode * scale_s
