"""What travels is pinned to the byte, checked to the last field, and refused in bounded memory."""

from __future__ import annotations

import contextlib
import json
import math
import tracemalloc
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from headwater.errors import Malformed, TooLarge, UnknownVersion, WireError
from headwater.messages import (
    Activation,
    Frame,
    FrameId,
    Journeys,
    Position,
    Prediction,
    Record,
    Result,
    SettingsChange,
    Status,
    decode,
    decode_json,
    encode,
    encode_json,
)
from tests.headwater.samples import (
    ACTIVATION_FRAME,
    FINISHED_FRAME,
    JSON,
    RECORD,
    RESULT,
    SETTINGS,
    STATUS,
    STREAM,
)

LIMIT = 1_000_000
PINS = json.loads(Path(__file__).with_name("wire_version_1.json").read_text())
BAD_NAMES = [
    "",
    "a/b",
    "+",
    "#",
    "a+",
    "a#",
    "a:b",
    "a b",
    "-a",
    ".a",
    "_a",
    "cam\n",
    "cam1\n",
    "é",
    "a\0b",
    "٣",
    "a" * 65,
]
GOOD_NAMES = ["a", "0", "A.b_c-9", "a" * 64]


def raw(message: Any) -> dict[str, Any]:
    """Return a message as the dictionary that it is on the wire."""
    fields: dict[str, Any] = msgspec.msgpack.decode(encode(message))
    return fields


def as_frame(fields: dict[str, Any]) -> Frame:
    """Return what the decoder makes of these fields."""
    return decode(Frame, msgspec.msgpack.encode(fields), LIMIT)


@pytest.mark.parametrize("name", STREAM)
def test_stream_messages_keep_their_bytes(name: str) -> None:
    """Version 1 of the stream's messages is these bytes; they change only with the version."""
    assert encode(STREAM[name]).hex() == PINS[name]
    assert decode(type(STREAM[name]), bytes.fromhex(PINS[name]), LIMIT) == STREAM[name]


@pytest.mark.parametrize("name", JSON)
def test_json_messages_keep_their_text(name: str) -> None:
    """Version 1 of the JSON messages is this text."""
    assert encode_json(JSON[name]).decode() == PINS[name]
    assert decode_json(type(JSON[name]), PINS[name]) == JSON[name]
    assert decode_json(type(JSON[name]), PINS[name].encode()) == JSON[name]


@pytest.mark.parametrize("name", STREAM)
def test_every_truncated_stream_message_is_refused(name: str) -> None:
    """A message cut short anywhere is Malformed, nothing else."""
    whole = encode(STREAM[name])
    for length in range(len(whole)):
        with pytest.raises(Malformed):
            decode(type(STREAM[name]), whole[:length], LIMIT)
    with pytest.raises(Malformed):
        decode(type(STREAM[name]), whole + b"\x00", LIMIT)


@pytest.mark.parametrize("name", JSON)
def test_every_truncated_json_message_is_refused(name: str) -> None:
    """JSON cut short anywhere is Malformed, nothing else."""
    whole = encode_json(JSON[name])
    for length in range(len(whole)):
        with pytest.raises(Malformed):
            decode_json(type(JSON[name]), whole[:length])


@given(st.binary(max_size=300))
def test_arbitrary_bytes_raise_wire_errors_only(payload: bytes) -> None:
    """Whatever arrives, the decoders return a message or raise a WireError."""
    for kind in (Frame, Result, Journeys):
        assert_wire_errors_only(lambda kind=kind: decode(kind, payload, LIMIT))
    for message in JSON.values():
        assert_wire_errors_only(lambda message=message: decode_json(type(message), payload))


def assert_wire_errors_only(call: Any) -> None:
    """Call something that may raise a WireError, but nothing else."""
    with contextlib.suppress(WireError):
        call()


@given(st.sampled_from(sorted(STREAM)), st.data())
def test_mutated_stream_messages_raise_wire_errors_only(name: str, data: st.DataObject) -> None:
    """A valid message with some bytes changed, removed or put in decodes or is refused."""
    payload = mutated(encode(STREAM[name]), data)
    assert_wire_errors_only(lambda: decode(type(STREAM[name]), payload, LIMIT))


