"""The device's crop: which one it is, and what becomes of several parts of one picture, or of none."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from msgspec import UNSET

from edge.commands import EdgeSettings, build_device
from edge.crop import crop_of, region_of
from edge.device import Device
from edge.head import Faceless, Hopeless, prepare_head
from edge.location import open_location
from edge.plan import Plan
from edge.spool import Spool
from headwater.clock import Stopwatch
from headwater.codec import decode_tensor
from headwater.errors import SettingsError
from headwater.messages import Activation, Box, Finished, Picture, Prediction
from models.bundle import Bundle
from models.crop import CropError, Cut, Region, Whole
from models.engine import Engine
from models.exits import ExitRule, entropy
from models.pictures import decode_picture
from models.tasks import predictions
from tests.edge.crops import Stripes
from tests.edge.samples import DEVICE, TOPICS, exit_bundle, tiny_bundle, write_pictures
from tests.edge.test_device import LIMITS, NOWHERE, Pictures

PICTURE = np.random.default_rng(1).integers(0, 256, (40, 30, 3)).astype(np.uint8)
BOXES = (Box(0, 0, 10, 40), Box(10, 0, 10, 40), Box(20, 0, 10, 40))


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """A small classifier."""
    return tiny_bundle(tmp_path / "tiny")


@pytest.fixture
def engine(bundle: Bundle) -> Engine:
    """Its parts."""
    return Engine(bundle.model_path)


def one_by_one(bundle: Bundle, engine: Engine) -> list[list[float]]:
    """Return what a device without crop says of each of the three stripes, as pictures of their own."""
    head = prepare_head(bundle, engine, "device", "auto")
    bodies = [head.run(np.ascontiguousarray(PICTURE[:, x : x + 10]), Stopwatch()) for x in (0, 10, 20)]
    return [body.predictions[0].scores for body in bodies if isinstance(body, Finished)]


def test_every_part_is_answered_with_its_box(bundle: Bundle, engine: Engine) -> None:
    """Split `device`: three parts, three predictions, each that of the part alone, bit for bit."""
    body = prepare_head(bundle, engine, "device", "auto", crop=Stripes(3)).run(PICTURE, Stopwatch())
    assert isinstance(body, Finished)
    assert [p.box for p in body.predictions] == list(BOXES)
    assert [p.scores for p in body.predictions] == one_by_one(bundle, engine)


@pytest.mark.parametrize("split", ["conv_a", "conv_c"])
def test_the_rows_of_an_activation_are_its_boxes(bundle: Bundle, engine: Engine, split: str) -> None:
    """Head then tail gives each part what the whole gives it alone."""
    body = prepare_head(bundle, engine, split, "auto", crop=Stripes(3)).run(PICTURE, Stopwatch())
    assert isinstance(body, Activation)
    assert body.boxes == BOXES
    tail = engine.tail(split)
    outputs = tail.run(decode_tensor(body.tensor, 10**7))
    found = [predictions(bundle, outputs, tail.outputs, row)[0].scores for row in range(3)]
    assert found == one_by_one(bundle, engine)


def test_parts_travel_as_one_picture(bundle: Bundle, engine: Engine) -> None:
    """Split `image`: one below the other, each of the model's size."""
    body = prepare_head(bundle, engine, "image", "auto", crop=Stripes(3)).run(PICTURE, Stopwatch())
    assert isinstance(body, Picture)
    assert (body.width, body.height, body.boxes) == (8, 24, BOXES)
    expected = np.concatenate([cut.pixels for cut in Stripes(3).cut(PICTURE, 8, 8)])
    assert np.array_equal(decode_picture(bytes(body.data)), expected)


@pytest.mark.parametrize("split", ["image", "conv_a", "device"])
def test_a_picture_without_a_face_is_not_sent(bundle: Bundle, engine: Engine, split: str) -> None:
    """Nothing is computed of it, whatever the split."""
    watch = Stopwatch()
    assert isinstance(prepare_head(bundle, engine, split, "auto", crop=Stripes(0)).run(PICTURE, watch), Faceless)
    assert list(watch.stages_ns) == ["crop"]


