"""The faces model: its network, the copies it learns from, and what its card says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from models.answers import Answers, Place
from models.bundle import Bundle
from models.calibration import calibrate
from models.crop import NothingFound
from models.errors import ModelFileError
from models.pictures import DataError, centred, encode_png
from models.samples import Sample
from models.training.convert import to_float
from models.training.equalise import equalise
from models.training.face_card import accuracies, card, write_outcomes
from models.training.face_light import LIGHT
from models.training.face_order import FaceOrder
from models.training.face_training import FaceOutcome, source_names, train_faces, unfinished_key
from models.training.faces import FaceChanges, middle
from models.zoo.faces import BRANCHES, EXITS, TASKS, faces

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
SIZE = 32
LABELS = {task.name: task.labels for task in TASKS}


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """The network without training, small pictures."""
    keras.utils.set_random_seed(0)
    return faces(SIZE)


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    """Faces that are noise, with the margin of training."""
    return np.random.default_rng(0).integers(0, 256, (4, 38, 38, 3), np.uint8)


def test_every_place_answers_every_task(model: keras.Model) -> None:
    """Both exits and the end give gender, age and age group; the whole fits four megabytes in int8."""
    names = {f"{prefix}{task.name}" for prefix in ("", *(f"{name}/" for name in EXITS)) for task in TASKS}
    assert set(model.output) == names
    assert model.count_params() < 3_900_000


def test_evening_out_the_channels_changes_no_answer(model: keras.Model, pictures: np.ndarray) -> None:
    """Exits read the channels that are rescaled: end and exits say the same afterwards."""
    inputs = centred(middle(pictures, SIZE))
    before = {name: np.asarray(values) for name, values in model.predict_on_batch(inputs).items()}
    weights = model.get_weights()
    equalise(model, inputs, BRANCHES)
    after = model.predict_on_batch(inputs)
    assert any(not np.array_equal(a, b) for a, b in zip(weights, model.get_weights(), strict=True))
    for name, values in before.items():
        assert np.allclose(values, after[name], rtol=1e-3, atol=1e-4)


def test_copies_are_repeatable_and_of_the_networks_size(pictures: np.ndarray) -> None:
    """The same random numbers give the same copies, others others; the margin is gone."""
    change = FaceChanges()
    first = change(pictures, np.random.default_rng(1))
    assert first.shape == (4, SIZE, SIZE, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, change(pictures, np.random.default_rng(1)))
    assert not np.array_equal(first, change(pictures, np.random.default_rng(2)))


def test_a_blank_lies_over_copies_that_are_otherwise_the_same(pictures: np.ndarray) -> None:
    """A square of the asked share of the side at most is mid-grey; nothing else differs."""
    plain = FaceChanges()(pictures, np.random.default_rng(1))
    blanked = FaceChanges(blank=0.25)(pictures, np.random.default_rng(1))
    for before, after in zip(plain, blanked, strict=True):
        rows, columns = np.nonzero((before != after).any(axis=2))
        assert 1 <= np.ptp(rows) + 1 <= SIZE // 4
        assert 1 <= np.ptp(columns) + 1 <= SIZE // 4
        assert np.ptp(after[rows, columns]) == 0


def test_the_middle_of_a_margin_is_what_a_device_cuts(pictures: np.ndarray) -> None:
    """Three pixels of margin are left away on each side."""
    assert np.array_equal(middle(pictures, SIZE), pictures[:, 3:35, 3:35])


def _answers(count: int, seed: int) -> Answers:
    """Made-up faces: exits that are mostly right, an end that is right more often."""
    rng = np.random.default_rng(seed)
    truth = {task.name: rng.integers(0, len(task.labels), count) for task in TASKS if task.labels}
    ages = rng.uniform(0, 90, count)
    places = []
    for name, skill, madds in (("exit1", 5.0, 40), ("exit2", 6.0, 60), ("end", 7.0, 100)):
        scores = {}
        for task, labels in truth.items():
            logits = rng.normal(0, 1, (count, len(LABELS[task])))
            logits[np.arange(count), labels] += skill
            powers = np.exp(logits)
            scores[task] = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
        places.append(Place(name, scores, madds, {"age": ages + rng.normal(0, 10 - skill, count)}))
    return Answers(tuple(places[:2]), places[2], truth, {"age": ages})


def _outcome(folder: Path, content: bytes, test: Mapping[str, Answers]) -> FaceOutcome:
    validated = _answers(3000, 1)
    order = FaceOrder(
        LIGHT, (), folder, folder, size=SIZE, schedule=LIGHT.schedule, source="made-up faces", licence="none"
    )
    return FaceOutcome(
        order=order,
        precision="fp32",
        content=content,
        calibration=calibrate(validated, "entropy", 0.02, 0.9),
        validated=validated,
        test=test,
        pictures={"train": 10, "validation": 3000, "test": 600},
        passed_over=1,
        losses=(3.0, 1.0),
        versions="none",
        kept=folder / "unfinished",
    )


def test_a_written_bundle_says_what_was_measured(model: keras.Model, pictures: np.ndarray, tmp_path: Path) -> None:
    """Thresholds, temperatures and accuracies are in the bundle.toml, the groups' figures in the card.

    What was kept against an interruption is removed after that, and not before.
    """
    content = to_float(model, centred(middle(pictures, SIZE)))
    found = _outcome(tmp_path, content, {"large": _answers(400, 2), "small": _answers(200, 3)})
    found.kept.mkdir()
    with pytest.raises(ModelFileError):
        write_outcomes([replace(found, content=b"no model")])
    assert found.kept.is_dir()
    bundle = Bundle.load(write_outcomes([found])[0])
    assert not found.kept.exists()
    assert bundle.name == f"faces-{SIZE}-fp32"
    assert bundle.input.crop == "face"
    assert [exit_.name for exit_ in bundle.exits] == ["exit1", "exit2"]
    assert any(exit_.thresholds.keys() == {"gender", "age-group"} for exit_ in bundle.exits)
    assert bundle.exits[0].temperatures["gender"] > 0
    metrics = {(one.task, one.metric, one.data) for one in bundle.accuracy}
    assert ("age", "mean absolute error with exits", "test part of small") in metrics
    assert {one.pictures for one in bundle.accuracy} == {600, 400, 200}
    text = card(found)
    assert "| all | end | 600 |" in text
    assert "age-group: 60+" in text
    assert "Other files of the same photograph may lie in two parts" in " ".join(text.split())
    assert f"{LIGHT.schedule.epochs} epochs" in text


def test_what_is_not_known_counts_for_nothing(tmp_path: Path) -> None:
    """Figures are over the pictures of which a task is known; a source that knows none of a task has none."""
    known = _answers(400, 2)
    half = np.arange(400) < 200
    gaps = replace(
        known,
        truth={task: np.where(half, truth, -1) for task, truth in known.truth.items()},
        true_values={"age": np.where(half, known.true_values["age"], np.nan)},
    )
    genders = replace(
        known, truth={**known.truth, "age-group": np.full(400, -1)}, true_values={"age": np.full(400, np.nan)}
    )
    found = _outcome(tmp_path, b"model", {"half": gaps, "whole": known.rows(half), "genders": genders})
    rows = {
        tuple(line.split(" | ")[:2]): line.split(" | ")[2:] for line in card(found).splitlines() if " | end | " in line
    }
    assert rows["| half", "end"][1:] == rows["| whole", "end"][1:]
    assert rows["| genders", "end"][2:] == ["", " |"]
    figures = {(one.task, one.metric): one for one in accuracies(found) if one.data == "test part of genders"}
    assert {task for task, _ in figures} == {"gender"}
    assert figures["gender", "accuracy"].pictures == 400
    assert "nan" not in card(found)


def _sources(root: Path, *names: str) -> list[Path]:
    """Folders of 40 pictures each, named as in UTKFace."""
    rng = np.random.default_rng(0)
    for name in names:
        (root / name).mkdir(parents=True)
        for number in range(40):
            picture = encode_png(rng.integers(0, 256, (8, 8, 3), np.uint8))
            (root / name / f"{number + 1}_{number % 2}_0_.png").write_bytes(picture)
    return [root / name for name in names]


class _Told:
    """Writes down what a training says."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def expect(self, steps: float) -> None: ...
    def step(self, count: float) -> None: ...

    def say(self, text: str) -> None:
        self.said.append(text)


