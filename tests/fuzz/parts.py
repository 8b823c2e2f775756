"""Whole parts that take bytes from strangers: a worker on the stream, one over HTTP, and one as a function."""

from __future__ import annotations

import atexit
import base64
import json
import shutil
import tempfile
from collections import Counter
from functools import cache
from pathlib import Path
from random import Random

from cloud_worker.answering import OFFLOAD, PREDICT, TENSOR, Answering
from cloud_worker.aws_lambda import Function
from headwater.messages import Frame, Result, decode, encode
from models.bundle import Bundle
from models.pictures import encode_jpeg, encode_png
from tests.cloud_worker.fleet import Bench, Camera, deliver, make_bundle
from tests.cloud_worker.requests import answering, lambda_event, offload, request
from tests.fuzz.target import Target
from tests.fuzz.trees import json_text, messagepack

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


def _behind_the_first(data: bytes, draw: Random) -> bytes:
    return data[:1] + messagepack(data[1:], draw)


@cache
def _function() -> Function:
    return Function({"HEADWATER_BUNDLE": "tiny", "HEADWATER_BUNDLES": str(_folder()), "HEADWATER_THREADS": "1"})


def function(data: bytes) -> str:
    """Answer an event of Lambda, which comes as JSON: no answer is the function's own failure."""
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        return "no JSON"
    answer = _function().handle(said)
    assert answer["statusCode"] != 500, answer["body"]
    assert isinstance(json.loads(answer["body"]), dict)
    return str(answer["statusCode"])


def events() -> list[bytes]:
    """Return events that are answered, and one whose body is text."""
    camera = _camera()
    found = [lambda_event(OFFLOAD, offload(camera, number, cut), TENSOR) for number, cut in enumerate(camera.cuts)]
    found.append(lambda_event(PREDICT, encode_png(camera.picture(1)), "image/png", query="bundle=t%69ny"))
    found.append({**found[-1], "body": "text \u00e9", "isBase64Encoded": False})
    return [json.dumps(one).encode() for one in found]


def _in_event(data: bytes, draw: Random) -> bytes:
    """Return an event with another meaning: its own, or that of the tensor in its body."""
    if draw.random() < 0.5:
        return json_text(data, draw)
    try:
        said = json.loads(data)
        said["body"] = base64.b64encode(messagepack(base64.b64decode(said["body"]), draw)).decode()
    except (ValueError, TypeError, LookupError, RecursionError):
        return data
    return json.dumps(said).encode()


TARGETS = (
    Target("worker", "whatever a device publishes, as a worker takes it", frames, worker, messagepack,
           memory_base=40_000_000, examples=150),
    Target("http", "bodies of requests, as a worker over HTTP answers them", bodies, http, _behind_the_first,
           memory_base=40_000_000, examples=150),
    Target("lambda", "events of Lambda, bodies in base64 in them, as the function answers them", events, function,
           _in_event, memory_base=200_000_000, examples=150),
)  # fmt: skip
