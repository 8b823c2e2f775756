"""The function on AWS Lambda answers events of a function URL as the worker over HTTP answers requests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cloud_worker.answering import TENSOR
from cloud_worker.aws_lambda import MAX_BODY_BYTES, Function
from headwater.errors import SettingsError
from headwater.messages import Answered, Refused, decode_json
from models.pictures import encode_jpeg, encode_png
from tests.cloud_worker.fleet import Camera, make_bundle
from tests.cloud_worker.requests import lambda_event as event
from tests.cloud_worker.requests import offload

PREDICT, OFFLOAD = "/v1/predict", "/v1/offload"
UNUSED = ("paho", "redis", "starlette", "uvicorn", "cyclopts", "rich", "cv2", "mediapipe", "tensorflow")
FRESH = """
import json, sys
from cloud_worker.aws_lambda import lambda_handler
for line in sys.stdin:
    print(json.dumps(lambda_handler(json.loads(line), None)), flush=True)
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""


@pytest.fixture
def camera(tmp_path: Path) -> Camera:
    return Camera(make_bundle(tmp_path))


@pytest.fixture
def function(tmp_path: Path, camera: Camera) -> Function:
    return Function({"HEADWATER_BUNDLE": "tiny", "HEADWATER_BUNDLES": str(tmp_path), "PATH": "/bin"})


def answered(response: dict[str, Any]) -> Answered:
    assert response["statusCode"] == 200, response
    assert response["headers"] == {"content-type": "application/json"}
    assert response["isBase64Encoded"] is False
    return decode_json(Answered, response["body"])


def refusal(response: dict[str, Any], status: int) -> str:
    assert response["statusCode"] == status, response
    return decode_json(Refused, response["body"]).error


def test_pictures_and_tensors_are_answered(function: Function, camera: Camera) -> None:
    """With the predictions of the whole model, bit for bit."""
    for sequence in range(3):
        said = answered(function.handle(event(PREDICT, encode_png(camera.picture(sequence)))))
        assert said.predictions == camera.expected(sequence)
        assert said.received_ns < said.replied_ns
    for split in camera.cuts:
        said = answered(function.handle(event(OFFLOAD, offload(camera, 4, split), TENSOR)))
        assert said.predictions == camera.expected(4)


def test_the_query_names_a_bundle(function: Function, camera: Camera) -> None:
    """As over HTTP, with what is escaped in it."""
    body = encode_png(camera.picture(1))
    assert answered(function.handle(event(PREDICT, body, query="bundle=t%69ny"))).bundle == "tiny"
    assert "'no such'" in refusal(function.handle(event(PREDICT, body, query="bundle=no+such")), 404)


def test_what_cannot_be_answered_is_refused(function: Function, camera: Camera) -> None:
    """Address, method, type, a body that is no base64, one that is longer than Lambda brings."""
    body = encode_png(camera.picture(1))
    assert PREDICT in refusal(function.handle(event("/", body)), 404)
    assert "takes POST" in refusal(function.handle(event(PREDICT, b"", method="GET")), 405)
    assert "got text/html" in refusal(function.handle(event(PREDICT, body, "text/html")), 415)
    assert "no base64" in refusal(function.handle({**event(PREDICT, body), "body": "%%%"}), 400)
    assert "over the limit" in refusal(function.handle({**event(PREDICT, body), "body": "A" * 7_000_000}), 413)
    assert "expected text" in refusal(function.handle({**event(PREDICT, body), "body": {"a": 1}}), 400)
    assert MAX_BODY_BYTES == 6_291_456


@pytest.mark.parametrize(
    "strange",
    [
        {}, {"requestContext": "x"}, {"requestContext": {"http": None}}, {"rawPath": None}, {"Records": [{"s3": {}}]},
        [], "text", 1, None,
    ],
)  # fmt: skip
def test_an_event_of_another_kind_is_refused(function: Function, strange: Any) -> None:
    """404 in one line, not a fault: functions are wired to other things by mistake."""
    assert "is not there" in refusal(function.handle(strange), 404)


def test_missing_parts_are_as_nothing(function: Function, camera: Camera) -> None:
    """No body, no headers, no query; a body that is text; headers in capitals."""
    bare = {"rawPath": PREDICT, "requestContext": {"http": {"method": "POST"}}}
    assert "got none" in refusal(function.handle(bare), 415)
    assert "got none" in refusal(function.handle({**bare, "headers": ["content-type"]}), 415)
    text = {**bare, "headers": {"Content-Type": TENSOR}, "rawPath": OFFLOAD, "body": "\ud800 text"}
    assert "offload of" in refusal(function.handle(text), 400)


def test_health_says_what_is_loaded(function: Function) -> None:
    """Before any request."""
    found = json.loads(function.handle(event("/health", b"", method="GET"))["body"])
    assert (found["status"], found["bundle"], found["models"]) == ("ok", "tiny", ["tiny"])
    assert found["load_s"] > 0


@pytest.mark.parametrize(
    ("variables", "hint"),
    [
        ({"HEADWATER_BUNDEL": "tiny"}, "did you mean HEADWATER_BUNDLE?"),
        ({"HEADWATER_THREADS": "0"}, "expected 1 to 64"),
        ({"HEADWATER_THREADS": "many"}, "expected 1 to 64"),
    ],
)
def test_a_slip_in_its_variables_is_said(variables: dict[str, str], hint: str) -> None:
    """When the instance starts, not at some request."""
    with pytest.raises(SettingsError, match=hint):
        Function(variables)


@pytest.mark.parametrize("on_lambda", [False, True])
def test_a_fresh_process_answers(tmp_path: Path, on_lambda: bool) -> None:
    """As Lambda starts it: loaded at import there, at the first request elsewhere; and no package of other rims."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("HEADWATER_", "AWS_"))}
    if on_lambda:
        variables |= {
            "AWS_LAMBDA_FUNCTION_NAME": "hw",
            "AWS_LAMBDA_LOG_STREAM_NAME": "2026/11/21/[$LATEST]8f2b7c19d0e4",
        }
    picture = encode_jpeg(np.random.default_rng(1).integers(0, 256, (120, 160, 3), dtype=np.uint8))
    events = [event("/health", b"", method="GET"), event(PREDICT, picture, "image/jpeg")]
    done = subprocess.run(
        [sys.executable, "-c", FRESH], input="".join(json.dumps(one) + "\n" for one in events),
        capture_output=True, text=True, check=True, env=variables, timeout=60,
    )  # fmt: skip
    health, said, loaded = map(json.loads, done.stdout.splitlines())
    assert json.loads(health["body"])["models"] == ["litter"]
    found = answered(said)
    assert found.predictions[0].label in {"clean", "dirty"}
    assert found.worker == "lambda-8f2b7c19d0e4" if on_lambda else found.worker.startswith("lambda-")
    assert set(loaded).isdisjoint(UNUSED)


def test_a_wrong_variable_ends_a_fresh_instance() -> None:
    """Lambda then shows the line in its log and starts no function."""
    variables = {**os.environ, "AWS_LAMBDA_FUNCTION_NAME": "hw", "HEADWATER_BUNDLE": "litterr"}
    done = subprocess.run(
        [sys.executable, "-c", FRESH], input="", capture_output=True, text=True, check=False, env=variables, timeout=60
    )
    assert done.returncode == 1
    assert "did you mean litter?" in done.stderr.splitlines()[-1]
