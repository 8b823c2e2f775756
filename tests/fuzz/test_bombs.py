"""Inputs that were thought out, at the sizes that are really let in: each is refused soon, and takes little memory."""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
import zstandard
from PIL import Image

from cloud_worker.http_settings import HttpSettings
from cloud_worker.settings import WorkerSettings
from edge.location.gpx import MAX_FILE_BYTES as MOST_TRACK_BYTES
from edge.sources.files import MAX_FILE_BYTES as MOST_PICTURE_BYTES
from headwater.errors import LocationError, SettingsError, WireError
from headwater.messages import encode
from models.bundle import MAX_MODEL_BYTES
from models.errors import ModelError, ModelFileError
from models.flatbuffer import decode as decode_tables
from models.flatbuffer import encode as encode_tables
from models.jpeg import scans
from models.manifest import MAX_MANIFEST_BYTES
from models.pictures import DataError
from models.toml_table import BundleError
from planning.errors import PlanError
from planning.prices import MAX_BOOK_BYTES
from tests.fuzz.judge import judged
from tests.fuzz.target import Target
from tests.fuzz.targets import named
from tests.fuzz.wire import LIMIT_BYTES
from tests.headwater.samples import ACTIVATION_FRAME
from tests.models import tflite_files

Fields = dict[str, Any]


def framed(**changes: Any) -> bytes:
    """Return an activation's frame with other fields in its tensor."""
    fields: Fields = msgspec.msgpack.decode(encode(ACTIVATION_FRAME))
    fields["body"]["tensor"] |= changes
    return msgspec.msgpack.encode(fields)


def zeros(announced: int, real: int) -> bytes:
    """Return a zstd frame whose header announces another size than it has."""
    packed = bytearray(zstandard.ZstdCompressor(level=1, write_content_size=True).compress(bytes(real)))
    place = packed.index(real.to_bytes(4, "little"))
    packed[place : place + 4] = announced.to_bytes(4, "little")
    return bytes(packed)


def manifest(more: str) -> bytes:
    """Return a manifest with some lines before it."""
    return more.encode()[:MAX_MANIFEST_BYTES]


