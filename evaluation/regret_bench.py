"""The test bench of `headwater evaluate regret`: a slow device, a shaped link, a worker behind it."""

from __future__ import annotations

import contextlib
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final, Self

import msgspec

from edge.head import Body, Dropped, Head, Pixels, prepare_head
from edge.plan_predictors import splits_of
from edge.rehearsal import as_message, drawn_pictures, rehearse
from edge.splits import DEVICE, IMAGE
from evaluation.regret import CLOCK_GHZ, CLOCKS_GHZ, Ran, Setting, Tried
from evaluation.regret_worker import HEADER, Ready, Took
from evaluation.shaped_link import WORKER, ShapedLink
from evaluation.slow_cpu import SlowCpu
from headwater.children import start
from headwater.clock import Stopwatch
from headwater.errors import ChildError
from headwater.messages import Activation, Finished, Picture
from models.bundle import Bundle
from models.crop import Whole
from models.engine import Engine
from models.layers import rows_of
from models.profile import Progress
from planning.ways import Conditions

CODECS: Final = ("native", "png")
"""Activations as they are, as in the document, and the picture as PNG."""
RUN_S, TRIP_S = 1.0, 0.5
"""A run of the head is repeated for so long, ten periods of the quota, and its mean counts. Short frames travel again
until they have taken the second of these in all; their median counts."""
LONG_S: Final = 5.0
"""What travels longer travels once: on this link it takes the same time each time."""
_START_S: Final = 60.0
_PROBES, _PROBE_BYTES = 9, (500, 50_000)


