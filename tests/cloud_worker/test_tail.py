"""What is left of a frame's model gives what the whole model gives; what does not fit is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from cloud_worker.refusals import UnfitFrame, UnknownModel
from headwater.codec import Codec, encode_tensor
from headwater.errors import BadTensor, Malformed, TooLarge, UnknownVersion
from headwater.messages import Activation, Box, Finished, FrameId, Picture, Prediction, encode
from models.bundle import Bundle
from models.pictures import DataError, encode_jpeg, encode_png
from tests.cloud_worker.fleet import SIDE, Bench, Camera, Delivery, deliver, make_bundle
from tests.models import tflite_files


@pytest.fixture
def camera(tmp_path: Path) -> Camera:
    return Camera(make_bundle(tmp_path))


@pytest.fixture
def bench(tmp_path: Path, camera: Camera) -> Bench:
    return Bench(tmp_path)


def finished(bench: Bench, delivery: Delivery) -> list[Prediction]:
    frame = bench.finisher.read(delivery)
    work = bench.finisher.prepare(delivery, frame)
    bench.finisher.run(work)
    return work.predictions


@pytest.mark.parametrize("split", ["image", "device", "first cut", "last cut"])
def test_every_split_gives_the_same_answer(bench: Bench, camera: Camera, split: str) -> None:
    """Picture, activation and finished frame end in the predictions of the whole model."""
    split = {"first cut": camera.cuts[0], "last cut": camera.cuts[-1]}.get(split, split)
    assert finished(bench, camera.delivery(3, split)) == camera.expected(3)


def faces(camera: Camera, split: str, rows: int = 2, boxes: int = 2) -> Delivery:
    """Return a frame of several faces: the camera's pictures of the first numbers, with boxes."""
    found = tuple(Box(10 * n, 5, 20, 30) for n in range(boxes))
    if split == "image":
        column = np.concatenate([camera.picture(n) for n in range(rows)])
        body: Activation | Picture = Picture("png", SIDE, SIDE * rows, memoryview(encode_png(column)), found)
    else:
        (values,) = camera.engine.head(split).run(np.concatenate([camera.input(n) for n in range(rows)]))
        body = Activation(encode_tensor(values, Codec.named("auto", values.dtype.name)), found)
    return camera.delivery(1, split, body=body)


@pytest.mark.parametrize("split", ["image", "first cut", "last cut"])
def test_every_face_of_a_frame_is_answered_with_its_box(bench: Bench, camera: Camera, split: str) -> None:
    """Each gives what its picture gives alone, bit for bit, in the order of the boxes."""
    split = {"first cut": camera.cuts[0], "last cut": camera.cuts[-1]}.get(split, split)
    expected = [replace(p, box=Box(10 * n, 5, 20, 30)) for n in range(2) for p in camera.expected(n)]
    assert finished(bench, faces(camera, split)) == expected


@pytest.mark.parametrize("split", ["image", "cut"])
@pytest.mark.parametrize(("rows", "boxes"), [(2, 3), (3, 2), (2, 1), (1, 2)])
def test_rows_and_boxes_must_agree(bench: Bench, camera: Camera, split: str, rows: int, boxes: int) -> None:
    """A frame with more or fewer pictures than boxes is refused."""
    with pytest.raises(UnfitFrame, match="expected"):
        finished(bench, faces(camera, split if split == "image" else camera.cuts[0], rows, boxes))


def test_rows_without_boxes_are_refused(bench: Bench, camera: Camera) -> None:
    """An activation of several pictures says where they were."""
    (values,) = camera.engine.head(camera.cuts[0]).run(np.concatenate([camera.input(0), camera.input(1)]))
    body = Activation(encode_tensor(values, Codec.named("auto", values.dtype.name)))
    with pytest.raises(UnfitFrame, match="expected float32"):
        finished(bench, camera.delivery(1, camera.cuts[0], body=body))


