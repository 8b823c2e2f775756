"""A bundle, a device and servers of paper for the worker's tests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from cloud_worker.inbox import Delivery, Inbox
from cloud_worker.keeper import Keeper
from cloud_worker.library import Library, Runner, open_bundle
from cloud_worker.progress import Progress
from cloud_worker.store import RedisStore
from cloud_worker.tail import Finisher
from cloud_worker.traces import told_by
from cloud_worker.worker import Bounds, Identity, Worker
from headwater.codec import Codec, encode_tensor
from headwater.errors import StoreError
from headwater.messages import (
    VERSION,
    Activation,
    Dead,
    Finished,
    Frame,
    FrameId,
    Picture,
    Prediction,
    Record,
    Result,
    StoredJourney,
    encode,
)
from headwater.metrics import Counters
from headwater.session import Received
from headwater.topics import Topics
from headwater.traces import Tell
from models.bundle import Bundle, file_digest
from models.engine import Engine
from models.pictures import encode_png, to_input
from tests.models import tflite_files

TOPICS = Topics("demo")
BOOT = "9f3c2a1b"
SIDE = 8
LABELS = ("clean", "dirty", "unsure")

MANIFEST = """
format = 1
name = "{name}"
digest = "{digest}"
outputs = ["scores"]
cut_points = {cuts}
[input]
width = 8
height = 8
low = 0.0
high = 1.0
[[tasks]]
name = "litter"
kind = "classification"
output = "scores"
labels = ["clean", "dirty", "unsure"]
"""


def make_bundle(folder: Path, name: str = "tiny", model: bytes | None = None) -> Bundle:
    """Return a bundle with a small classifier of 8 x 8 pictures, written to `folder`/`name`."""
    place = folder / name
    place.mkdir(parents=True)
    (place / "model.tflite").write_bytes(model or tflite_files.residual())
    digest = file_digest(place / "model.tflite")
    cuts = [point.name for point in Engine(place / "model.tflite").graph.cut_points()]
    (place / "bundle.toml").write_text(MANIFEST.format(name=name, digest=digest, cuts=cuts).replace("'", '"'))
    return Bundle.load(place)


class Camera:
    """A device of paper: makes frames of made-up pictures and knows their right predictions."""

    def __init__(self, bundle: Bundle, device: str = "cam1", boot: str = BOOT) -> None:
        self.bundle, self.device, self.boot = bundle, device, boot
        self.engine = Engine(bundle.model_path, outputs=bundle.finals)
        self.cuts = [point.name for point in self.engine.graph.cut_points()]

    def picture(self, sequence: int) -> np.ndarray:
        size = (self.bundle.input.height, self.bundle.input.width, 3)
        return np.random.default_rng(sequence).integers(0, 256, size, dtype=np.uint8)

    def input(self, sequence: int) -> np.ndarray:
        wanted = self.bundle.input
        spec = self.engine.whole().inputs[0]
        return to_input(self.picture(sequence), spec, wanted.low, wanted.high, wanted.colour)

    def expected(self, sequence: int) -> list[Prediction]:
        """Return what the whole model says of the picture of that number."""
        from models.bundle import predictions

        whole = self.engine.whole()
        found = predictions(self.bundle, whole.run(self.input(sequence)), whole.outputs)
        return [Prediction(p.task, p.label, p.value, p.confidence, p.scores) for p in found]

    def body(self, sequence: int, split: str) -> Activation | Picture | Finished:
        if split == "device":
            return Finished(self.expected(sequence))
        if split == "image":
            height, width = self.picture(sequence).shape[:2]
            return Picture("png", width, height, memoryview(encode_png(self.picture(sequence))))
        (values,) = self.engine.head(split).run(self.input(sequence))
        return Activation(encode_tensor(values, Codec.named("auto", values.dtype.name)))

    def frame(self, sequence: int, split: str | None = None, **changes: object) -> Frame:
        split = split or self.cuts[0]
        known: dict[str, object] = {
            "version": VERSION,
            "id": FrameId(self.device, self.boot, sequence),
            "captured_ns": 1_789_990_000_000_000_000 + sequence,
            "sent_ns": 5_000 + sequence,
            "bundle": self.bundle.name,
            "digest": self.bundle.digest,
            "split": split,
            "codec": "native+zstd",
            "stages_ns": {"capture": 10, "head": 20},
            "name": f"{sequence}.jpg",
        }
        body = changes.pop("body", None) or self.body(sequence, split)
        return Frame(**{**known, "body": body, **changes})  # type: ignore[arg-type]

    def delivery(self, sequence: int, split: str | None = None, **changes: object) -> Delivery:
        return deliver(encode(self.frame(sequence, split, **changes)), device=self.device)


def deliver(
    payload: bytes,
    *,
    device: str = "cam1",
    kind: str = "frame",
    correlation: bytes | None = None,
    mid: int = 1,
    traceparent: str | None = None,
) -> Delivery:
    """Return a message as the network thread takes it in."""
    topic = TOPICS.of_device(device, kind)
    return Delivery(Received(topic, payload, 1, mid, 1, correlation, traceparent), received_ns=100)


class Clock:
    """A clock that goes on by itself with each look, or that is set."""

    def __init__(self, step_ns: int = 1000) -> None:
        self.ns, self.step_ns = 1_000_000, step_ns

    def now_ns(self) -> int:
        self.ns += self.step_ns
        return self.ns


class PaperStore:
    """A store in memory; away for as many calls as told."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.journeys: list[StoredJourney] = []
        self.away_for, self.calls = 0, 0

    def add(self, records: Sequence[Record]) -> list[bool]:
        self._answer()
        return [self._add(record) for record in records]

    def _add(self, record: Record) -> bool:
        known = {(r.device, r.boot, r.sequence) for r in self.records}
        if (record.device, record.boot, record.sequence) in known:
            return False
        self.records.append(record)
        return True

    def add_journeys(self, journeys: Sequence[StoredJourney]) -> None:
        self._answer()
        self.journeys += journeys

    def _answer(self) -> None:
        self.calls += 1
        if self.away_for:
            self.away_for -= 1
            raise StoreError("away")


