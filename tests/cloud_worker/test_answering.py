"""A request is answered as the stream answers the same picture, or refused in one line with a status that fits."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from cloud_worker.answering import STATUSES, TENSOR, Answering, Bounds
from edge.crop import crop_of
from edge.head import prepare_head
from headwater.clock import Stopwatch
from headwater.codec import Codec, encode_tensor
from headwater.errors import Malformed
from headwater.messages import Activation, Box, Finished, Offload, decode, encode
from models import crop
from models.bundle import Bundle
from models.crop import CropError, Cut
from models.engine import Engine
from models.pictures import decode_to_fit, encode_jpeg, encode_png
from tests.cloud_worker.fleet import SIDE, Bench, Camera, make_bundle
from tests.cloud_worker.requests import answered, answering, finish, offload, refusal, request
from tests.face_models import need_face_models
from tests.models import tflite_files


@pytest.fixture
def camera(tmp_path: Path) -> Camera:
    return Camera(make_bundle(tmp_path))


@pytest.fixture
def found(tmp_path: Path, camera: Camera) -> Answering:
    return answering(tmp_path)


def jpeg(width: int = 64, height: int = 48, seed: int = 0) -> bytes:
    picture = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return encode_jpeg(picture, 90)


def bomb(width: int, height: int) -> bytes:
    """Return a PNG of few bytes whose header announces many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\0" * 1_000_000, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("sequence", range(4))
def test_a_picture_is_answered_as_over_mqtt(tmp_path: Path, found: Answering, camera: Camera, sequence: int) -> None:
    """Bit for bit what the Finisher makes of the same PNG."""
    body = encode_png(camera.picture(sequence))
    delivery, bench = camera.delivery(sequence, "image"), Bench(tmp_path)
    work = bench.finisher.prepare(delivery, bench.finisher.read(delivery))
    bench.finisher.run(work)
    assert (
        answered(found.predict(request(body, "image/png"))).predictions == work.predictions == camera.expected(sequence)
    )


def test_an_activation_is_answered_as_over_mqtt(tmp_path: Path, found: Answering, camera: Camera) -> None:
    """Bit for bit at every cut point, with what it is an answer of."""
    bench = Bench(tmp_path)
    for split in camera.cuts:
        delivery = camera.delivery(7, split)
        work = bench.finisher.prepare(delivery, bench.finisher.read(delivery))
        bench.finisher.run(work)
        said = answered(finish(found, camera, 7, split))
        assert said.predictions == work.predictions == camera.expected(7)
        assert (said.bundle, said.digest, said.split, said.worker) == ("tiny", camera.bundle.digest, split, "w1")


def test_a_picture_of_any_size_is_seen_as_a_device_sees_it(found: Answering, camera: Camera) -> None:
    """Decoded and fitted by the code that devices and training use."""
    body, wanted = jpeg(640, 480), camera.bundle.input
    small = encode_png(decode_to_fit(body, wanted.width, wanted.height))
    assert (
        answered(found.predict(request(body, "image/jpeg; q=1"))).predictions
        == answered(found.predict(request(small, "image/png"))).predictions
    )


def test_an_answer_says_where_its_time_went(found: Answering, camera: Camera) -> None:
    """The stages of a picture and of an activation, between the stamps of its coming and going."""
    said = answered(found.predict(request(jpeg(), "image/jpeg")))
    assert set(said.stages_ns) == {"inbox", "decode", "crop", "tail"}
    assert said.received_ns == 1_000_500 < said.replied_ns
    assert said.stages_ns["inbox"] == 500  # the paper clock's first look is at 1,001,000
    assert set(answered(finish(found, camera, 1, camera.cuts[0])).stages_ns) == {"inbox", "decode", "tail"}


def test_another_bundle_can_be_asked_for(tmp_path: Path, found: Answering) -> None:
    """By its name; a name that no bundle has is refused with the nearest."""
    (tmp_path / "q.tflite").write_bytes(tflite_files.quantised())
    again = answering(tmp_path)
    assert answered(again.predict(request(jpeg(), "image/jpeg", {"bundle": "q"}))).bundle == "q"
    line = refusal(found.predict(request(jpeg(), "image/jpeg", {"bundle": "tinny"})), 404)
    assert "did you mean tiny?" in line


def test_a_bundle_added_later_is_found(tmp_path: Path, camera: Camera) -> None:
    """The folders are read again for a name that is not known, as for a digest."""
    bench = Bench(tmp_path)
    (tmp_path / "q.tflite").write_bytes(tflite_files.quantised())
    bench.now_s = 6.0
    assert bench.library.named("q").bundle.name == "q"