class Bench:
    """A device that can be slowed, and a worker behind a link that can be shaped; for one run of the experiment."""

    def __init__(self, folders: Sequence[Path], runs: int) -> None:
        """Raises: SettingsError, MissingPart where quotas or namespaces are not to be had."""
        self._runs = runs
        with contextlib.ExitStack() as stack:
            self._cpu = stack.enter_context(SlowCpu())
            self._link = stack.enter_context(ShapedLink())
            command = [sys.executable, "-m", "evaluation.regret_worker", WORKER, *map(str, folders)]
            self._worker = stack.enter_context(start("worker", self._link.at_worker(command)))
            port = int(self._worker.wait_for_line("port ", _START_S).split()[1])
            self._stream = stack.enter_context(self._link.connect(port))
            self._answers: BinaryIO = stack.enter_context(self._stream.makefile("rb"))
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def conditions(self, setting: Setting, share: float) -> Conditions:
        """Return what holds in a setting, the link as a device measures it: by a short and a long message."""
        self._link.shape(setting.bandwidth_bits_per_s)
        self._trip(b"N", bytes(_PROBE_BYTES[0]))  # the first is slower on both sides
        short_s, long_s = (
            statistics.median(self._trip(b"N", bytes(size))[0] for _ in range(_PROBES)) for size in _PROBE_BYTES
        )
        bits_per_s = (_PROBE_BYTES[1] - _PROBE_BYTES[0]) * 8 / (long_s - short_s)
        round_trip_s = 2 * max(0.0, short_s - _PROBE_BYTES[0] * 8 / bits_per_s)
        return Conditions(bits_per_s, round_trip_s, CLOCK_GHZ / setting.clock_ghz / share)

    def try_out(self, net: Net, share: float, progress: Progress) -> Tried:
        """Return a network's ways as tried here without a quota, and its whole run at a few clocks."""
        ways = rehearse(net.bundle, net.engine, [net.picture], codecs=CODECS, progress=progress)
        whole = net.head(DEVICE)
        wholes_s = [self._head_s(whole, net.picture, share * clock / CLOCK_GHZ)["head"] for clock in CLOCKS_GHZ]
        return Tried(net.name, ways, net.layers, wholes_s)

    def measure(self, net: Net, place: int, settings: Sequence[Setting], share: float) -> Iterator[Ran]:
        """Yield one way of a network in each of these settings, really run."""
        head = net.head(net.splits[place])
        body = _body(head.run(net.picture, Stopwatch()))
        message = as_message(net.bundle, head, body)
        ready = Ready(net.bundle.digest, net.bundle.name, head.split)
        self._link.shape(1e9)
        self._trip(b"P", msgspec.json.encode(ready))
        self._trip(b"F", message)  # the first is slower on both sides
        for setting in settings:
            yield self._ran(net, place, head, message, setting, share)

    def _ran(self, net: Net, place: int, head: Head, message: bytes, setting: Setting, share: float) -> Ran:
        stages = self._head_s(head, net.picture, share * setting.clock_ghz / CLOCK_GHZ)
        self._link.shape(setting.bandwidth_bits_per_s)
        trips = [self._trip(b"F", message)]
        while trips[0][0] <= LONG_S and (len(trips) < self._runs or sum(one[0] for one in trips) < TRIP_S):
            trips.append(self._trip(b"F", message))
        trip_s, decode_s, tail_s = map(statistics.median, zip(*trips, strict=True))
        crop_s, head_s, encode_s = (stages[name] for name in ("crop", "head", "encode"))
        return Ran(
            net.name, setting.number, head.split, place, len(message),
            crop_s, head_s, encode_s, trip_s, decode_s, tail_s, len(trips),
        )  # fmt: skip

    def _head_s(self, head: Head, picture: Pixels, share: float) -> dict[str, float]:
        """Return the median of the runs for each stage of the device; each run is the mean over RUN_S or longer.

        A run ends in the midst of a period of the quota. So its length is taken to be the processor's time over the
        share, to which the quota holds it but for the last period.
        """
        means: list[dict[str, float]] = []
        with self._cpu.at(share):
            for _ in range(self._runs):
                watch, count, began_s, computed_s = Stopwatch(), 0, time.monotonic(), time.process_time()
                while count == 0 or time.monotonic() - began_s < RUN_S:
                    head.run(picture, watch)
                    count += 1
                lasted_s = (time.process_time() - computed_s) / share
                scale = lasted_s / count / sum(watch.stages_ns.values())
                means.append({stage: taken * scale for stage, taken in watch.stages_ns.items()})
        return {name: statistics.median(one.get(name, 0.0) for one in means) for name in ("crop", "head", "encode")}

    def _trip(self, kind: bytes, payload: bytes) -> tuple[float, float, float]:
        """Return the time of a message and its answer, and of the worker's decoding and tail. Raises: ChildError."""
        message = HEADER.pack(kind, len(payload)) + payload
        self._link.empty_bucket()
        began_s = time.perf_counter()
        self._stream.sendall(message)
        answer = self._answers.readline()
        took_s = time.perf_counter() - began_s
        if not answer:
            raise ChildError("worker", "ended while a frame was under way", self._worker.last_words())
        found = msgspec.json.decode(answer, type=Took)
        return took_s, found.decode_s, found.tail_s


class Net:
    """One network of the document: its bundle, one picture of its own size, and the layers at its places."""

    def __init__(self, name: str, bundle: Bundle) -> None:
        self.name, self.bundle = name, bundle
        self.engine = Engine(bundle.model_path, outputs=bundle.finals, max_cached_parts=1)
        size = bundle.input.width, bundle.input.height
        self.picture: Pixels = Whole().cut(drawn_pictures(1)[0], *size)[0].pixels
        self.splits = splits_of(bundle)
        self.layers = _layers(name, self.splits)

    def head(self, split: str) -> Head:
        """Return the head up to a split."""
        return prepare_head(self.bundle, self.engine, split, "png" if split == IMAGE else "native", {}, Whole())


def _layers(name: str, splits: Sequence[str]) -> list[int]:
    """Return the document's number of the last layer before each place, 0 for the picture."""
    numbers: dict[str, int] = {IMAGE: 0}
    for row in rows_of(name):
        if row.cut_point is not None:
            numbers.setdefault(row.cut_point, row.number)
    return [numbers[split] for split in splits]


def _body(body: Body | Dropped) -> Body:
    if not isinstance(body, Activation | Picture | Finished):
        raise AssertionError("a frame without crop and exits is never dropped")
    return body
