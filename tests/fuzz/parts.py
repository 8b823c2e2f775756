"""Whole parts that take bytes from strangers: a worker on the stream, and a worker over HTTP."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections import Counter
from functools import cache
from pathlib import Path

from cloud_worker.answering import TENSOR, Answering
from headwater.messages import Frame, Result, decode, encode
from models.bundle import Bundle
from models.pictures import encode_jpeg, encode_png
from tests.cloud_worker.fleet import Bench, Camera, deliver, make_bundle
from tests.cloud_worker.requests import answering, offload, request
from tests.fuzz.target import Target
from tests.fuzz.trees import messagepack

ROUTES = ((TENSOR, "offload"), ("image/png", "predict"), ("image/jpeg", "predict"))


@cache
def _folder() -> Path:
    """Return a folder with a small bundle, which goes when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="headwater-fuzz-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    make_bundle(folder)
    return folder


@cache
def _camera() -> Camera:
    return Camera(Bundle.load(_folder() / "tiny"))


@cache
def _bench() -> Bench:
    return Bench(_folder())


def worker(data: bytes) -> str:
    """Give a worker a message: it is acknowledged once, and finished or refused for a reason that is not its own."""
    bench = _bench()
    bench.replies.said.clear()
    bench.store.records.clear()
    before = Counter(bench.counters.snapshot())
    bench.finish(deliver(data, correlation=b"cam1-9f3c2a1b-7"))
    replies, counted = bench.replies, Counter(bench.counters.snapshot()) - before
    assert len(replies.acked) == len(replies.results) == counted["received"] == 1
    assert counted["refused"] + len(bench.store.records) == 1
    assert counted["refused"] == sum(count for name, count in counted.items() if name.startswith("refused_"))
    (answer,) = replies.results
    assert not counted["refused_FailedFrame"], answer.refused
    assert decode(Result, encode(answer), 1_000_000) == answer
    assert all(dead.sample == data[:1024] for dead in replies.deads)
    if bench.store.records:
        return bench.store.records[0].split
    return next(name for name in counted if name.startswith("refused_"))


def frames() -> list[bytes]:
    """Return frames that the worker finishes."""
    camera = _camera()
    splits = ("image", "device", *camera.cuts)
    made: list[Frame] = [camera.frame(number, split) for number, split in enumerate(splits)]
    return [encode(one) for one in made]


@cache
def _answering() -> Answering:
    return answering(_folder())


def http(data: bytes) -> str:
    """Answer a body over HTTP, its first byte the address and the type: no answer is the worker's own failure."""
    kind, route = ROUTES[data[0] % len(ROUTES)] if data else ROUTES[0]
    query = {"bundle": data[1:9].decode("utf-8", "replace")} if data[:1] >= b"\xc0" else {}
    answer = getattr(_answering(), route)(request(data[1:], kind, query))
    assert answer.status != 500, answer.body
    return f"{route} {answer.status}"


def bodies() -> list[bytes]:
    """Return bodies that are answered, each behind the byte of its address and type."""
    camera = _camera()
    tensors = [offload(camera, number, cut) for number, cut in enumerate(camera.cuts)]
    pixels = camera.picture(1)
    return [*(b"\0" + body for body in tensors), b"\1" + encode_png(pixels), b"\2" + encode_jpeg(pixels)]


def _behind_the_first(data: bytes, draw: object) -> bytes:
    return data[:1] + messagepack(data[1:], draw)  # type: ignore[arg-type]


TARGETS = (
    Target("worker", "whatever a device publishes, as a worker takes it", frames, worker, messagepack,
           memory_base=40_000_000, examples=150),
    Target("http", "bodies of requests, as a worker over HTTP answers them", bodies, http, _behind_the_first,
           memory_base=40_000_000, examples=150),
)  # fmt: skip