def chunk(name: bytes, content: bytes) -> bytes:
    """Return one chunk of a PNG."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(*chunks: bytes, side: int = 4) -> bytes:
    """Return a PNG with chunks between its header and its picture."""
    pixels = zlib.compress(bytes((1 + 3 * 4) * 4))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def many_texts() -> bytes:
    """Return a PNG of 65 KB with sixty texts of a megabyte each."""
    text = zlib.compress(bytes(2**20 - 9))
    return png(*[chunk(b"zTXt", b"a%d\0\0" % number + text) for number in range(60)])


def many_cut_points() -> bytes:
    """Return a manifest that names 30,000 different cut points."""
    names = ",".join(f'"{number:x}"' for number in range(30_000))
    return named("manifest").samples()[0].replace(b'["add"]', f"[{names}]".encode())


def saved(image: Image.Image, kind: str) -> bytes:
    """Return a picture as a file."""
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


def with_tables(change: Callable[[Fields], None], make: Callable[[], bytes] = tflite_files.residual) -> bytes:
    """Return a small model with other tables."""
    tables = decode_tables(make(), "x")
    change(tables)
    return encode_tables(tables, "x")


def giant(tables: Fields) -> None:
    """Give a tensor 2^62 elements."""
    tables["subgraphs"][0]["tensors"][0]["shape"] = (2**31 - 1, 2**31 - 1, 1, 1)


def cycle(tables: Fields) -> None:
    """Let the first operator read what the last one writes."""
    operators = tables["subgraphs"][0]["operators"]
    operators[0]["inputs"] = (operators[-1]["outputs"][0], *operators[0]["inputs"][1:])


def crowded(tables: Fields) -> None:
    """Give the graph as many operators as may be, each of which is needed until the end."""
    graph, count = tables["subgraphs"][0], 4_000
    first, tensors = graph["inputs"][0], list(graph["tensors"])
    whole = len(tensors)
    tensors += [{**tensors[first], "name": f"t{n}"} for n in range(count)]
    adds = [{"opcode_index": 2, "inputs": (first, first), "outputs": (whole + n,)} for n in range(count)]
    last = {"opcode_index": 2, "inputs": tuple(range(whole, whole + count)), "outputs": graph["outputs"]}
    graph |= {"tensors": tuple(tensors), "operators": (*adds, last)}


def shared_shape(tables: Fields) -> None:
    """Let thousands of operators take their shape from one constant of a million numbers."""
    graph, count = tables["subgraphs"][0], 3_000
    first, tensors = graph["inputs"][0], list(graph["tensors"])
    tables["buffers"] = (*tables["buffers"], {"data": memoryview(bytes(4_000_000))})
    pads = {"shape": (1_000_000,), "type": 2, "buffer": len(tables["buffers"]) - 1, "name": "pads"}
    tables["operator_codes"] = (*tables["operator_codes"], {"deprecated_builtin_code": 34, "builtin_code": 34})
    code, whole = len(tables["operator_codes"]) - 1, len(tensors) + 1
    tensors += [pads, *({**tensors[first], "name": f"t{n}"} for n in range(count))]
    made = [{"opcode_index": code, "inputs": (first, whole - 1), "outputs": (whole + n,)} for n in range(count)]
    graph |= {"tensors": tuple(tensors), "operators": tuple(made), "outputs": (whole,)}


def pointing_to_itself() -> bytes:
    """Return a file whose root table is its own list of fields, and each offset leads back to it."""
    return struct.pack("<I4s", 8, b"TFL3") + struct.pack("<i", 0) * 200


def multiplied() -> bytes:
    """Return a file of 120 KB in which one table is pointed to 30,000 times."""
    count = 30_000
    head = struct.pack("<I4s", 20, b"TFL3") + struct.pack("<HHHHHH", 12, 8, 0, 4, 0, 0)  # operator_codes alone
    root = struct.pack("<iI", 12, 4) + struct.pack("<I", count)
    begin = len(head) + len(root)
    end = begin + 4 * count
    places = b"".join(struct.pack("<I", end + 4 - (begin + 4 * number)) for number in range(count))
    return head + root + places + struct.pack("<HHi", 4, 4, 4)  # an empty table behind its list of fields


LET_IN_BYTES = {
    "frame": LIMIT_BYTES, "status": LIMIT_BYTES, "names": LIMIT_BYTES, "worker": WorkerSettings.max_frame_bytes,
    "http": HttpSettings.max_body_bytes, "manifest": MAX_MANIFEST_BYTES, "prices": MAX_BOOK_BYTES,
    "settings-file": math.inf, "picture": MOST_PICTURE_BYTES, "exif": MOST_PICTURE_BYTES, "gpx": MOST_TRACK_BYTES,
    "gpsd": math.inf, "tflite": MAX_MODEL_BYTES,
}  # fmt: skip
"""Beyond it the size alone is refused, which would prove nothing. Settings files are their operator's own, what gpsd
says has no end, and names come in messages."""
NESTED = b"\x91" * 100_000
BOMBS: dict[str, tuple[str, Callable[[], bytes], type[Exception] | None]] = {
    "zstd that announces little and holds a gigabyte": (
        "frame", lambda: framed(compression="zstd", data=zeros(4, 200_000_000)), WireError,
    ),
    "zstd that announces a gigabyte": (
        "frame", lambda: framed(compression="zstd", data=zeros(2**30, 65_793)), WireError,
    ),
    "zstd of the largest shape": (
        "frame",
        lambda: framed(compression="zstd", shape=[65536] * 8, data=zeros(2**31, 65_793)),
        WireError,
    ),
    "a shape of 2^128 elements": ("frame", lambda: framed(shape=[65536] * 8), WireError),
    "a side of 2^62": ("frame", lambda: framed(shape=[2**62]), WireError),
    "a list of four billion": ("frame", lambda: framed()[:-60] + b"\xdd\xff\xff\xff\xff", WireError),
    "deep MessagePack": ("frame", lambda: NESTED, WireError),
    "deep MessagePack in a field": ("frame", lambda: b"\x81\xa7version" + NESTED, WireError),
    "deep JSON": ("status", lambda: b"[" * 900_000, WireError),
    "a version of 900,000 digits": ("status", lambda: b'{"version":' + b"9" * 900_000 + b"}", WireError),
    "half a character": ("status", lambda: b'{"version":1,"device":"\xed\xa0\x80"}', WireError),
    "an id of dashes": ("names", lambda: b"-" * 1_000_000, None),
    "a key of 130,000 parts": ("manifest", lambda: manifest("a." * 130_000 + "a = 1"), BundleError),
    "a key of as many in quotes": ("manifest", lambda: manifest("x = {" + '"a".' * 60_000 + '"a" = 1}'), BundleError),
    "a header of 100,000 parts": ("manifest", lambda: manifest("[" + "a." * 100_000 + "a]"), BundleError),
    "lists in lists": ("manifest", lambda: manifest("a = " + "[" * 200_000), BundleError),
    "tables in tables": (
        "manifest", lambda: manifest("format = " + f"{{{'a.' * 30}a = " * 150 + "1" + "}" * 150), BundleError,
    ),
    "a key of 30 parts in a list of such": (
        "manifest", lambda: manifest(f"format = [{{{'a.' * 30}a = 1}}]"), BundleError,
    ),
    "a number of 5,000 hexadecimal digits": ("manifest", lambda: manifest("format = 0x" + "f" * 5_000), BundleError),
    "a number of 200,000 digits": ("manifest", lambda: manifest("format = " + "9" * 200_000), BundleError),
    "30,000 cut points": ("manifest", many_cut_points, None),
    "settings of as many parts": ("settings-file", lambda: b"a." * 200_000 + b"a = 1", SettingsError),
    "settings of lists in lists": ("settings-file", lambda: b"a = " + b"[" * 200_000, SettingsError),
    "settings of 200,000 digits": ("settings-file", lambda: b"a = " + b"9" * 200_000, SettingsError),
    "a piece of a message smaller than a byte": (
        "prices",
        lambda: b'format = 1\ncurrency = "EUR"\ndate = "2023"\nsource = "x"\n'
        b"[messages.x]\nper_message = 1.0\nmetered_bytes = 1e-320",
        PlanError,
    ),
    "a picture of 400 million pixels": ("picture", lambda: saved(Image.new("1", (20_000, 20_000)), "PNG"), DataError),
    "a picture that says it is as large": ("picture", lambda: png(side=60_000), DataError),
    "fill in a JPEG": ("picture", lambda: b"\xff\xd8\xff" + b"\xff" * 5_000_000 + b"\0", DataError),
    "a million empty chunks": ("picture", lambda: png(*[chunk(b"prVt", b"")] * 800_000), DataError),
    "sixty texts of a megabyte each": ("picture", many_texts, None),
    "empty segments of a track": ("gpx", lambda: b"<gpx>" + b"<trkseg/>" * 200_000 + b"</gpx>", LocationError),
    "a billion laughs": (
        "gpx",
        lambda: b'<!DOCTYPE a [<!ENTITY a "ha">' + b'<!ENTITY b "&a;&a;&a;&a;&a;&a;">' * 9 + b"]><gpx>&b;</gpx>",
        LocationError,
    ),
    "a tag in a tag, 200,000 times": ("gpx", lambda: b"<a>" * 200_000, LocationError),
    "a number behind a million spaces": (
        "gpx", lambda: b'<gpx><trkpt lat="' + b" " * 1_000_000 + b'x" lon="1"/></gpx>', LocationError,
    ),
    "a line that never ends": ("gpsd", lambda: b"x" * 5_000_000, None),
    "deep JSON from gpsd": ("gpsd", lambda: b"[" * 60_000 + b"\n", None),
    "a directory that is its own": (
        "exif", lambda: b"II*\0\x08\0\0\0" + b"\xff\xff" + b"\x69\x87\4\0\1\0\0\0\x08\0\0\0" * 5_000, None,
    ),
    "a tensor of 2^62 elements": ("tflite", lambda: with_tables(giant), ModelFileError),
    "operators in a ring": ("tflite", lambda: with_tables(cycle), ModelFileError),
    "4,000 operators that all are needed until the end": ("tflite", lambda: with_tables(crowded), None),
    "one shape of a million sizes for 3,000 operators": ("tflite", lambda: with_tables(shared_shape), ModelFileError),
    "offsets that lead to themselves": ("tflite", pointing_to_itself, ModelError),
    "one table 30,000 times": ("tflite", multiplied, ModelError),
    "a frame of nothing but nesting, to a worker": ("worker", lambda: NESTED[:90_000], None),
    "fill of a JPEG over HTTP": ("http", lambda: b"\2\xff\xd8\xff" + b"\xff" * 90_000 + b"\0", None),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_in_bounded_time_and_memory(name: str) -> None:
    """Each is of a size that is let in, breaks no rule, and where it has to be refused, the error is its kind's."""
    target, make, error = BOMBS[name]
    data = make()
    assert len(data) <= LET_IN_BYTES[target]
    judged(named(target), named(target).samples()[0])  # loads what is loaded late
    verdict = judged(named(target), data, weigh=True)
    assert verdict.finding == ""
    if error is not None:
        with pytest.raises(error):
            named(target).run(data)


