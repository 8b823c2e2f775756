"""Requests of paper for the worker over HTTP, and what answers them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cloud_worker.answering import TENSOR, Answer, Answering, Bounds, Request
from cloud_worker.library import Library, open_bundle
from headwater.messages import Activation, Answered, Offload, Refused, decode_json, encode
from tests.cloud_worker.fleet import Camera, Clock

BOUNDS = Bounds(100_000, 1_000_000)


def answering(folder: Path, bundle: str = "tiny", bounds: Bounds = BOUNDS) -> Answering:
    """Return what answers with the bundles of a folder."""
    library = Library([folder], lambda found: open_bundle(found, 1))
    return Answering(library, "w1", bundle, Clock().now_ns, bounds)


def request(body: bytes, content_type: str, query: Mapping[str, str] | None = None) -> Request:
    """Return a request that has just come in."""
    return Request(content_type, body, query or {}, received_ns=1_000_500)


def offload(camera: Camera, sequence: int, split: str, **changes: object) -> bytes:
    """Return the body of a request to finish the picture of that number from a split."""
    body = camera.body(sequence, split)
    assert isinstance(body, Activation)
    bundle = camera.bundle
    known = {"bundle": bundle.name, "digest": bundle.digest, "split": split, "tensor": body.tensor}
    return encode(Offload(**{**known, **changes}))  # type: ignore[arg-type]


def answered(answer: Answer) -> Answered:
    """Return what a good answer says."""
    assert answer.status == 200, answer.body
    return decode_json(Answered, answer.body)


def refusal(answer: Answer, status: int) -> str:
    """Return the one line of a refusal with this status."""
    assert answer.status == status, answer.body
    line = decode_json(Refused, answer.body).error
    assert line.isprintable()
    return line


def finish(found: Answering, camera: Camera, sequence: int, split: str, **changes: object) -> Answer:
    """Return the answer to an activation."""
    return found.offload(request(offload(camera, sequence, split, **changes), TENSOR))
