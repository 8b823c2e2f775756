"""What lies in files and comes from strangers: models, manifests, pictures, tracks, settings; and what gpsd says."""

from __future__ import annotations

import io
import json
import warnings
from datetime import UTC
from pathlib import Path
from typing import Any, cast

import numpy as np
from PIL import Image

from edge.location.exif import read_exif
from edge.location.gpsd import lines, read_report
from edge.location.gpx import parse_gpx
from edge.location.track import Replay, timed
from headwater.settings import check_keys, read_file
from models.bundle import SHIPPED
from models.engine import Engine
from models.graph import Graph
from models.manifest import parse_manifest
from models.pictures import decode_with_exif
from planning.prices import BOOKS, parse_book
from tests.cloud_worker.fleet import MANIFEST
from tests.fuzz import trees
from tests.fuzz.target import Target
from tests.models import tflite_files

KNOWN: dict[str, Any] = {"worker": {"batch": None, "store": None}, "edge": {"split": None}, "log-level": None}
GPX = b"""<?xml version="1.0"?><gpx version="1.1" xmlns="http://www.topografix.com/GPX/1/1"><trk><name>a</name><trkseg>
<trkpt lat="43.46" lon="11.88"><ele>3</ele><time>2024-04-26T14:53:30Z</time></trkpt>
<trkpt lat="43.47" lon="11.89"><time>2024-04-26T14:53:31+02:00</time></trkpt></trkseg></trk>
<rte><rtept lat="1" lon="-2e0"/></rte></gpx>"""
TPV = {"class": "TPV", "mode": 3, "lat": 48.1, "lon": 11.5, "eph": 7.5, "epx": 4.0, "epy": 5, "time": "2024"}
SETTINGS = b'log-level = "info"\n[worker]\nbatch = 8\nstore = "redis://127.0.0.1"\n[edge]\nsplit = "auto"\n'


def tflite(data: bytes) -> str:
    """Read a model, cut it, and read the parts again."""
    graph = Graph.read(data)
    points = graph.cut_points()
    for point in points[:2]:
        for part in (graph.extract(None, [point.index]), graph.extract([point.index], None)):
            assert Graph.read(part).outputs
    return f"{min(3, len(points))} cut points"