@given(st.sampled_from(sorted(JSON)), st.data())
def test_mutated_json_messages_raise_wire_errors_only(name: str, data: st.DataObject) -> None:
    """Valid JSON with some bytes changed, removed or put in decodes or is refused."""
    payload = mutated(encode_json(JSON[name]), data)
    assert_wire_errors_only(lambda: decode_json(type(JSON[name]), payload))


def mutated(whole: bytes, data: st.DataObject) -> bytes:
    """Return `whole` with up to four places overwritten."""
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(whole)))
        end = data.draw(st.integers(start, min(len(whole), start + 4)))
        whole = whole[:start] + data.draw(st.binary(max_size=9)) + whole[end:]
    return whole


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**64 - 1)
        | st.floats()
        | st.text(max_size=4)
        | st.binary(max_size=4),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
        max_leaves=4,
    ),
    st.sampled_from(sorted(raw(ACTIVATION_FRAME))),
)
def test_a_field_of_any_other_value_raises_wire_errors_only(value: Any, field: str) -> None:
    """Each field of a frame may hold anything; the decoder says yes or WireError."""
    assert_wire_errors_only(lambda: as_frame(raw(ACTIVATION_FRAME) | {field: value}))


@pytest.mark.parametrize(
    "announcement",
    [
        b"\xdd\xff\xff\xff\xff",  # a list of 4 G entries
        b"\xdf\xff\xff\xff\xff",  # a map of 4 G entries
        b"\xdb\xff\xff\xff\xff",  # a string of 4 GB
        b"\xc6\xff\xff\xff\xff",  # 4 GB of bytes
        b"\xc9\xff\xff\xff\xff\x01",  # an extension of 4 GB
    ],
)
@pytest.mark.parametrize("field", ["", *raw(FINISHED_FRAME), "predictions", "scores", "shape", "data", "entries"])
def test_announced_lengths_take_no_memory(field: str, announcement: bytes) -> None:
    """A message of 300 bytes that announces gigabytes is refused without taking them."""
    payload = announced(field, announcement)
    kind = Journeys if field == "entries" else Frame
    tracemalloc.start()
    with pytest.raises(WireError):
        decode(kind, payload, LIMIT)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 200_000


def announced(field: str, announcement: bytes) -> bytes:
    """Return a message whose `field` begins with `announcement` and ends there."""
    message = {"entries": STREAM["journeys"], "shape": ACTIVATION_FRAME, "data": ACTIVATION_FRAME}.get(
        field, FINISHED_FRAME
    )
    whole = encode(message)
    if not field:
        return announcement
    key = msgspec.msgpack.encode(field)
    return whole[: whole.index(key) + len(key)] + announcement


@pytest.mark.parametrize("depth", [100, 100_000])
def test_deep_nesting_is_refused(depth: int) -> None:
    """A message nested beyond all measure is Malformed, not a crash."""
    for payload in (b"\x91" * depth, b"\x81\xa1x" * depth, b"\x81\xa7version" + b"\x91" * depth):
        with pytest.raises(Malformed):
            decode(Frame, payload, LIMIT)
    for text in ("[" * depth, '{"x":' * depth, '{"version":' + "[" * depth):
        with pytest.raises(Malformed):
            decode_json(Status, text)


def test_too_long_messages_are_refused_unread() -> None:
    """One byte over the limit is TooLarge and says both numbers."""
    payload = encode(RESULT)
    assert decode(Result, payload, len(payload)) == RESULT
    with pytest.raises(TooLarge) as caught:
        decode(Result, payload, len(payload) - 1)
    assert (caught.value.got_bytes, caught.value.limit_bytes) == (len(payload), len(payload) - 1)
    with pytest.raises(TooLarge):
        decode_json(Status, b" " * 1_000_001)