class PaperReplies:
    """Keeps what a worker says, in order."""

    def __init__(self) -> None:
        self.said: list[tuple[str, object]] = []

    def result(self, result: Result) -> None:
        self.said.append(("result", result))

    def dead(self, dead: Dead) -> None:
        self.said.append(("dead", dead))

    def ack(self, delivery: Delivery) -> None:
        self.said.append(("ack", delivery))

    @property
    def order(self) -> list[str]:
        return [what for what, _ in self.said]

    @property
    def results(self) -> list[Result]:
        return [said for _, said in self.said if isinstance(said, Result)]

    @property
    def deads(self) -> list[Dead]:
        return [said for _, said in self.said if isinstance(said, Dead)]

    @property
    def acked(self) -> list[Delivery]:
        return [said for _, said in self.said if isinstance(said, Delivery)]


class PaperStop:
    """Never waits; keeps how long it was asked to, and is set after as many waits as told."""

    def __init__(self, after: int | None = None) -> None:
        self.waits: list[float] = []
        self._after = after

    def is_set(self) -> bool:
        return self._after is not None and len(self.waits) >= self._after

    def wait(self, timeout: float) -> bool:
        self.waits.append(timeout)
        return self.is_set()


class Bench:
    """A worker with everything around it made of paper but its models."""

    def __init__(
        self,
        folder: Path,
        *,
        stop: PaperStop | None = None,
        clock: Clock | None = None,
        max_frame_bytes: int = 100_000,
        tell: Tell | None = None,
        opened: Callable[[Bundle], Runner] = lambda bundle: open_bundle(bundle, 1),
    ) -> None:
        self.store, self.replies, self.counters = PaperStore(), PaperReplies(), Counters()
        self.stop, self.clock = stop or PaperStop(), clock or Clock()
        self.frames, self.journeys = Inbox(16, 10_000_000), Inbox(4, 100_000)
        self.now_s = 0.0
        self.library = Library([folder], opened, now_s=lambda: self.now_s)
        traces, trail_of = told_by("w1", "demo", tell)
        self.finisher = Finisher(self.library, TOPICS, max_frame_bytes, self.clock.now_ns, trail_of)
        self.keeper = Keeper(self.store, TOPICS, "w1", self.counters, self.stop, self.clock.now_ns)
        self.progress = Progress(self.clock.now_ns)
        self.worker = Worker(
            Identity("w1", TOPICS), (self.frames, self.journeys), self.finisher, self.keeper, self.replies,
            self.counters, self.clock.now_ns, Bounds(), self.progress, traces,
        )  # fmt: skip

    def finish(self, *batch: Delivery) -> None:
        for delivery in batch:
            delivery.taken_ns = self.clock.now_ns()
        self.worker.finish(batch)


def run_in_thread(work: Callable[[], object]) -> threading.Thread:
    """Return the started thread that runs `work`."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def stored_records(url: str, fleet: str = "demo") -> list[Record]:
    """Return every record in a real store, oldest first."""
    import redis

    from headwater.messages import decode_json

    with redis.Redis.from_url(url) as client:
        entries = client.xrange(f"headwater:{fleet}:results")
    return [decode_json(Record, fields[b"record"]) for _, fields in entries]  # type: ignore[union-attr]


def real_store(url: str) -> RedisStore:
    """Return a store for the fleet of the tests."""
    return RedisStore(url, "demo")