def _order(folder: Path, *data: Path) -> FaceOrder:
    return FaceOrder(LIGHT, data, folder, folder / "work", size=SIZE, schedule=LIGHT.schedule)


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (("faces.tar",), ["faces"]),
        (("a/faces", "a/others.tar", "a/faces"), ["faces", "others"]),
        (("a/faces", "b/faces"), ["a/faces", "b/faces"]),
        (("a/faces", "a/faces.tar"), ["faces", "faces.tar"]),
        (("a/all",), ["a/all"]),
    ],
)
def test_sources_of_one_name_are_told_apart(tmp_path: Path, data: tuple[str, ...], names: list[str]) -> None:
    """No source takes the place of another, nor of all together; one given twice counts once."""
    assert list(source_names([tmp_path / name for name in data]).values()) == names


def test_data_that_could_not_be_judged_is_refused_before_the_training(tmp_path: Path) -> None:
    """A source without test pictures of its own, and pictures without any face, are one line each, at the start."""
    first, second = _sources(tmp_path, "first", "second")
    for path in second.iterdir():
        path.unlink()
    for path in first.iterdir():
        (second / path.name).write_bytes(path.read_bytes())
    told = _Told()
    with pytest.raises(DataError, match=r"^second has no picture of the part test that no source before it has"):
        train_faces(_order(tmp_path, first, second), told)
    assert told.said == ["reading pictures"]


