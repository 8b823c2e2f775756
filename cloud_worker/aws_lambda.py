"""The worker as a function on AWS Lambda behind a function URL: the same requests and answers as over HTTP.

One request at a time, so nothing waits here. The model is loaded once per instance: while Lambda starts it, which is
when a function has most processor. Source of the event's form: AWS Lambda Developer Guide, "Invoking Lambda function
URLs", request and response payload format version 2.0.
"""

from __future__ import annotations

import base64
import binascii
import functools
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from cloud_worker.answering import JSON, OFFLOAD, PREDICT, Answer, Answering, Bounds, Request, refused
from cloud_worker.library import Library, open_bundle
from headwater.clock import StageClock
from headwater.errors import SettingsError
from headwater.host import usable_cores
from headwater.settings import check_variables

SETTINGS: Final = ("bundle", "bundles", "threads")
"""What the function can be told, as HEADWATER_BUNDLE and so on; folders of bundles are separated by colons."""
MAX_BODY_BYTES: Final = 6 * 1024 * 1024
"""Lambda brings no more, base64 included. Source: AWS Lambda quotas, invocation payload (synchronous)."""
MOST_THREADS: Final = 4


class Function:
    """One instance of the function, its model loaded."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        """Load the model. Raises: SettingsError, WireError, ModelError."""
        begin_s = time.perf_counter()
        check_variables(variables, SETTINGS)
        self._bundle, threads = variables.get("HEADWATER_BUNDLE", "litter"), _threads(variables)
        folders = [Path(name) for name in variables.get("HEADWATER_BUNDLES", "").split(os.pathsep) if name]
        self._library = Library(folders, lambda bundle: open_bundle(bundle, threads))
        self._clock = StageClock()
        bounds = Bounds(body_bytes=MAX_BODY_BYTES)
        self._answering = Answering(self._library, _name(variables), self._bundle, self._clock.now_ns, bounds)
        self._answering.prepare()
        self._load_s = time.perf_counter() - begin_s

    def handle(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Return the response to one request of the function's URL."""
        received_ns = self._clock.now_ns()
        method, path = _address(event)
        steps = {PREDICT: self._answering.predict, OFFLOAD: self._answering.offload}
        if path == "/health" and method == "GET":
            return _response(self._health())
        if path not in steps:
            return _response(refused(404, f"this address is not there; there are {PREDICT}, {OFFLOAD} and /health"))
        if method != "POST":
            return _response(refused(405, f"method: got {method[:20]}, {path} takes POST"))
        body = _body(event)
        if isinstance(body, Answer):
            return _response(body)
        query = dict(parse_qsl(str(event.get("rawQueryString") or ""), keep_blank_values=True))
        return _response(steps[path](Request(_content_type(event), body, query, received_ns)))

    def _health(self) -> Answer:
        found = {"status": "ok", "bundle": self._bundle, "models": self._library.loaded, "load_s": self._load_s}
        return Answer(200, msgspec.json.encode(found))


def lambda_handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Return the response to one request of the function's URL, in payload format 2.0."""
    return _function().handle(event)


@functools.cache
def _function() -> Function:
    return Function(os.environ)


def _threads(variables: Mapping[str, str]) -> int:
    """Return the LiteRT threads: those of the instance, which has more the more memory it is given."""
    text = variables.get("HEADWATER_THREADS", str(min(MOST_THREADS, usable_cores())))
    if not (text.isascii() and text.isdigit() and len(text) <= 2 and 1 <= int(text) <= 64):
        raise SettingsError(f"HEADWATER_THREADS: got {text[:80]!r}, expected 1 to 64; correct it")
    return int(text)


def _name(variables: Mapping[str, str]) -> str:
    """Return the last words of this instance's log stream, which tell instances apart."""
    stream = variables.get("AWS_LAMBDA_LOG_STREAM_NAME", "")
    return f"lambda-{''.join(c for c in stream[-12:] if c.isascii() and c.isalnum()) or os.getpid()}"


def _address(event: Mapping[str, Any]) -> tuple[str, str]:
    """Return method and path; empty where the event is none of a function URL."""
    if not isinstance(event, Mapping):  # invoked by hand, with any JSON
        return "", ""
    context = event.get("requestContext")
    http = context.get("http") if isinstance(context, Mapping) else None
    method = http.get("method") if isinstance(http, Mapping) else None
    return str(method or ""), str(event.get("rawPath") or "")


def _content_type(event: Mapping[str, Any]) -> str:
    headers = event.get("headers")
    known = headers.items() if isinstance(headers, Mapping) else ()
    return next((str(value) for name, value in known if str(name).lower() == "content-type"), "")


def _body(event: Mapping[str, Any]) -> bytes | Answer:
    """Return the body, or why there is none."""
    text = event.get("body") or ""
    if not isinstance(text, str):
        return refused(400, f"body: got {type(text).__name__}, expected text; use payload format 2.0")
    if len(text) > MAX_BODY_BYTES:
        return refused(413, f"body of {len(text)} B is over the limit of {MAX_BODY_BYTES} B; send a smaller picture")
    if not event.get("isBase64Encoded"):
        return text.encode("utf-8", "replace")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        return refused(400, f"body: no base64 ({error}); send the bytes as they are to the function's URL")


def _response(answer: Answer) -> dict[str, Any]:
    return {
        "statusCode": answer.status,
        "headers": {"content-type": JSON},
        "body": answer.body.decode(),
        "isBase64Encoded": False,
    }


if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:  # on Lambda: load while the instance starts, not in the first request
    _function()