def litert(data: bytes) -> str:
    """Run a model and its parts; what passes our checks must not end the process."""
    engine = Engine(data, xnnpack=len(data) % 2 == 0)
    engine.whole()
    points = engine.graph.cut_points()
    for point in points[:: max(1, len(points) // 2)]:
        engine.head(point.name)
        engine.tail(point.name)
    return f"{min(3, len(points))} cut points"


def models() -> list[bytes]:
    """Return small models of every kind of operator that the tests know."""
    more = (tflite_files.open_size, tflite_files.custom, tflite_files.two_signatures, tflite_files.stateful)
    return [make() for make in (*tflite_files.RUNNABLE.values(), tflite_files.control_flow, *more)]


def runnable() -> list[bytes]:
    """Return small models that LiteRT runs."""
    return [make() for make in tflite_files.RUNNABLE.values()]


def _text(data: bytes) -> str | None:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def manifest(data: bytes) -> str:
    """Read a bundle.toml."""
    text = _text(data)
    return "no text" if text is None else f"{len(parse_manifest(text).tasks)} tasks"


def manifests() -> list[bytes]:
    """Return the manifests that ship, and a small one."""
    own = MANIFEST.format(name="tiny", digest="ab" * 32, cuts='["add"]').encode()
    return [own, *(path.read_bytes()[:12_000] for path in sorted(SHIPPED.glob("*/bundle.toml")))]


def prices(data: bytes) -> str:
    """Read a price book, and work bills out with it."""
    text = _text(data)
    if text is None:
        return "no text"
    book = parse_book(text, "book", "book.toml")
    for name in book.servers:
        book.server_bill(name)
    for name in book.functions:
        book.function_bill(name, 0.5)
    for name in book.devices:
        book.device_month(name)
    for entry in book.messages.values():
        entry.message(1e6)
    return book.currency


class _File:
    """A settings file of paper."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read_text(self, encoding: str) -> str:
        return self._data.decode(encoding)

    def __str__(self) -> str:
        return "headwater.toml"


def settings_file(data: bytes) -> str:
    """Read a settings file."""
    path = cast(Path, _File(data))
    table = read_file(path)
    check_keys(path, table, KNOWN)
    return f"{len(table)} keys"


def picture(data: bytes) -> str:
    """Decode a picture, whole or reduced, and read its EXIF."""
    whole = len(data) % 2 == 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of what it passes over
        bounds = {} if whole else {"at_least": (8, 8), "max_decoded": 100_000}
        pixels, exif = decode_with_exif(data, max_pixels=250_000, **bounds)  # type: ignore[arg-type]
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    read_exif(exif, UTC)
    return f"{whole} {bool(exif)}"


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Return a picture as the file of a format."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def exif_block() -> bytes:
    """Return an EXIF block with a place and times."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 8.0, 13.25), 3: "E", 4: (11.0, 34.0, 30.0), 7: (14.0, 27.0, 7.25)})
    exif.get_ifd(0x8825).update({29: "2008:10:23", 31: 4.5})
    exif.get_ifd(0x8769).update({0x9003: "2008:10:22 16:28:39", 0x9011: "+02:00"})
    return exif.tobytes()


def pictures() -> list[bytes]:
    """Return a small picture in every format that is read, and in the ways in which formats differ inside."""
    image = Image.linear_gradient("L").resize((24, 16)).convert("RGB")
    jpegs = ({}, {"progressive": True}, {"exif": exif_block()}, {"restart_marker_rows": 1})
    found = [saved(image, "JPEG", **options) for options in jpegs]
    found.append(saved(image.convert("CMYK"), "JPEG"))
    found += [saved(image, "PNG", exif=exif_block()), saved(image.convert("P"), "PNG", transparency=3)]
    found.append(saved(Image.fromarray(np.arange(384, dtype=np.uint16).reshape(16, 24) * 170), "PNG"))
    found += [saved(image, kind) for kind in ("WEBP", "GIF", "BMP", "PPM")]
    return found


def exif(data: bytes) -> str:
    """Read an EXIF block."""
    found = read_exif(data, UTC)
    return f"{found.position is not None} {found.taken_ns is not None}"


def gpx(data: bytes) -> str:
    """Read a track, and walk along it."""
    segments = parse_gpx(data)
    walk = Replay(timed(segments), "gpx", loop=True)
    for moment_s in (0.0, 1.0, 1e9):
        assert walk.at(moment_s) is not None
    return f"{min(3, sum(map(len, segments)))} points"


class _Line:
    """A connection of paper."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def recv(self, size: int) -> bytes:
        chunk, self._data = self._data[:size], self._data[size:]
        return chunk


def gpsd(data: bytes) -> str:
    """Read what comes over a connection to gpsd."""
    try:
        found = {type(read_report(line)).__name__ for line in lines(cast(Any, _Line(data)))}
    except OSError:
        return "endless"
    return ",".join(sorted(found))


def reports() -> list[bytes]:
    """Return what gpsd says."""
    return [json.dumps(TPV).encode() + b"\n", b'{"class":"SKY"}\n' + json.dumps({**TPV, "mode": 1}).encode() + b"\n"]


TARGETS = (
    Target(
        "tflite", ".tflite files, read and cut", models, tflite, trees.tflite, most_bytes=32_768, memory_factor=600,
        memory_base=8_000_000, examples=150,
    ),
    Target(
        "litert", ".tflite files that pass the checks, run by LiteRT", runnable, litert, trees.tflite,
        most_bytes=32_768, memory_factor=600, memory_base=600_000_000, alone=True,
    ),
    Target(
        "manifest", "manifests of bundles", manifests, manifest, most_bytes=16_384, memory_factor=800,
        tokens=(b"[[exits]]\n", b"[[tasks]]\n", b"a.b.c = 1\n", b"0x" + b"f" * 5000, b'"""', b"'''", b"[["),
    ),
    Target(
        "settings-file", "settings files", lambda: [SETTINGS], settings_file, memory_factor=800,
        tokens=(b"worker.batch = ", b"[worker.", b"{a.b = 1}", b"0x" + b"f" * 5000, b"[[[[", b'"""'),
    ),
    Target(
        "prices", "price books", lambda: [path.read_bytes() for path in sorted(BOOKS.glob("*.toml"))], prices,
        memory_factor=800, tokens=(b"1e-320", b"[messages.x]\n", b"metered_bytes = "),
    ),
    Target(
        "picture", "pictures: JPEG, PNG, WebP, GIF, BMP, PPM", pictures, picture, memory_base=100_000_000,
        tokens=(b"\xff\xd8", b"\xff\xda", b"\xff\xc2", b"\xff\xe1", b"\xff\xe2", b"IDAT", b"tRNS", b"eXIf", b"P3"),
    ),
    Target("exif", "EXIF blocks", lambda: [exif_block()], exif),
    Target("gpx", "GPX tracks", lambda: [GPX], gpx, tokens=(b"<trkpt ", b"<!DOCTYPE a>", b"&lt;", b"encoding='utf-7'")),
    Target("gpsd", "what gpsd says", reports, gpsd, tokens=(b'"class":"TPV"', b"\n")),
)  # fmt: skip