@pytest.mark.parametrize("version", [0, 2, -1, 2**63])
def test_another_version_is_named(version: int) -> None:
    """A message of another version is UnknownVersion, also when its other fields are not known."""
    for fields in (raw(ACTIVATION_FRAME) | {"version": version}, {"version": version, "new": [1]}):
        with pytest.raises(UnknownVersion) as caught:
            as_frame(fields)
        assert (caught.value.got, caught.value.known) == (version, 1)
    with pytest.raises(UnknownVersion):
        decode_json(SettingsChange, json.dumps({"version": version, "cut": "x"}))


def test_unknown_fields_and_bodies_are_refused() -> None:
    """A field or body that this version does not know is Malformed, and named."""
    with pytest.raises(Malformed, match="extra"):
        as_frame(raw(ACTIVATION_FRAME) | {"extra": 1})
    with pytest.raises(Malformed, match="hologram"):
        as_frame(raw(ACTIVATION_FRAME) | {"body": {"type": "hologram"}})
    with pytest.raises(Malformed, match="type"):
        as_frame(raw(ACTIVATION_FRAME) | {"body": {}})


@pytest.mark.parametrize("field", [name for name in raw(ACTIVATION_FRAME) if name not in {"position", "name"}])
def test_missing_fields_are_named(field: str) -> None:
    """Every field without a default must be there."""
    fields = raw(ACTIVATION_FRAME)
    del fields[field]
    with pytest.raises(Malformed, match=field):
        as_frame(fields)


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_that_cannot_stand_in_a_topic_are_refused(name: str) -> None:
    """Devices, workers and fleets with wildcards, separators or newlines are refused wherever a name stands."""
    with pytest.raises(Malformed):
        as_frame(raw(ACTIVATION_FRAME) | {"id": {"device": name, "boot": "9f3c2a1b", "sequence": 1}})
    with pytest.raises(Malformed):
        decode(Result, msgspec.msgpack.encode(raw(RESULT) | {"worker": name}), LIMIT)
    with pytest.raises(Malformed):
        FrameId.parse(f"{name}-9f3c2a1b-1")
    for message, field in ((STATUS, "device"), (RECORD, "fleet"), (RECORD, "device"), (RECORD, "worker")):
        with pytest.raises(Malformed):
            decode_json(type(message), encode_json(replace(message, **{field: name})))


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_names_of_letters_digits_dots_dashes_and_underscores_pass(name: str) -> None:
    """A name of up to 64 such characters passes and survives the id's text form."""
    identity = FrameId(name, "0123abcd", 2**40 - 1)
    assert as_frame(raw(replace(ACTIVATION_FRAME, id=identity))).id == identity
    assert FrameId.parse(str(identity)) == identity


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", fullmatch=True), st.integers(0, 2**40 - 1))
@example("a-00000000-1", 0)
def test_frame_ids_survive_their_text_form(device: str, sequence: int) -> None:
    """Device names may hold dashes and look like ids themselves."""
    identity = FrameId(device, "00ff00ff", sequence)
    assert FrameId.parse(str(identity)) == identity


@given(st.text(max_size=40) | st.from_regex(r"[a-z+-]{0,4}-[0-9a-f]{7,9}-[+0-9٣_ ]{0,14}", fullmatch=True))
def test_only_the_one_text_form_of_a_frame_id_is_taken(text: str) -> None:
    """What parses is written the same again; everything else is Malformed."""
    try:
        identity = FrameId.parse(text)
    except Malformed:
        return
    assert str(identity) == text