def test_more_predictions_than_a_message_holds_are_refused(tmp_path: Path) -> None:
    """Sixteen faces of a model with five outputs would be eighty predictions."""
    camera, bench = Camera(make_bundle(tmp_path)), Bench(tmp_path)
    task = camera.bundle.tasks[0]
    many = dataclasses.replace(camera.bundle, tasks=tuple(dataclasses.replace(task, name=f"t{n}") for n in range(5)))
    known = bench.library.model(camera.bundle.digest, "tiny")
    bench.library._models[camera.bundle.digest] = dataclasses.replace(known, bundle=many)
    with pytest.raises(UnfitFrame, match="got 16, expected 12 at most, with 5 predictions each"):
        finished(bench, faces(camera, camera.cuts[0], 16, 16))


def test_a_quantised_tail_gives_the_same_answer(tmp_path: Path) -> None:
    """The int8 activation of a full-integer model travels as it is; without tasks the raw scores come back."""
    (tmp_path / "q.tflite").write_bytes(tflite_files.quantised())
    camera = Camera(Bundle.load(tmp_path / "q.tflite"))
    found = finished(Bench(tmp_path), camera.delivery(1, camera.cuts[0]))
    assert found == camera.expected(1)
    assert len(found[0].scores) == 64


def test_a_jpeg_is_finished_too(bench: Bench, camera: Camera) -> None:
    """A lossy picture is decoded and run; one label comes back."""
    body = Picture("jpeg", SIDE, SIDE, memoryview(encode_jpeg(camera.picture(2))))
    assert finished(bench, camera.delivery(2, "image", body=body))[0].label in camera.bundle.tasks[0].labels


@pytest.mark.parametrize("codec", ["float32", "float16+zstd", "uint8+zstd"])
def test_every_codec_of_an_activation_is_read(bench: Bench, camera: Camera, codec: str) -> None:
    """Lossy codecs change the scores a little, not the tail."""
    (values,) = camera.engine.head(camera.cuts[1]).run(camera.input(4))
    body = Activation(encode_tensor(values, Codec.named(codec, "float32")))
    found = finished(bench, camera.delivery(4, camera.cuts[1], body=body))
    assert found[0].scores == pytest.approx(camera.expected(4)[0].scores, abs=0.05)


def test_what_is_no_frame_is_refused(bench: Bench, camera: Camera) -> None:
    """Garbage, another version and too many bytes each have an error of their own."""
    good = encode(camera.frame(1))
    with pytest.raises(Malformed):
        bench.finisher.read(deliver(b"\xff garbage"))
    with pytest.raises(Malformed):
        bench.finisher.read(deliver(good[:-5]))
    with pytest.raises(UnknownVersion):
        bench.finisher.read(deliver(encode(replace(camera.frame(1), version=2))))
    with pytest.raises(TooLarge):
        bench.finisher.read(deliver(bytes(100_001)))


@pytest.mark.parametrize("topic_device", ["cam2", ""])
def test_a_device_cannot_speak_for_another(bench: Bench, camera: Camera, topic_device: str) -> None:
    """The device in the frame must be the one in the topic."""
    with pytest.raises(UnfitFrame, match="device in the frame"):
        bench.finisher.read(deliver(encode(camera.frame(1)), device=topic_device))


def refused(bench: Bench, delivery: Delivery) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011  the caller looks at the type
        finished(bench, delivery)
    return caught.value


def test_an_unknown_digest_is_refused(bench: Bench, camera: Camera) -> None:
    """The message says which model is missing and what to do."""
    error = refused(bench, camera.delivery(1, digest="ab" * 32))
    assert isinstance(error, UnknownModel)
    assert "abababababab" in str(error)
    assert "--bundles" in str(error)


@pytest.mark.parametrize("split", ["no_such_cut", "image", "device", ""])
def test_an_activation_at_no_cut_point_is_refused(bench: Bench, camera: Camera, split: str) -> None:
    """Only a cut point of the model has activations."""
    body = camera.body(1, camera.cuts[0])
    assert isinstance(refused(bench, camera.delivery(1, "device", body=body)), UnfitFrame)
    error = refused(bench, deliver(encode(replace(camera.frame(1, body=body), split=split))))
    assert isinstance(error, UnfitFrame)


