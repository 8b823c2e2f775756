"""The test bench of `headwater evaluate regret`: a slow device, a shaped link, a worker behind it."""

from __future__ import annotations

import contextlib
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Self

from edge.head import Head, Pixels, prepare_head
from edge.plan_predictors import splits_of
from edge.rehearsal import as_message, body_of, drawn_pictures, rehearse
from edge.splits import DEVICE, IMAGE
from evaluation.line import Line, stages_s
from evaluation.regret import CLOCK_GHZ, CLOCKS_GHZ, Ran, Setting, Tried
from evaluation.shaped_link import WORKER, ShapedLink
from evaluation.slow_cpu import SlowCpu
from headwater.children import start
from headwater.clock import Stopwatch
from models.bundle import Bundle
from models.crop import Whole
from models.engine import Engine
from models.layers import rows_of
from models.profile import Progress
from planning.ways import Conditions

CODECS: Final = ("native", "png")
"""Activations as they are, as in the document, and the picture as PNG."""
RUN_S: Final = 1.0
"""A run of the head is repeated for so long, ten periods of the quota, and its mean counts."""
FAST_BITS_PER_S: Final = 1e9
_START_S: Final = 60.0


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
            with self._link.inside_device():
                self._line = stack.enter_context(contextlib.closing(self._line_to(port)))
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def conditions(self, setting: Setting, share: float) -> Conditions:
        """Return what holds in a setting, the link as a device measures it: by a short and a long message."""
        self._shape(setting.bandwidth_bits_per_s)
        bits_per_s, answer_s = self._line.measured()
        return Conditions(bits_per_s, 2 * answer_s, CLOCK_GHZ / setting.clock_ghz / share)

    def try_out(self, net: Net, share: float, progress: Progress) -> Tried:
        """Return a network's ways as tried here without a quota, and its whole run at a few clocks."""
        ways = rehearse(net.bundle, net.engine, [net.picture], codecs=CODECS, progress=progress)
        whole = net.head(DEVICE)
        wholes_s = [self._stages_s(whole, net.picture, share * clock / CLOCK_GHZ)[1] for clock in CLOCKS_GHZ]
        return Tried(net.name, ways, net.layers, wholes_s)

    def measure(self, net: Net, place: int, settings: Sequence[Setting], share: float) -> Iterator[Ran]:
        """Yield one way of a network in each of these settings, really run."""
        head = net.head(net.splits[place])
        message = as_message(net.bundle, head, body_of(head, net.picture, Stopwatch()))
        self._shape(FAST_BITS_PER_S)
        self._line.make_ready(net.bundle, head.split, message)
        for setting in settings:
            yield self._ran(net, place, head, message, setting, share)

    def _ran(self, net: Net, place: int, head: Head, message: bytes, setting: Setting, share: float) -> Ran:
        crop_s, head_s, encode_s = self._stages_s(head, net.picture, share * setting.clock_ghz / CLOCK_GHZ)
        self._shape(setting.bandwidth_bits_per_s)
        trips = self._line.trips(message, self._runs)
        trip_s, decode_s, tail_s = map(statistics.median, zip(*trips, strict=True))
        return Ran(
            net.name, setting.number, head.split, place, len(message),
            crop_s, head_s, encode_s, trip_s, decode_s, tail_s, len(trips),
        )  # fmt: skip

    def _stages_s(self, head: Head, picture: Pixels, share: float) -> tuple[float, float, float]:
        """Return crop, head and encode at a share of a core: the medians of the runs."""
        with self._cpu.at(share):
            runs = [stages_s(head, picture, share, RUN_S) for _ in range(self._runs)]
        crop_s, head_s, encode_s = (statistics.median(stages) for stages in zip(*runs, strict=True))
        return crop_s, head_s, encode_s

    def _line_to(self, port: int) -> Line:
        return Line(port, FAST_BITS_PER_S, self._worker.last_words)

    def _shape(self, bits_per_s: float) -> None:
        self._link.shape(bits_per_s)
        self._line.bits_per_s = bits_per_s


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