def test_pictures_without_a_face_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no training picture shows a face the training says so, and leaves nothing behind."""
    monkeypatch.setattr("models.training.faces.FaceCrop", lambda **options: None)
    monkeypatch.setattr("models.training.faces.read_cuts", lambda *given: [])
    with pytest.raises(NothingFound, match="the crop face finds nothing in any of"):
        train_faces(_order(tmp_path, *_sources(tmp_path, "noise")), _Told())
    assert not (tmp_path / "work").exists()


def test_an_unfinished_training_is_found_by_what_it_learns_from(tmp_path: Path) -> None:
    """Other pictures, other labels, another size, schedule or start are another training."""
    one, other = (Sample("a", digest * 64, "train", {"age": 3.0}, b"") for digest in "12")
    order = _order(tmp_path)
    (tmp_path / "w.npz").write_bytes(b"weights")
    keys = [
        unfinished_key(order, [one]),
        unfinished_key(order, [other]),
        unfinished_key(order, [replace(one, targets={"age": 4.0})]),
        unfinished_key(replace(order, size=64), [one]),
        unfinished_key(replace(order, schedule=replace(order.schedule, rate=1.0)), [one]),
        unfinished_key(replace(order, weights=tmp_path / "w.npz"), [one]),
    ]
    assert len(set(keys)) == len(keys)
    assert keys[0] == unfinished_key(_order(tmp_path), [replace(one, name="b")])


def test_judging_leaves_a_bundle_that_is_there_alone(
    model: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until everything is measured, nothing is written where the bundle of an earlier training lies."""
    asked: list[Path] = []

    def judged(bundle: Bundle, *given: object, **options: object) -> None:
        asked.append(bundle.folder)
        raise KeyboardInterrupt

    monkeypatch.setattr("models.training.face_training.judge", judged)
    monkeypatch.setattr(
        "models.training.face_training.cut_faces",
        lambda samples, *given: ([np.zeros((38, 38, 3), np.uint8)] * len(samples), list(samples)),
    )
    net = replace(LIGHT, train=lambda *given: (model, (1.0,)), settle=lambda *given: None)
    order = replace(_order(tmp_path / "out", *_sources(tmp_path, "data")), net=net)
    with pytest.raises(KeyboardInterrupt):
        train_faces(order, _Told())
    assert len(asked) == 1
    assert not (tmp_path / "out").exists()