@pytest.mark.parametrize(
    "values",
    [
        np.zeros((2, 8, 8, 4), np.float32),
        np.zeros((1, 8, 8, 5), np.float32),
        np.zeros((8, 8, 4), np.float32),
        np.zeros((1, 8, 8, 4), np.int8),
    ],
)
def test_an_activation_of_another_shape_or_type_is_refused(bench: Bench, camera: Camera, values: np.ndarray) -> None:
    """A tensor that is not exactly the tail's input never reaches LiteRT."""
    body = Activation(encode_tensor(values, Codec.named("native", values.dtype.name)))
    assert isinstance(refused(bench, camera.delivery(1, camera.cuts[0], body=body)), UnfitFrame)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_activation_with_nan_or_infinity_is_refused(bench: Bench, camera: Camera, value: float) -> None:
    """No number that is none gets into a tail."""
    values = np.zeros((1, 8, 8, 4), np.float32)
    values[0, 3, 2, 1] = value
    body = Activation(encode_tensor(values, Codec("native", "zstd")))
    error = refused(bench, camera.delivery(1, camera.cuts[0], body=body))
    assert isinstance(error, UnfitFrame)
    assert "NaN" in str(error)


def test_an_activation_that_does_not_describe_itself_is_refused(bench: Bench, camera: Camera) -> None:
    """Too few bytes for shape and type are the codec's error."""
    body = camera.body(1, camera.cuts[0])
    broken = Activation(replace(body.tensor, compression="none", data=memoryview(b"123")))
    assert isinstance(refused(bench, camera.delivery(1, camera.cuts[0], body=broken)), BadTensor)


def test_a_picture_of_another_size_is_refused(bench: Bench, camera: Camera) -> None:
    """What the frame says and what the picture is must both be the model's input size."""
    other = memoryview(encode_png(np.zeros((9, 8, 3), np.uint8)))
    for width, height in ((8, 9), (8, 8), (65536, 65536)):
        error = refused(bench, camera.delivery(1, "image", body=Picture("png", width, height, other)))
        assert isinstance(error, (UnfitFrame, DataError))
    small = memoryview(encode_png(np.zeros((4, 8, 3), np.uint8)))
    assert isinstance(refused(bench, camera.delivery(1, "image", body=Picture("png", 8, 8, small))), UnfitFrame)


def test_a_broken_picture_is_refused(bench: Bench, camera: Camera) -> None:
    """A picture that is cut short is the device's fault."""
    data = encode_png(camera.picture(1))[:60]
    error = refused(bench, camera.delivery(1, "image", body=Picture("png", 8, 8, memoryview(data))))
    assert isinstance(error, DataError)


def test_a_picture_under_another_split_is_refused(bench: Bench, camera: Camera) -> None:
    """The split says what travels."""
    body = camera.body(1, "image")
    assert isinstance(refused(bench, camera.delivery(1, camera.cuts[0], body=body)), UnfitFrame)


def test_a_finished_frame_needs_no_model(bench: Bench, camera: Camera) -> None:
    """What the device finished is recorded as it is, also with a model that no worker has."""
    body = Finished([Prediction("litter", "dirty", None, 0.9, [0.1, 0.9])], exit="exit1")
    assert finished(bench, camera.delivery(1, "device", body=body, digest="cd" * 32)) == body.predictions


def test_another_boot_of_the_same_device_is_another_frame(bench: Bench, camera: Camera) -> None:
    """Frame ids hold the boot, so a restarted device counts from 0 again."""
    frames = [replace(camera.frame(0), id=FrameId("cam1", boot, 0)) for boot in ("00000001", "00000002")]
    bench.finish(*(deliver(encode(frame)) for frame in frames))
    assert [record.boot for record in bench.store.records] == ["00000001", "00000002"]
