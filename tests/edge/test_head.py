"""What the device computes of a picture is the same answer at every split."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge.head import Head, Hopeless, is_positive, prepare_head
from edge.plan import with_thresholds
from headwater.clock import Stopwatch
from headwater.codec import decode_tensor
from headwater.errors import SettingsError
from headwater.messages import Activation, Finished, Picture, Prediction, scores_to_send
from models.bundle import Bundle
from models.engine import Engine
from models.evidence import Wire
from models.pictures import decode_picture, fit, to_input
from models.stages import rules_of
from models.tasks import predictions
from tests.edge.samples import exit_bundle, tiny_bundle
from tests.models import tflite_files
from tests.models.tflite_files import Maker

PICTURE = np.random.default_rng(1).integers(0, 256, (40, 30, 3)).astype(np.uint8)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """A small classifier."""
    return tiny_bundle(tmp_path / "tiny")


@pytest.fixture
def engine(bundle: Bundle) -> Engine:
    """Its parts."""
    return Engine(bundle.model_path)


def scores(bundle: Bundle, engine: Engine, small: np.ndarray) -> list[float]:
    """Return what the whole model says of a picture of its own size."""
    whole = engine.whole()
    outputs = whole.run(to_input(small, whole.inputs[0], bundle.input.low, bundle.input.high, bundle.input.colour))
    return predictions(bundle, outputs, whole.outputs)[0].scores


def test_the_device_finishes_as_the_whole_model_does(bundle: Bundle, engine: Engine) -> None:
    """Split `device`: predictions with the bundle's labels."""
    body = prepare_head(bundle, engine, "device", "auto").run(PICTURE, Stopwatch())
    assert isinstance(body, Finished)
    assert body.exit is None
    (found,) = body.predictions
    assert found.scores == scores(bundle, engine, fit(PICTURE, 8, 8))
    assert found.label in {"clean", "dirty", "unsure"}
    assert found.confidence == max(found.scores)