def test_faces_are_answered_with_their_boxes(found: Answering, camera: Camera, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crop that finds several is answered in their order; one that finds none is an answer without predictions."""
    cuts = [Cut(camera.picture(n), crop.Box(10 * n, 5, 20, 30)) for n in range(2)]
    _with_crop(found, camera, monkeypatch, cuts)
    said = answered(found.predict(request(jpeg(), "image/jpeg"))).predictions
    assert said == [replace(p, box=Box(10 * n, 5, 20, 30)) for n in range(2) for p in camera.expected(n)]
    _with_crop(found, camera, monkeypatch, [])
    assert answered(found.predict(request(jpeg(), "image/jpeg"))).predictions == []


def test_a_crop_that_is_not_installed_is_said(
    found: Answering, camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    """501 with what to install."""
    _with_crop(
        found, camera, monkeypatch, CropError("mediapipe is not installed; install the extra face (docs/install.md)")
    )
    assert "extra face" in refusal(found.predict(request(jpeg(), "image/jpeg")), 501)


def _with_crop(found: Answering, camera: Camera, monkeypatch: pytest.MonkeyPatch, cuts: list[Cut] | CropError) -> None:
    """Let the bundle look at what a crop of paper cuts."""

    class PaperCrop:
        name, most = "face", 8

        def cut(self, *_: object) -> list[Cut]:
            assert isinstance(cuts, list)
            return cuts

        def size_to_decode(self, *_: object) -> None:
            return None

    def opened(name: str, most: int) -> PaperCrop:
        assert (name, most) == ("none", 8)
        if isinstance(cuts, CropError):
            raise cuts
        return PaperCrop()

    monkeypatch.setattr("cloud_worker.answering._crop", opened)


@pytest.mark.parametrize(
    ("body", "kind", "status", "hint"),
    [
        (b"", "image/jpeg", 415, "no bytes"),
        (b"\xff\xd8\xff\xe0 cut short", "image/jpeg", 422, "picture of 14 B"),
        (jpeg(), "", 415, "got none, expected image/jpeg or image/png"),
        (jpeg(), "image/gif", 415, "got image/gif"),
        (jpeg(), TENSOR, 415, "/v1/offload"),
        (jpeg(), "image/png", 415, "begins with ffd8ff"),
        (b"GIF89a and so on", "image/jpeg", 415, "begins with 4749463839612061"),
        (bomb(2000, 2000), "image/png", 422, "2000x2000 is over the limit of 1000000 pixels"),
        (bomb(60_000, 60_000), "image/png", 422, "pixels"),
        (jpeg()[:-200], "image/jpeg", 422, "damaged or cut short"),
    ],
)  # fmt: skip
def test_what_is_no_picture_is_refused(found: Answering, body: bytes, kind: str, status: int, hint: str) -> None:
    """In one line, with the status of its kind; a picture bomb before its pixels are made."""
    assert hint in refusal(found.predict(request(body, kind)), status)


def test_a_png_has_a_bound_of_its_own(tmp_path: Path, camera: Camera) -> None:
    """It is decoded whole, so a limit meant for JPEG does not hold for it."""
    generous = answering(tmp_path, bounds=Bounds(100_000, 50_000_000))
    assert "limit of 16000000 pixels" in refusal(generous.predict(request(bomb(5000, 5000), "image/png")), 422)


def test_a_query_that_means_nothing_is_refused(found: Answering, camera: Camera) -> None:
    """A misspelt name would otherwise be answered by another model."""
    assert "'bundel', expected only bundle" in refusal(
        found.predict(request(jpeg(), "image/jpeg", {"bundel": "x"})), 400
    )
    body = offload(camera, 1, camera.cuts[0])
    assert "expected none" in refusal(found.offload(request(body, TENSOR, {"bundle": "tiny"})), 400)


def tensor_of(values: np.ndarray):
    return encode_tensor(values, Codec.named("auto", values.dtype.name))


def test_a_tensor_that_does_not_fit_is_refused(found: Answering, camera: Camera) -> None:
    """Another digest, split, shape or type, and numbers that are none."""
    split = camera.cuts[0]
    body = camera.body(1, split)
    assert isinstance(body, Activation)
    shape = body.tensor.shape
    assert "in no bundle" in refusal(finish(found, camera, 1, split, digest="0" * 64), 404)
    for wrong, hint in (("none", "a cut point of tiny"), ("image", "send a picture"), ("device", "a cut point")):
        packed = encode(Offload("tiny", camera.bundle.digest, wrong, body.tensor))
        assert hint in refusal(found.offload(request(packed, TENSOR)), 422)
    assert "(1, 2, 3)" in refusal(finish(found, camera, 1, split, tensor=tensor_of(np.zeros((1, 2, 3), "f4"))), 422)
    assert "int8" in refusal(finish(found, camera, 1, split, tensor=tensor_of(np.zeros(shape, "i1"))), 422)
    nan = tensor_of(np.full(shape, np.nan, "f4"))
    assert "NaN or infinity" in refusal(finish(found, camera, 1, split, tensor=nan), 422)
    assert "zstd" in refusal(finish(found, camera, 1, split, tensor=replace(body.tensor, data=memoryview(b"x"))), 422)


def test_a_tensor_that_announces_too_much_is_refused(found: Answering, camera: Camera) -> None:
    """Before anything is allocated."""
    split = camera.cuts[0]
    body = camera.body(1, split)
    assert isinstance(body, Activation)
    large = replace(body.tensor, shape=(65_536, 65_536, 64))
    assert "65536" in refusal(finish(found, camera, 1, split, tensor=large), 422)
    assert "over the limit of 100000 B" in refusal(found.offload(request(b"\x80" * 100_001, TENSOR)), 413)


@pytest.mark.parametrize("body", [b"", b"\x80", b"{}", b"\xc1", b"\xdf\xff\xff\xff\xff", b"\x91" * 5000])
def test_bytes_that_are_no_message_are_refused(found: Answering, body: bytes) -> None:
    """400, whatever they are."""
    assert "offload of" in refusal(found.offload(request(body, TENSOR)), 400)


def test_an_activation_of_another_type_is_refused(found: Answering, camera: Camera) -> None:
    """415, with where a picture goes."""
    assert "/v1/predict" in refusal(found.offload(request(offload(camera, 1, camera.cuts[0]), "image/jpeg")), 415)


def test_a_fault_of_the_worker_is_said_and_the_next_is_answered(
    found: Answering, camera: Camera, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """500 and a traceback in the log; the worker goes on."""
    with monkeypatch.context() as broken:
        broken.setattr("cloud_worker.answering.answers", lambda _: 1 / 0)
        assert "ZeroDivisionError" in refusal(found.predict(request(jpeg(), "image/jpeg")), 500)
    assert "ZeroDivisionError" in caplog.text
    answered(found.predict(request(jpeg(), "image/jpeg")))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Answering, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    camera = Camera(make_bundle(folder))
    return answering(folder), offload(camera, 1, camera.cuts[0])


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_bytes_break_the_worker(whole: tuple[Answering, bytes], data: st.DataObject) -> None:
    """A request with some bytes changed, cut or added is answered or refused, never a fault."""
    found, body = whole
    changed = bytearray(body[: data.draw(st.integers(0, len(body)))] if data.draw(st.booleans()) else body)
    for _ in range(data.draw(st.integers(0, 4))):
        if changed:
            changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    answer = found.offload(request(bytes(changed) + data.draw(st.binary(max_size=4)), TENSOR))
    assert answer.status in {200, 400, 404, 413, 422}


def test_the_fields_on_the_wire_are_pinned() -> None:
    """Other programs name them; one that is not known is refused."""
    tensor = encode_tensor(np.zeros((1, 2), "f4"), Codec("native", "none"))
    packed = encode(Offload("tiny", "0" * 64, "cut", tensor))
    assert msgspec.msgpack.decode(packed).keys() == {"bundle", "digest", "split", "tensor"}
    more = msgspec.msgpack.encode({**msgspec.msgpack.decode(packed), "version": 1})
    with pytest.raises(Malformed, match="unknown field `version`"):
        decode(Offload, more, 10_000)


def test_every_status_is_described() -> None:
    """What the code answers with is what the document lists."""
    from cloud_worker.http_document import REASONS

    assert {status for _, status in STATUSES} | {408, 503} == set(REASONS)


def test_the_real_litter_bundle_answers(tmp_path: Path) -> None:
    """The bundle that ships: a picture and its activation get the same answer."""
    bundle = Bundle.load("litter")
    camera, found = Camera(bundle), answering(tmp_path, "litter", Bounds(1_000_000))
    picture = answered(found.predict(request(encode_png(camera.picture(3)), "image/png")))
    assert picture.predictions == camera.expected(3)
    assert answered(finish(found, camera, 3, "block_9_add")).predictions == camera.expected(3)
    assert bundle.input.width != SIDE


def test_a_real_face_is_answered_as_its_device_would(tmp_path: Path) -> None:
    """Found, cut and answered by the shipped model with its box, bit for bit; a picture without one has no answer."""
    need_face_models()
    picture = np.asarray(pytest.importorskip("skimage.data").astronaut())
    bundle = Bundle.load("faces")
    engine = Engine(bundle.model_path, outputs=bundle.finals)
    device = prepare_head(bundle, engine, "device", "auto", {}, crop_of(bundle, None, None))
    body = device.run(picture, Stopwatch())
    assert isinstance(body, Finished)
    found = answering(tmp_path, "faces", Bounds())
    said = answered(found.predict(request(encode_png(picture), "image/png"))).predictions
    assert said == body.predictions
    assert {p.task for p in said} == {"gender", "age", "age-group"}
    assert answered(found.predict(request(jpeg(), "image/jpeg"))).predictions == []