@pytest.mark.parametrize("split", ["image", "conv_a", "device"])
def test_without_boxes_nothing_changes_on_the_wire(bundle: Bundle, engine: Engine, split: str) -> None:
    """The whole picture has no box."""
    body = prepare_head(bundle, engine, split, "auto", crop=Whole()).run(PICTURE, Stopwatch())
    assert not isinstance(body, Hopeless | Faceless)
    boxes = [p.box for p in body.predictions] if isinstance(body, Finished) else [body.boxes]
    assert boxes == [UNSET]


def test_a_frame_leaves_at_an_exit_when_all_its_parts_may(tmp_path: Path) -> None:
    """One part that is not sure keeps the others; all hopeless ones are given up together."""
    bundle = exit_bundle(tmp_path / "early", 0.0)
    engine = Engine(bundle.model_path, outputs=bundle.finals)
    least, _, most = sorted(_entropies(bundle, engine))
    for threshold, expected in ((most + 1e-6, "exit1"), (most - 1e-6, None), (least - 1e-6, None)):
        rules = {"exit1": ExitRule("entropy", {"litter": threshold})}
        body = prepare_head(bundle, engine, "device", "auto", rules, Stripes(3)).run(PICTURE, Stopwatch())
        assert isinstance(body, Finished)
        assert body.exit == expected
        assert [p.box for p in body.predictions] == list(BOXES)
    for drop, given_up in ((least - 1e-6, True), (least + 1e-6, False)):
        rules = {"exit1": ExitRule("entropy", {"litter": 0.0}, {"litter": drop})}
        body = prepare_head(bundle, engine, "device", "auto", rules, Stripes(3)).run(PICTURE, Stopwatch())
        assert isinstance(body, Hopeless) == given_up


def _entropies(bundle: Bundle, engine: Engine) -> list[float]:
    """Return the entropy of each stripe at the one exit."""
    rules = {"exit1": ExitRule("entropy", {"litter": 99.0})}
    body = prepare_head(bundle, engine, "device", "auto", rules, Stripes(3)).run(PICTURE, Stopwatch())
    assert isinstance(body, Finished)
    return [float(entropy(np.array(p.scores))) for p in body.predictions]


def test_frames_without_a_face_are_counted(bundle: Bundle, engine: Engine, tmp_path: Path) -> None:
    """Captured, dropped as no_face, none in flight: the books balance."""
    spool, plan = Spool(tmp_path / "cam1.sqlite", 10**7), Plan("device", "auto", "all")
    location = open_location("1,2")
    one = Device(DEVICE, TOPICS, bundle, engine, plan, Pictures(4), location, spool, LIMITS, Stripes(0))
    summary = one.run(NOWHERE, threading.Event(), lambda: None)
    assert (summary["captured"], summary["dropped"], summary["in_flight"]) == (4, {"no_face": 4}, 0)


def test_the_crop_stays_when_the_split_changes(bundle: Bundle, engine: Engine, tmp_path: Path) -> None:
    """An operator's new head sees what the old one saw."""
    spool, plan = Spool(tmp_path / "cam1.sqlite", 10**7), Plan("device", "auto", "all")
    location = open_location("1,2")
    one = Device(DEVICE, TOPICS, bundle, engine, plan, Pictures(0), location, spool, LIMITS, Stripes(3))
    assert one.apply(b'{"version":1,"split":"conv_a"}') is not None
    body = one._control.head.run(PICTURE, Stopwatch())
    assert isinstance(body, Activation)
    assert body.boxes == BOXES
    spool.close()


def test_the_crop_is_the_bundles_unless_told(bundle: Bundle) -> None:
    """bundle.toml says what the network was trained on; --crop says otherwise."""
    centred = replace(bundle, input=replace(bundle.input, crop="centre"))
    assert crop_of(bundle, None, None, 8).name == "none"
    assert crop_of(centred, None, None, 8).name == "centre"
    assert crop_of(centred, "none", None, 8).name == "none"
    with pytest.raises(CropError, match="add --region"):
        crop_of(bundle, "region", None, 8)


