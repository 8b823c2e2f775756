"""The faces model: its network, the copies it learns from, and what its card says."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from models.answers import Answers, Place
from models.bundle import Bundle
from models.calibration import calibrate
from models.pictures import centred
from models.training.convert import to_float
from models.training.equalise import equalise
from models.training.face_card import card, write_outcome
from models.training.face_light import LIGHT
from models.training.face_order import FaceOrder
from models.training.face_training import FaceOutcome
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


def test_a_written_bundle_says_what_was_measured(model: keras.Model, pictures: np.ndarray, tmp_path: Path) -> None:
    """Thresholds, temperatures and accuracies are in the bundle.toml, the groups' figures in the card."""
    content = to_float(model, centred(middle(pictures, SIZE)))
    validated = _answers(3000, 1)
    order = FaceOrder(
        LIGHT, (), tmp_path, tmp_path, size=SIZE, schedule=LIGHT.schedule, source="made-up faces", licence="none"
    )
    found = FaceOutcome(
        order=order,
        precision="fp32",
        content=content,
        calibration=calibrate(validated, "entropy", 0.02, 0.9),
        validated=validated,
        test={"large": _answers(400, 2), "small": _answers(200, 3)},
        pictures={"train": 10, "validation": 3000, "test": 600},
        passed_over=1,
        losses=(3.0, 1.0),
        versions="none",
    )
    bundle = Bundle.load(write_outcome(found))
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
    assert f"{LIGHT.schedule.epochs} epochs" in text
