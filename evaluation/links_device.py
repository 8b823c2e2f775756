"""The device of `headwater evaluate links`: every way of a frame in turn, a line of JSON on stdout for each.

A process of its own, so that its parent can hold it to a share of a core or to a limit of memory.
"""

from __future__ import annotations

import resource
import statistics
import sys
from typing import Final

import msgspec

from edge.head import prepare_head
from edge.rehearsal import as_message, body_of, drawn_pictures
from edge.splits import DEVICE
from evaluation.line import Line, stages_s
from evaluation.links import Measured
from headwater.clock import Stopwatch
from headwater.codec import LOSSLESS
from headwater.errors import HeadwaterError
from models.bundle import Bundle
from models.crop import Whole
from models.engine import Engine
from models.errors import ModelError

RUN_S: Final = 0.5
"""A run of the head is repeated for so long, some periods of a quota, and its mean counts."""
ROW: Final = "row "


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


def run(task: Task) -> None:
    """Go every way; print each when it is measured."""
    bundle = Bundle.load(task.bundle)
    engine = Engine(bundle.model_path, outputs=bundle.finals, max_cached_parts=1)
    line = Line(task.port, task.bandwidth_bits_per_s)
    bandwidth_bits_per_s, round_trip_s = line.measured()
    picture = drawn_pictures(1)[0]
    for split, codec in task.ways:
        head = prepare_head(bundle, engine, split, LOSSLESS if split == DEVICE else codec, {}, Whole())
        message = as_message(bundle, head, body_of(head, picture, Stopwatch()))
        line.make_ready(bundle, head.split, message)
        runs = [stages_s(head, picture, task.share, RUN_S) for _ in range(task.runs)]
        crop_s, head_s, encode_s = (statistics.median(stages) for stages in zip(*runs, strict=True))
        trips = line.trips(message, task.runs)
        trip_s, decode_s, tail_s = map(statistics.median, zip(*trips, strict=True))
        resident_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        row = Measured(
            split=split, codec=codec, bytes=len(message), crop_s=crop_s, head_s=head_s, encode_s=encode_s,
            trip_s=trip_s, decode_s=decode_s, tail_s=tail_s, trips=len(trips),
            bandwidth_bits_per_s=bandwidth_bits_per_s, round_trip_s=round_trip_s, resident_bytes=resident_bytes,
        )  # fmt: skip
        print(ROW + msgspec.json.encode(row).decode(), flush=True)  # noqa: T201  the parent reads it


if __name__ == "__main__":
    try:
        run(msgspec.json.decode(sys.argv[1], type=Task))
    except (HeadwaterError, ModelError, OSError) as error:
        sys.exit(str(error))