def test_markers_are_found_where_they_were() -> None:
    """Matching without going back finds the same scans as before, with fill and stuffed bytes between them."""
    header, scan = b"\xff\xd8\xff\xc2\0\x0b\x08\0\1\0\1\3\1\x11\0", b"\xff\xda\0\x08\1\1\0\0\x3f\0"
    body = b"ab\xff\0\xff\xff\0c\xff\xd0\xff\xd7d"
    for fill in (b"", b"\xff", b"\xff" * 9):
        data = header + (fill + scan + body) * 4 + fill + b"\xff\xd9" + scan
        assert scans(data) == 4
        assert scans(memoryview(data)) == 4  # type: ignore[arg-type]
        assert scans(data[:-12]) == 4
    assert scans(header + scan + body + b"\xff") == 2


def test_a_number_that_is_not_finite_is_refused_over_http_too() -> None:
    """The scale of a tensor is checked wherever the tensor comes from."""
    fields: Fields = msgspec.msgpack.decode(named("tensor").samples()[0])
    fields["tensor"]["scale"] = float("nan")
    assert judged(named("tensor"), msgspec.msgpack.encode(fields)).said.startswith(
        "Malformed: activation: got scale nan"
    )


def test_a_picture_of_another_format_than_announced_is_refused() -> None:
    """A device says jpeg or png; what is something else is not opened: WebP would take memory first."""
    image = Image.fromarray(np.zeros((8, 8, 3), np.uint8))
    fields: Fields = msgspec.msgpack.decode(next(data for data in named("worker").samples() if b"IHDR" in data))
    for kind, announced in (("WEBP", "png"), ("GIF", "jpeg"), ("PNG", "jpeg"), ("JPEG", "png")):
        fields["body"] |= {"data": saved(image, kind), "format": announced}
        assert judged(named("worker"), msgspec.msgpack.encode(fields)).said == "taken: refused_DataError"
    fields["body"] |= {"data": saved(image, "PNG"), "format": "png"}
    assert judged(named("worker"), msgspec.msgpack.encode(fields)).said == "taken: image"


def test_a_text_that_paho_refuses_is_read() -> None:
    """U+FEFF is allowed in MQTT: a packet with it is a message, not the end of the connection."""
    packet = named("packet").samples()[1]
    assert "\ufeff".encode() in packet
    assert judged(named("packet"), packet).said == "taken: MQTT_ERR_SUCCESS 1"
    assert judged(named("packet"), packet[:9]).said.startswith("taken: MQTT_ERR_PROTOCOL")


def test_frames_of_the_far_future_and_past_are_taken() -> None:
    """Their times are bounded so that they can be shown: 1823 to 2116."""
    fields: Fields = msgspec.msgpack.decode(encode(ACTIVATION_FRAME))
    for moment_ns in (2**62, -(2**62)):
        assert judged(named("frame"), msgspec.msgpack.encode(fields | {"captured_ns": moment_ns})).said.startswith(
            "taken"
        )


def test_a_target_s_bounds_grow_with_the_input() -> None:
    """Time and memory are allowed in proportion."""
    target = Target("x", "x", lambda: [b""], lambda _: "")
    assert target.memory_bytes(1000) == 1_064_000
    assert target.cpu_s(1_000_000) == pytest.approx(6.0)