@pytest.mark.parametrize("faces", [0, -1, 17])
def test_too_many_faces_for_a_message_are_refused(bundle: Bundle, faces: int) -> None:
    """The limit is that of a message, and is told."""
    with pytest.raises(SettingsError, match=f"max-faces: got {faces}, expected 1 to 16"):
        crop_of(bundle, "face", None, faces)
    with pytest.raises(SettingsError, match="expected 1 to 2: a message holds 64 predictions, tiny gives 30"):
        crop_of(answering(bundle, 30), "face", None, 3)


@pytest.mark.parametrize(("answers", "faces"), [(1, 8), (8, 8), (9, 7), (64, 1)])
def test_the_number_of_faces_fits_a_network_of_many_answers(
    bundle: Bundle, answers: int, faces: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Left out, it is 8 or what a message holds; without faces it is not looked at."""
    asked: list[int] = []
    monkeypatch.setattr("edge.crop.open_crop", lambda name, region, max_faces: asked.append(max_faces) or Whole())
    many, bare = answering(bundle, answers), replace(bundle, tasks=(), outputs=("out",) * answers)
    for one in (many, bare):
        crop_of(one, "face", None)
        crop_of(one, None, None, 17)
    assert asked == [faces, 17, faces, 17]


def test_more_answers_than_a_message_holds_are_refused(bundle: Bundle) -> None:
    """Before the first frame, whatever the crop."""
    with pytest.raises(SettingsError, match="tiny gives 65 predictions for a picture, expected at most 64"):
        crop_of(answering(bundle, 65), None, None)


def answering(bundle: Bundle, tasks: int) -> Bundle:
    """Return a bundle with so many tasks."""
    return replace(bundle, tasks=tuple(replace(bundle.tasks[0], name=f"task{n}") for n in range(tasks)))


@pytest.mark.parametrize("text", ["", "1,2,3", "a,b,c,d", "0,0,0,0", "0.5,0,0.6,1", "0,0,1,1,1", "nan,0,1,1"])
def test_a_wrong_region_is_refused(text: str) -> None:
    """The error names what was written and how it is written."""
    with pytest.raises(SettingsError, match=r"region: got .*LEFT,TOP,WIDTH,HEIGHT"):
        region_of(text)


def test_a_region_is_read() -> None:
    """Four shares of the picture; none when not given."""
    assert region_of(None) is None
    region = region_of("0.25, 0.5,0.5,0.5")
    assert isinstance(region, Region)
    assert region.box(np.zeros((200, 400, 3), np.uint8)) == (100, 100, 200, 100)


def test_settings_reach_the_device(tmp_path: Path, bundle: Bundle) -> None:
    """`--crop region --region …` cuts that part of every picture, at its full size."""
    settings = EdgeSettings(
        source=str(write_pictures(tmp_path / "pictures", 1)),
        bundle=str(bundle.folder),
        crop="region",
        region="0,0,0.5,1",
        spool=tmp_path / "spool",
    )
    device = build_device(settings)
    body = device._control.head.run(PICTURE, Stopwatch())
    expected = prepare_head(bundle, Engine(bundle.model_path), "device", "auto").run(
        np.ascontiguousarray(PICTURE[:, :15]), Stopwatch()
    )
    assert isinstance(body, Finished)
    assert body == expected
    assert isinstance(body.predictions[0], Prediction)
    device._spool.close()


def test_a_model_without_rows_takes_one_face(bundle: Bundle, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a tensor does not begin with the number of pictures, several faces are refused before the first frame."""
    monkeypatch.setattr("edge.head.StagedHead.takes_rows", False)
    with pytest.raises(SettingsError, match="one picture at a time up to conv_a; add --max-faces 1"):
        prepare_head(bundle, engine, "conv_a", "auto", crop=Stripes(2))
    body = prepare_head(bundle, engine, "conv_a", "auto", crop=Stripes(1, most=1)).run(PICTURE, Stopwatch())
    assert isinstance(body, Activation)
    assert len(Stripes(1).cut(PICTURE, 8, 8)) == 1
    assert isinstance(Stripes(1).cut(PICTURE, 8, 8)[0], Cut)