@pytest.mark.parametrize(
    ("changes", "allowed"),
    [
        ({"captured_ns": 2**62}, True),
        ({"captured_ns": 2**62 + 1}, False),
        ({"captured_ns": -(2**62)}, True),
        ({"sent_ns": -(2**62) - 1}, False),
        ({"sent_ns": 1.0}, False),
        ({"sent_ns": True}, False),
        ({"id": {"device": "a", "boot": "9f3c2a1b", "sequence": 2**40 - 1}}, True),
        ({"id": {"device": "a", "boot": "9f3c2a1b", "sequence": 2**40}}, False),
        ({"id": {"device": "a", "boot": "9f3c2a1b", "sequence": -1}}, False),
        ({"id": {"device": "a", "boot": "9F3C2A1B", "sequence": 1}}, False),
        ({"id": {"device": "a", "boot": "9f3c2a1b\n", "sequence": 1}}, False),
        ({"digest": "ab" * 32 + "\n"}, False),
        ({"digest": "ab" * 31}, False),
        ({"stages_ns": {"head": 0}}, True),
        ({"stages_ns": {"head": -1}}, False),
        ({"stages_ns": {"lunch": 1}}, False),
        ({"split": "s" * 256}, True),
        ({"split": "s" * 257}, False),
        ({"position": {"latitude": 90.1, "longitude": 0.0, "source": "gpx"}}, False),
        ({"position": {"latitude": 0.0, "longitude": -180.1, "source": "gpx"}}, False),
        ({"position": {"latitude": 0.0, "longitude": 0.0, "source": "gpx", "accuracy_m": -1.0}}, False),
        ({"position": {"latitude": 90, "longitude": 180, "source": "gpx"}}, True),
    ],
)
def test_numbers_and_texts_keep_their_bounds(changes: dict[str, Any], allowed: bool) -> None:
    """The last value inside each bound passes, the first outside is Malformed."""
    fields = raw(ACTIVATION_FRAME) | changes
    if allowed:
        assert raw(as_frame(fields)).keys() == fields.keys()
    else:
        with pytest.raises(Malformed):
            as_frame(fields)


@pytest.mark.parametrize("shape", [(), (0,), (1, 0), (-1,), (65537,), (1,) * 9, (2**63,), (1.0,)])
def test_absurd_shapes_are_refused(shape: tuple[Any, ...]) -> None:
    """A shape has 1 to 8 sides of 1 to 65536."""
    fields = raw(ACTIVATION_FRAME)
    fields["body"]["tensor"]["shape"] = shape
    with pytest.raises(Malformed):
        as_frame(fields)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_are_refused_wherever_a_reader_would_trip(bad: float) -> None:
    """Positions, predictions, scales and figures of the link are finite numbers."""
    for place in (Position(bad, 0.0, "x"), Position(0.0, bad, "x"), Position(0.0, 0.0, "x", bad)):
        with pytest.raises(Malformed):
            as_frame(raw(replace(ACTIVATION_FRAME, position=place)))
    for prediction in (Prediction("t", value=bad), Prediction("t", confidence=bad), Prediction("t", scores=[0.0, bad])):
        body = replace(FINISHED_FRAME.body, predictions=[prediction])
        with pytest.raises(Malformed):
            as_frame(raw(replace(FINISHED_FRAME, body=body)))
        with pytest.raises(Malformed):
            decode(Result, encode(replace(RESULT, predictions=[prediction])), LIMIT)
    assert isinstance(ACTIVATION_FRAME.body, Activation)
    tensor = replace(ACTIVATION_FRAME.body.tensor, scale=bad)
    with pytest.raises(Malformed):
        as_frame(raw(replace(ACTIVATION_FRAME, body=Activation(tensor))))
    for text in ("NaN", "Infinity", "1e999", "null"):
        with pytest.raises(Malformed):
            decode_json(Status, encode_json(STATUS).replace(b"4.5", text.encode()))


def test_settings_leave_out_what_stays_as_it_is() -> None:
    """Only what is to change is on the wire, and an unknown report is refused."""
    assert encode_json(SETTINGS) == b'{"version":1,"split":"block_5_add"}'
    with pytest.raises(Malformed):
        decode_json(SettingsChange, '{"version":1,"report":"some"}')


def test_messages_share_the_memory_they_came_in() -> None:
    """The activation is a view of the payload, not a copy."""
    payload = encode(
        replace(
            ACTIVATION_FRAME, body=Activation(replace(ACTIVATION_FRAME.body.tensor, data=memoryview(bytes(500_000))))
        )
    )
    tracemalloc.start()
    frame = decode(Frame, payload, LIMIT)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(frame.body, Activation)
    assert frame.body.tensor.data.obj is payload
    assert peak_bytes < 100_000


def test_a_record_names_who_finished_it() -> None:
    """A record is finished by the device or a worker, nothing else."""
    with pytest.raises(Malformed):
        decode_json(Record, encode_json(RECORD).replace(b'"finished_by":"worker"', b'"finished_by":"ghost"'))
