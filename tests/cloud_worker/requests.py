"""Requests of paper for the worker over HTTP, and what answers them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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


def lambda_event(
    path: str, body: bytes, kind: str = "image/png", method: str = "POST", query: str = ""
) -> dict[str, Any]:
    """Return an event as a function URL gives it, payload format 2.0. Source: AWS Lambda Developer Guide."""
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {"content-type": kind, "content-length": str(len(body)), "host": "x.lambda-url.eu-central-1.on.aws"},
        "requestContext": {"http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1"}},
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
    }
