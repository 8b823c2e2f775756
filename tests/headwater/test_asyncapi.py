"""docs/asyncapi.yaml says what the code does: topics, fields, bounds, examples, figures in the text."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
import yaml

from headwater import messages
from headwater.clock import DRIFT_PPM, STAGES, ClockOffset
from headwater.codec import LARGEST_SCALE, SMALLEST_SCALE, decode_tensor
from headwater.fields import Name
from headwater.session import PACKET_OVERHEAD_BYTES
from headwater.topics import CONTENT_TYPES, Topics
from tests.headwater.asyncapi_schemas import FILE, schemas, written
from tests.headwater.samples import JSON, STREAM

DOCUMENT: dict[str, Any] = yaml.safe_load(FILE.read_text())
PROSE = " ".join(DOCUMENT["info"]["description"].split())
TOPICS = Topics("demo")
OPERATIONS = DOCUMENT["operations"]
CHANNELS = DOCUMENT["channels"]


def filled(address: str) -> str:
    """Return an address of the fleet demo and the device cam1."""
    return address.format(fleet="demo", device="cam1")


def resolved(reference: str) -> Any:
    """Return what a local reference points to."""
    found: Any = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


def references(part: Any) -> Iterator[str]:
    """All references below a part of the document."""
    if isinstance(part, dict):
        yield from (value for key, value in part.items() if key == "$ref")
        for value in part.values():
            yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


def test_the_schemas_are_those_of_the_structs() -> None:
    """Fields, types, required, enums, patterns, bounds, descriptions and examples are written from the code."""
    assert FILE.read_text() == written(), "run: python -m tests.headwater.asyncapi_schemas"


def test_every_message_has_a_schema() -> None:
    """Each struct that is encoded or decoded is described."""
    assert {type(sample).__name__ for sample in (*STREAM.values(), *JSON.values())} <= set(schemas())
    kinds = {kind.__name__ for kind in (*messages._unpack, *messages._unjson)} - {"_Versioned"}
    kinds -= {"Offload", "Answered", "Refused"}  # over HTTP: /openapi.json describes them
    assert kinds <= set(DOCUMENT["components"]["schemas"])


def test_channels_are_the_topics_of_the_code() -> None:
    """Every kind of topic is a channel with the code's address, and there is no other."""
    addresses = {filled(channel["address"]) for channel in CHANNELS.values()}
    device_kinds = [kind for kind in CONTENT_TYPES if kind != "dead"]
    assert addresses == {TOPICS.of_device("cam1", kind) for kind in device_kinds} | {TOPICS.dead}
    for channel in CHANNELS.values():
        assert set(channel["parameters"]) == set(re.findall(r"{(\w+)}", channel["address"]))


def test_subscriptions_are_those_of_the_code() -> None:
    """Workers share frames and journeys; operators hear every status, decision, result and journey."""
    found = {name: filled(op["x-subscription"]) for name, op in OPERATIONS.items() if "x-subscription" in op}
    assert found == {
        "workerReceivesFrame": TOPICS.shared("frame"),
        "workerReceivesJourneys": TOPICS.shared("journey"),
        "operatorReceivesStatus": TOPICS.every("status"),
        "operatorReceivesDecision": TOPICS.every("decision"),
        "operatorReceivesResults": TOPICS.every("result"),
        "operatorReceivesJourneys": TOPICS.every("journey"),
    }


def test_content_types_are_those_of_the_code() -> None:
    """Each channel's message has the content type that CONTENT_TYPES names."""
    for channel in CHANNELS.values():
        kind = channel["address"].removeprefix("headwater/v1/{fleet}/").removeprefix("{device}/")
        (message,) = (resolved(entry["$ref"]) for entry in channel["messages"].values())
        assert message["contentType"] == CONTENT_TYPES[kind], kind
        assert (
            message.get("bindings", {}).get("mqtt", {}).get("contentType", CONTENT_TYPES[kind]) == CONTENT_TYPES[kind]
        )


def test_every_reference_leads_somewhere_and_all_is_used() -> None:
    """No dangling reference; each channel has a sender, each message a channel."""
    found = set(references(DOCUMENT))
    for reference in found:
        resolved(reference)
    for kind in ("parameters", "messages", "correlationIds"):
        assert {f"#/components/{kind}/{name}" for name in DOCUMENT["components"][kind]} <= found
    sent = {op["channel"]["$ref"] for op in OPERATIONS.values() if op["action"] == "send"}
    assert sent == {f"#/channels/{name}" for name in CHANNELS}


def test_delivery_is_as_promised() -> None:
    """QoS 1 for all that counts, QoS 0 for journeys; status, decision, settings and their answer are kept."""
    sends = {
        op["channel"]["$ref"].rpartition("/")[2]: op["bindings"]["mqtt"]
        for op in OPERATIONS.values()
        if op["action"] == "send"
    }
    assert {name for name, mqtt in sends.items() if mqtt["qos"] == 0} == {"journey"}
    assert {name for name, mqtt in sends.items() if mqtt["retain"]} == {
        "status", "decision", "settings", "settingsApplied",
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["Frame", "Result", "Journeys"])
def test_packed_examples_decode(kind: str) -> None:
    """The hexadecimal examples are MessagePack that the code reads, and mean what stands beside them."""
    schema = DOCUMENT["components"]["schemas"][kind]
    struct = getattr(messages, kind)
    assert schema["x-examples-msgpack-hex"]
    for packed, shown in zip(schema["x-examples-msgpack-hex"], schema["examples"], strict=True):
        assert messages.decode(struct, bytes.fromhex(packed), 10_000) == msgspec.convert(shown, struct)


@pytest.mark.parametrize(
    "kind", ["Status", "Decision", "SettingsChange", "SettingsApplied", "Dead", "Record", "StoredJourney"]
)
def test_json_examples_decode(kind: str) -> None:
    """The examples of JSON messages are what the code reads."""
    for shown in DOCUMENT["components"]["schemas"][kind]["examples"]:
        struct = getattr(messages, kind)
        assert messages.decode_json(struct, msgspec.json.encode(shown)) == msgspec.convert(shown, struct)


def test_the_formula_of_uint8_is_the_code_s() -> None:
    """The tensor in the example, read by the formula of the text, is what the codec reads."""
    tensor = DOCUMENT["components"]["schemas"]["Frame"]["examples"][0]["body"]["tensor"]
    by_formula = [(byte - tensor["zero_point"]) * tensor["scale"] for byte in base64.b64decode(tensor["data"])]
    decoded = decode_tensor(msgspec.convert(tensor, messages.Tensor), 1000)
    assert decoded.shape == tuple(tensor["shape"])
    np.testing.assert_array_equal(decoded.reshape(-1), by_formula)


def test_figures_in_the_text_are_the_code_s() -> None:
    """Stage names, drift, number of round trips, scales, name pattern and overhead stand in the text as in the code."""
    assert ", ".join(STAGES) in PROSE
    assert f"{DRIFT_PPM:.0f}e-6 · (now − sent_ns)" in PROSE
    assert f"last {ClockOffset()._trips.maxlen} round trips" in PROSE
    assert f"at least {SMALLEST_SCALE:.2g}, at most {LARGEST_SCALE:.2g}" in PROSE
    assert f"leave {PACKET_OVERHEAD_BYTES} bytes" in PROSE
    pattern = Name.__metadata__[0].pattern.replace(r"\Z", "$")
    for parameter in DOCUMENT["components"]["parameters"].values():
        assert parameter["description"].endswith(pattern)
