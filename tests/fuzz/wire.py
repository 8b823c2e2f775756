"""What travels: the messages of the stream, tensors, names and the packets that they come in."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
from msgspec import Struct, structs

from cloud_worker.keeper import read_journeys
from cloud_worker.refusals import correlated_id
from edge.plan import Plan, changed_plan
from headwater.codec import Codec, decode_tensor, encode_tensor
from headwater.errors import HeadwaterError
from headwater.messages import (
    Activation,
    Answered,
    Dead,
    Decision,
    Frame,
    FrameId,
    Offload,
    Record,
    Result,
    SettingsApplied,
    SettingsChange,
    Status,
    StoredJourney,
    Tensor,
    decode,
    decode_json,
    encode,
    encode_json,
)
from headwater.properties import publish_properties
from headwater.session import Address, Callbacks, Received, Session
from headwater.topics import checked_name
from headwater.trace_context import read_traceparent
from models.exits import ExitRule
from models.graph import Graph
from tests.cloud_worker.fleet import TOPICS, deliver
from tests.fuzz.target import Target
from tests.fuzz.trees import json_text, messagepack
from tests.headwater import samples
from tests.models.tflite_files import residual
from visualizer.devices import Heard, device_rows
from visualizer.fleet_map import rows
from visualizer.window import Window

LIMIT_BYTES, TENSOR_BYTES = 1_000_000, 1_000_000
CODECS = ("native", "native+zstd", "float16", "float16+zstd", "uint8", "uint8+zstd")


def is_finite(value: Any) -> bool:
    """Tell whether no number in a message is NaN or infinite."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, float):
            if not math.isfinite(one):
                return False
        elif isinstance(one, (list, tuple)):
            left += one
        elif isinstance(one, dict):
            left += one.values()
        elif isinstance(one, Struct):
            left += structs.astuple(one)
    return True


def taken(data: bytes, kind: type[Struct]) -> Any:
    """Return the stream message in the bytes, which holds finite numbers and is read the same when written again."""
    found = decode(kind, data, LIMIT_BYTES)
    assert is_finite(found), "a number that is not finite passed"
    assert decode(kind, encode(found), 10 * LIMIT_BYTES) == found  # type: ignore[type-var]
    return found


def taken_json(data: bytes, kind: type[Struct]) -> Any:
    """Return the JSON message in the bytes; as text it says the same."""
    try:
        text = data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        text = None
    found = decode_json(kind, data)
    assert is_finite(found), "a number that is not finite passed"
    assert text is None or decode_json(kind, text) == found
    assert decode_json(kind, encode_json(found), 10 * LIMIT_BYTES) == found  # type: ignore[type-var]
    return found


def frame(data: bytes) -> str:
    """Read a frame, and the activation in it."""
    body = taken(data, Frame).body
    return f"{type(body).__name__} {_activation(body.tensor) if isinstance(body, Activation) else ''}"


def tensor(data: bytes) -> str:
    """Read a tensor as a request over HTTP carries it."""
    return _activation(taken(data, Offload).tensor)


def _activation(found: Tensor) -> str:
    values = decode_tensor(found, TENSOR_BYTES)
    assert values.nbytes <= TENSOR_BYTES
    assert (values.shape, values.dtype.name) == (found.shape, found.dtype)
    return f"{found.dtype} {found.encoding} {found.compression}"


def result(data: bytes) -> str:
    """Read a result."""
    return "refused" if taken(data, Result).refused else "finished"


def journeys(data: bytes) -> str:
    """Read journeys, and make of them what the store keeps."""
    found = read_journeys(deliver(data, kind="journey"), TOPICS)
    assert all(taken_json(encode_json(entry), StoredJourney) == entry for entry in found)
    return f"{min(len(found), 2)}"


def status(data: bytes) -> str:
    """Read a status, and make the site's row of it."""
    found = taken_json(data, Status)
    (row,) = device_rows([Heard(found, 1, retained=True)], [], 2)
    return row.state


def settings(data: bytes) -> str:
    """Read an operator's settings, and change a plan by them."""
    plan = changed_plan(*_planned(taken_json(data, SettingsChange)))
    return f"{plan.report} {plan.codec}"


def _planned(change: SettingsChange) -> tuple[Plan, SettingsChange, Graph]:
    rule = ExitRule("entropy", {"litter": 0.4}, {}, frozenset({"litter"}))
    return Plan("image", "native", "all", {"exit1": rule}), change, _graph()


@cache
def _graph() -> Graph:
    return Graph.read(residual())


def record(data: bytes) -> str:
    """Read a record of the store as the site does, and show it."""
    found, window = taken_json(data, Record), Window(4)
    window.add("1700000000000-0", found)
    sightings = window.newest(4)
    assert len(rows(sightings)) == len(device_rows([], sightings, 2)) == 1
    return found.finished_by


def names(data: bytes) -> str:
    """Read a frame's id, a device's name, a topic, a trace's parent."""
    text = data.decode("utf-8", "surrogateescape")
    found = []
    for read in (FrameId.parse, lambda name: checked_name("device", name)):
        try:
            found.append(read(text) is not None)
        except HeadwaterError:
            found.append(False)
    found.append(correlated_id(deliver(b"", correlation=data), TOPICS) is not None)
    found += [TOPICS.device_in(text) is not None, read_traceparent(text) is not None]
    return str(found)