def test_scores_of_many_labels_do_not_travel(bundle: Bundle, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The label and its confidence do."""
    whole = prepare_head(bundle, engine, "device", "auto").run(PICTURE, Stopwatch())
    monkeypatch.setattr("headwater.frames.MAX_SCORES_SENT", 2)
    body = prepare_head(bundle, engine, "device", "auto").run(PICTURE, Stopwatch())
    assert isinstance(whole, Finished)
    assert isinstance(body, Finished)
    (was,), (found,) = whole.predictions, body.predictions
    assert found == Prediction(was.task, was.label, was.value, was.confidence)


@pytest.mark.parametrize(("label", "count", "sent"), [("a", 64, 64), ("a", 65, 0), (None, 65, 65)])
def test_sixty_four_scores_travel(label: str | None, count: int, sent: int) -> None:
    """Raw outputs, which have no label, are all there is to say."""
    assert len(scores_to_send(label, [0.5] * count)) == sent


@pytest.mark.parametrize("split", ["conv_a", "add", "conv_c", "pool", "net.scores"])
@pytest.mark.parametrize("codec", ["auto", "float32", "native"])
def test_head_then_tail_is_the_whole_at_every_cut(bundle: Bundle, engine: Engine, split: str, codec: str) -> None:
    """With a lossless codec the worker's tail gives the very same scores."""
    body = prepare_head(bundle, engine, split, codec).run(PICTURE, Stopwatch())
    assert isinstance(body, Activation)
    tail = engine.tail(split)
    outputs = tail.run(decode_tensor(body.tensor, 10**7))
    assert predictions(bundle, outputs, tail.outputs)[0].scores == scores(bundle, engine, fit(PICTURE, 8, 8))


def test_a_picture_travels_at_the_models_size(bundle: Bundle, engine: Engine) -> None:
    """Split `image`: the PNG holds the pixels the model wants to see, bit for bit."""
    body = prepare_head(bundle, engine, "image", "auto").run(PICTURE, Stopwatch())
    assert isinstance(body, Picture)
    assert (body.format, body.width, body.height) == ("png", 8, 8)
    pixels = decode_picture(bytes(body.data))
    assert (pixels == fit(PICTURE, 8, 8)).all()
    assert scores(bundle, engine, pixels) == scores(bundle, engine, fit(PICTURE, 8, 8))


def test_a_jpeg_is_a_jpeg_of_that_quality(bundle: Bundle, engine: Engine) -> None:
    """The codec's quality is used, and said on the wire."""
    large = replace(bundle, input=replace(bundle.input, width=64, height=64))
    heads = [prepare_head(large, engine, "image", f"jpeg:{quality}") for quality in (20, 95)]
    bodies = [head.run(PICTURE, Stopwatch()) for head in heads]
    assert [head.codec for head in heads] == ["jpeg:20", "jpeg:95"]
    assert all(isinstance(body, Picture) and body.format == "jpeg" for body in bodies)
    sizes = [len(body.data) for body in bodies if isinstance(body, Picture)]
    assert sizes[0] < sizes[1]


@pytest.mark.parametrize(
    ("split", "stages"),
    [("image", {"crop", "encode"}), ("add", {"crop", "head", "encode"}), ("device", {"crop", "head", "encode"})],
)
def test_each_stage_is_timed(bundle: Bundle, engine: Engine, split: str, stages: set[str]) -> None:
    """crop, head and encode are lapped where they happen, on top of what was there."""
    watch = Stopwatch({"capture": 5})
    prepare_head(bundle, engine, split, "auto").run(PICTURE, watch)
    assert set(watch.stages_ns) == {"capture", *stages}
    assert watch.stages_ns["capture"] == 5


def test_integers_travel_with_their_own_scale(tmp_path: Path) -> None:
    """A full-integer model's activation is int8 on the wire, and the tail takes it as it is."""
    model = tmp_path / "integers.tflite"
    model.write_bytes(tflite_files.quantised())
    bundle = Bundle.load(model)
    engine = Engine(model)
    body = prepare_head(bundle, engine, "second", "auto").run(PICTURE, Stopwatch())
    assert isinstance(body, Activation)
    assert (body.tensor.dtype, body.tensor.encoding, body.tensor.compression) == ("int8", "native", "zstd")
    assert body.tensor.scale == pytest.approx(engine.head("second").outputs[0].scale)
    tail = engine.tail("second")
    outputs = tail.run(decode_tensor(body.tensor, 10**6))
    assert predictions(bundle, outputs, tail.outputs)[0].scores == scores(bundle, engine, fit(PICTURE, 4, 4))


def test_a_grey_model_gets_grey(tmp_path: Path) -> None:
    """A network for one channel is given one, at a cut as on the device."""
    maker = Maker()
    picture = maker.tensor("picture", (1, 4, 4, 1))
    first = maker.conv("first", picture, (1, 4, 4, 1), 2)
    maker.ends([picture], [maker.conv("last", first, (1, 4, 4, 2), 2)])
    model = tmp_path / "grey.tflite"
    model.write_bytes(maker.file())
    bundle, engine = Bundle.load(model), Engine(model)
    assert bundle.input.colour == "grey"
    for split in ("image", "first", "device"):
        body = prepare_head(bundle, engine, split, "auto").run(PICTURE, Stopwatch())
        assert isinstance(body, Picture | Activation | Finished)


def test_a_head_that_cannot_be_is_refused(bundle: Bundle, engine: Engine) -> None:
    """A split or codec that does not fit is told before any picture."""
    for split, codec in (("conv_b", "auto"), ("image", "uint8"), ("add", "png"), ("device", "nonsense")):
        with pytest.raises(SettingsError):
            prepare_head(bundle, engine, split, codec)


@pytest.mark.parametrize(("label", "positive"), [("dirty", True), ("clean", False), ("unsure", False), (None, False)])
def test_positive_is_what_the_bundle_looks_for(bundle: Bundle, label: str | None, positive: bool) -> None:
    """Only the task's own positive label counts."""
    assert is_positive(bundle, Finished([Prediction("litter", label)])) == positive
    assert not is_positive(bundle, Finished([Prediction("other", "dirty"), Prediction("litter", "clean")]))


def test_unfinished_frames_and_models_without_a_positive_label_are_always_sent(bundle: Bundle, engine: Engine) -> None:
    """Nobody knows yet what a cut frame shows, and some models look for nothing."""
    head: Head = prepare_head(bundle, engine, "add", "auto")
    assert is_positive(bundle, head.run(PICTURE, Stopwatch()))
    tasks = tuple(replace(task, positive=None) for task in bundle.tasks)
    assert is_positive(replace(bundle, tasks=tasks), Finished([Prediction("litter", "clean")]))


@pytest.mark.parametrize("split", ["conv_a", "conv_b", "device"])
def test_a_frame_that_is_sure_leaves_at_the_exit(tmp_path: Path, split: str) -> None:
    """Whatever the split behind it: the answer is the exit's own, and says so."""
    bundle = exit_bundle(tmp_path / "sure", 99.0)
    engine = Engine(bundle.model_path, outputs=bundle.finals)
    head = prepare_head(bundle, engine, split, "auto")
    body = head.run(PICTURE, Stopwatch())
    assert head.exits == ("exit1",)
    assert isinstance(body, Finished)
    assert (body.exit, len(body.predictions)) == ("exit1", 1)
    assert body.predictions[0].label in {"clean", "dirty", "unsure"}


def test_a_frame_that_is_not_sure_goes_on_as_without_exits(tmp_path: Path) -> None:
    """Staged to the end, and staged then tail, it is the whole model's answer bit for bit."""
    bundle = exit_bundle(tmp_path / "torn", 0.0)
    engine = Engine(bundle.model_path, outputs=bundle.finals)
    body = prepare_head(bundle, engine, "device", "auto").run(PICTURE, Stopwatch())
    expected = scores(bundle, engine, fit(PICTURE, 8, 8))
    assert isinstance(body, Finished)
    assert (body.exit, body.predictions[0].scores) == (None, expected)
    for split in ("conv_a", "conv_b"):
        sent = prepare_head(bundle, engine, split, "auto").run(PICTURE, Stopwatch())
        assert isinstance(sent, Activation)
        outputs = engine.tail(split).run(decode_tensor(sent.tensor, 10**6))
        assert predictions(bundle, outputs, engine.tail(split).outputs)[0].scores == expected


def test_what_an_exit_said_of_a_frame_that_goes_on_can_be_asked_for(tmp_path: Path) -> None:
    """Though it was not sure: the same predictions as if the frame had left there; none before, nor after an exit."""
    bundle = exit_bundle(tmp_path / "early", 0.0)
    engine = Engine(bundle.model_path, outputs=bundle.finals)
    head = prepare_head(bundle, engine, "conv_b", "auto")
    assert head.unsure() is None
    assert isinstance(head.run(PICTURE, Stopwatch()), Activation)
    leaving = prepare_head(
        bundle, engine, "conv_b", "auto", with_thresholds(rules_of(bundle), {"exit1": {"litter": 99}})
    )
    assert head.unsure() == leaving.run(PICTURE, Stopwatch())
    assert leaving.unsure() is None


def test_without_an_exit_nothing_is_known_of_a_frame_that_goes_on(bundle: Bundle, engine: Engine) -> None:
    """Nor of a picture that travels."""
    for split in ("image", "add", "device"):
        head = prepare_head(bundle, engine, split, "auto")
        head.run(PICTURE, Stopwatch())
        assert head.unsure() is None


def test_a_hopeless_frame_is_given_up_at_the_exit(tmp_path: Path) -> None:
    """Only where the bundle has a drop threshold."""
    bundle = exit_bundle(tmp_path / "hopeless", 0.0, drop=0.0)
    engine = Engine(bundle.model_path, outputs=bundle.finals)
    assert prepare_head(bundle, engine, "conv_b", "auto").run(PICTURE, Stopwatch()) == Hopeless("exit1")
    assert prepare_head(bundle, engine, "image", "auto").exits == ()


def test_auto_is_what_the_bundle_measured(bundle: Bundle, engine: Engine) -> None:
    """A measured codec is taken at its own split, a named codec wins, and one that does not fit is passed over."""
    measured = replace(bundle, wire=Wire({"image": "jpeg:30", "add": "uint8+zstd", "conv_c": "jpeg:30"}, 0.5, 100))
    taken = {
        split: prepare_head(measured, engine, split, "auto").codec for split in ("image", "add", "conv_a", "conv_c")
    }
    assert taken == {"image": "jpeg:30", "add": "uint8+zstd", "conv_a": "native+zstd", "conv_c": "native+zstd"}
    assert prepare_head(measured, engine, "add", "float16").codec == "float16"


def test_a_closed_exit_is_not_computed_until_it_is_opened(tmp_path: Path) -> None:
    """An exit without thresholds is no stage; given one, by an operator too, it is asked."""
    bundle = exit_bundle(tmp_path / "early", 99.0)
    closed = replace(bundle, exits=tuple(replace(found, thresholds={}) for found in bundle.exits))
    engine = Engine(bundle.model_path, outputs=bundle.finals)
    rules = rules_of(closed)
    assert prepare_head(closed, engine, "device", "auto", rules).exits == ()
    opened = with_thresholds(rules, {"exit1": {"litter": 99.0}})
    assert prepare_head(closed, engine, "device", "auto", opened).exits == ("exit1",)
    with pytest.raises(SettingsError, match="task at exit exit1 'age', expected one of litter"):
        with_thresholds(rules, {"exit1": {"age": 0.5}})