@cache
def _session() -> tuple[Session, list[Received]]:
    came: list[Received] = []
    return Session(Address.parse("mqtt://127.0.0.1:1"), "fuzz", Callbacks(on_message=came.append)), came


def packet(data: bytes) -> str:
    """Read what follows the fixed header of a PUBLISH packet."""
    session, came = _session()
    came.clear()
    session._begin_anew()
    client = session._client
    client._in_packet = {"command": 0x32, "packet": bytearray(data), "remaining_length": len(data)}  # type: ignore[assignment]
    code = client._packet_handle()
    return f"{code.name} {len(came)}"


def packets() -> list[bytes]:
    """Return packets of frames and results, from the topic on."""
    found = []
    for topic, text in ((b"headwater/v1/demo/cam1/frame", "application/msgpack"), (b"t", "\ufeff")):
        more = publish_properties(content_type=text, expiry_s=9, response_topic="r", correlation=b"c", traceparent=text)
        found.append(len(topic).to_bytes(2, "big") + topic + b"\0\1" + more.pack() + b"payload")  # type: ignore[no-untyped-call]
    return found


def tensors() -> list[Tensor]:
    """Return a small tensor in each way in which one is written."""
    values = np.linspace(-2, 3, 24, dtype=np.float32).reshape(1, 2, 3, 4)
    found = [encode_tensor(values, Codec.named(name, "float32")) for name in CODECS]
    whole = np.arange(24, dtype=np.int8).reshape(1, 24)
    return [*found, encode_tensor(whole, Codec.named("auto", "int8"), 0.5, 3)]


def frames() -> list[bytes]:
    """Return frames with each kind of body."""
    known = [message for message in samples.STREAM.values() if isinstance(message, Frame)]
    more = [structs.replace(samples.ACTIVATION_FRAME, body=Activation(found)) for found in tensors()]
    return [encode(message) for message in (*known, *more)]


def _stream(*messages: Any) -> Any:
    return lambda: [encode(message) for message in messages]


def _json(*messages: Any) -> Any:
    return lambda: [encode_json(message) for message in messages]


def offloads() -> list[bytes]:
    """Return requests over HTTP to finish a tensor."""
    return [encode(Offload("litter", "ab" * 32, "block_5_add", found, samples.BOXES)) for found in tensors()]


def written() -> list[bytes]:
    """Return names of each kind as they are written."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    texts = (str(samples.ID), "cam-1-0123abcd-9", "headwater/v1/demo/cam1/frame", "cam1", trace)
    return [text.encode() for text in texts]


ANSWERED = Answered("litter", "ab" * 32, "image", "w1", 1, 2, {"tail": 3}, [samples.DIRTY])
ROOMY = {"memory_base": 6_000_000}
"""Tensors up to TENSOR_BYTES are unpacked, in up to three steps."""
NATIVE = {"watch_every": 8}
"""Read by msgspec, where no line is seen, and by few lines of ours: mostly it is the answers that lead."""

TARGETS = (
    Target("frame", "frames from devices, with the tensors in them", frames, frame, messagepack, **ROOMY, **NATIVE),
    Target("tensor", "tensors over HTTP, in each encoding", offloads, tensor, messagepack, **ROOMY, **NATIVE),
    Target(
        "result", "results from workers", _stream(samples.RESULT, samples.FACES_RESULT, samples.REFUSAL), result,
        messagepack, **NATIVE,
    ),
    Target("journeys", "journeys from devices", _stream(samples.JOURNEYS), journeys, messagepack),
    Target("status", "statuses from devices, as the site shows them", _json(samples.STATUS), status, json_text),
    Target(
        "settings", "settings from operators, as a device takes them",
        _json(SettingsChange(1, "auto", "native", "all", {"exit1": {"litter": 0.5}}), samples.SETTINGS), settings,
        json_text,
    ),
    Target(
        "applied", "answers to settings", _json(samples.APPLIED), lambda data: taken_json(data, SettingsApplied).report,
        json_text, **NATIVE,
    ),
    Target(
        "decision", "decisions of devices", _json(samples.DECISION), lambda data: taken_json(data, Decision).why[:9],
        json_text, **NATIVE,
    ),
    Target(
        "dead", "refused messages", _json(samples.DEAD), lambda data: taken_json(data, Dead).error[:9], json_text,
        **NATIVE,
    ),
    Target("record", "the store's records, as the site reads them", _json(samples.RECORD), record, json_text),
    Target(
        "stored-journey", "the store's journeys, as the site reads them", _json(samples.STORED_JOURNEY),
        lambda data: taken_json(data, StoredJourney).device[:1], json_text, **NATIVE,
    ),
    Target(
        "answered", "answers over HTTP", _json(ANSWERED), lambda data: str(len(taken_json(data, Answered).predictions)),
        json_text, **NATIVE,
    ),
    Target("names", "frame ids, names, topics and traces' parents", written, names),
    Target("packet", "MQTT packets, as the network thread reads them", packets, packet),
)  # fmt: skip
