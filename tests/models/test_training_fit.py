"""Training a network with exits: joint, separate, distilled, and going on after an interruption."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import IO

import keras
import numpy as np
import pytest

from models.choices import Colour
from models.errors import ModelError
from models.pictures import HIGH, LOW, DataError, to_input
from models.samples import Sample
from models.tasks import Task
from models.training.batches import Batches, Labelled, balanced, labelled
from models.training.epochs import Epochs, read_epochs
from models.training.fit import Aim, Mode, Schedule, answers, fit
from models.training.plan import prepared

TASKS = (Task("square", "classification", "square", ("no", "yes")), Task("light", "regression", "light"))
PICTURES = 320
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def data() -> Labelled:
    """Dark noise, half of it with a red square; its blue is its light. Of a tenth the light is not known."""
    rng = np.random.default_rng(0)
    square, light = rng.integers(0, 2, PICTURES), rng.uniform(0, 80, PICTURES).astype(np.float32)
    pictures = rng.integers(0, 60, (PICTURES, 16, 16, 3), np.uint8)
    pictures[square == 1, 4:12, 4:12, 0] += 90
    pictures[..., 2] = (light * 2)[:, None, None]
    known = np.where(rng.random(PICTURES) < 0.1, np.nan, light)
    return Labelled(pictures, {"square": square.astype(np.float32), "light": known.astype(np.float32)})


def _network(units: int = 16) -> keras.Model:
    keras.utils.set_random_seed(1)
    image = keras.Input((16, 16, 3), name="image")
    first = keras.layers.Conv2D(8, 3, 2, "same", activation="relu", name="first")(image)
    second = keras.layers.Conv2D(units, 3, 2, "same", activation="relu", name="second")(first)
    outputs = {}
    for prefix, x in (("exit1/", first), ("", second)):
        mean = keras.layers.Dropout(0.2)(keras.layers.GlobalAveragePooling2D()(x))
        outputs[f"{prefix}square"] = keras.layers.Dense(2, activation="softmax")(mean)
        outputs[f"{prefix}light"] = keras.layers.Dense(1)(mean)
    return keras.Model(image, outputs)


def _fit(model: keras.Model, data: Labelled, mode: Mode, epochs: int = 4, **options: object) -> list[float]:
    schedule = Schedule(epochs, 16, rate=2e-2, average=0.9)
    aim = Aim(mode, weights={"light": 0.02})
    return fit(model, TASKS, Batches(data, 16), schedule, aim, **options)["loss"]  # type: ignore[arg-type]


def _right(model: keras.Model, data: Labelled, output: str) -> float:
    said = answers(model, data, Batches(data))[output]
    return float((said.argmax(axis=1) == data.targets["square"]).mean())


def test_joint_training_teaches_every_output(data: Labelled) -> None:
    """The loss falls, exit and final answer learn, and targets that are not known do no harm."""
    model = _network()
    losses = _fit(model, data, "joint", epochs=8)
    assert losses[-1] < losses[0] / 2
    assert _right(model, data, "square") > 0.9
    assert _right(model, data, "exit1/square") > 0.9


@pytest.mark.parametrize("mode", ["separate", "distilled"])
def test_exits_learn_on_a_frozen_network(data: Labelled, mode: Mode) -> None:
    """Only the branches change: what the network says in the end stays the same to the last bit."""
    model = _network()
    before = answers(model, data, Batches(data))
    _fit(model, data, mode, epochs=20)
    after = answers(model, data, Batches(data))
    for name in ("square", "light"):
        assert np.array_equal(before[name], after[name])
    gap = {name: np.abs(before[name] - after[name]).max() for name in before}
    assert gap["exit1/square"] > 0.01
    if mode == "separate":
        assert _right(model, data, "exit1/square") > 0.8


def test_a_distilled_exit_follows_the_final_answer(data: Labelled) -> None:
    """With the final answer as only teacher the exit comes to say what a trained network says in the end."""
    model = _network()
    _fit(model, data, "joint", epochs=4)
    fit(model, TASKS, Batches(data), Schedule(6, rate=1e-2), Aim("distilled", {"light": 0.05}, teacher=1.0))
    said = answers(model, data, Batches(data))
    assert (said["exit1/square"].argmax(axis=1) == said["square"].argmax(axis=1)).mean() > 0.95


class _Interrupted(Exception):
    pass


class _Interruption:
    """Ends a training in its third epoch."""

    def __init__(self) -> None:
        self.seen = 0.0

    def expect(self, steps: float) -> None: ...
    def say(self, text: str) -> None: ...

    def step(self, count: float) -> None:
        self.seen += count
        if self.seen > 2.5 * PICTURES:
            raise _Interrupted


def test_an_interrupted_training_ends_where_it_would_have(data: Labelled, tmp_path: Path) -> None:
    """A training that was killed goes on after its last whole epoch and gives the very same weights and losses."""
    whole, resumed = _network(), _network()
    losses = _fit(whole, data, "joint", resume=tmp_path / "a.npz")
    assert len(losses) == 4
    with pytest.raises(_Interrupted):
        _fit(resumed, data, "joint", resume=tmp_path / "b.npz", progress=_Interruption())
    for _ in ("goes on", "is done already"):
        resumed = _network()
        assert _fit(resumed, data, "joint", resume=tmp_path / "b.npz") == losses
        for one, other in zip(whole.get_weights(), resumed.get_weights(), strict=True):
            assert np.array_equal(one, other)


def test_what_is_kept_of_a_training_is_whole(data: Labelled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill while the file is written leaves the one of the epoch before; a damaged or foreign one is named."""
    kept = tmp_path / "kept.npz"
    _fit(_network(), data, "joint", epochs=1, resume=kept)
    before = kept.read_bytes()

    def cut_short(file: IO[bytes], **arrays: object) -> None:
        file.write(b"PK")
        raise _Interrupted

    with monkeypatch.context() as patch:
        patch.setattr("models.training.checkpoint.np.savez", cut_short)
        with pytest.raises(_Interrupted):
            _fit(_network(), data, "joint", epochs=2, resume=kept)
    assert kept.read_bytes() == before
    with pytest.raises(DataError, match=r"kept\.npz is of another network; remove it"):
        _fit(_network(units=8), data, "joint", epochs=2, resume=kept)
    kept.write_bytes(before[: len(before) // 2])
    with pytest.raises(DataError, match=r"kept\.npz cannot be read: .*; remove it to train from the start"):
        _fit(_network(), data, "joint", epochs=2, resume=kept)


def test_every_epoch_is_written_down_once(data: Labelled, tmp_path: Path) -> None:
    """What was said after each epoch survives an interruption; the epochs that are trained again replace their rows."""
    model, seen = _network(), iter(range(10))
    epochs = Epochs(tmp_path / "epochs.csv", PICTURES, lambda: {"square": next(seen) / 10})
    with pytest.raises(_Interrupted):
        _fit(model, data, "joint", resume=tmp_path / "kept.npz", progress=_Interruption(), after_epoch=epochs)
    assert [row[0] for row in read_epochs(tmp_path / "epochs.csv")] == [1, 2]
    _fit(_network(), data, "joint", resume=tmp_path / "kept.npz", after_epoch=epochs)
    rows = read_epochs(tmp_path / "epochs.csv")
    assert [row[:3] for row in rows] == [(n, "square", (n - 1) / 10) for n in range(1, 5)]
    epochs(1)
    assert [row[0] for row in read_epochs(tmp_path / "epochs.csv")] == [1, 2]
    assert rows[0][3] == PICTURES


@pytest.mark.parametrize("cut", [2, 5, 12, 22, 60])
def test_a_broken_list_of_epochs_is_named(cut: int, tmp_path: Path) -> None:
    """Wherever a line breaks off, it is one clear error, also when a training goes on."""
    whole, path = b"epoch,answer,accuracy,pictures\r\n1,final,0.5,100\r\n2,final,0.75,100\r\n", tmp_path / "epochs.csv"
    path.write_bytes(whole[:-cut])
    with pytest.raises(ModelError, match=r"epochs.csv is broken, .* remove it"):
        read_epochs(path)
    with pytest.raises(ModelError, match="is broken"):
        Epochs(path, 100, lambda: {"final": 1.0})(2)
    assert path.read_bytes() == whole[:-cut]


def test_epochs_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """Where writing breaks off, what was there before stays."""

    class Full:
        def __str__(self) -> str:
            raise OSError(28, "No space left on device")

    path = tmp_path / "epochs.csv"
    Epochs(path, 100, lambda: {"final": 0.5})(0)
    before = path.read_bytes()
    with pytest.raises(OSError, match="No space"):
        Epochs(path, 100, lambda: {"final": 0.5, Full(): 0.5})(1)
    assert path.read_bytes() == before


@pytest.mark.parametrize("colour", ["RGB", "BGR", "grey"])
def test_a_training_sees_the_colours_that_a_device_sees(data: Labelled, colour: Colour) -> None:
    """Grey is the luma of a picture, not one of its channels, in training as on a device."""
    spec = SimpleNamespace(dtype=np.float32, scale=0.0, zero_point=0)
    device = [to_input(picture, spec, LOW, HIGH, colour)[0] for picture in data.pictures[:4]]
    assert np.array_equal(prepared(data.pictures[:4], colour), device)


def test_rare_classes_weigh_more() -> None:
    """Balanced weights give each class the same share; of mean 1 over the pictures, unknown targets left out."""
    targets = np.array([0] * 8 + [1] * 2 + [np.nan])
    assert balanced(targets, 3).tolist() == pytest.approx([0.625, 2.5, 0.0])
    assert balanced(targets, 2, power=0.0).tolist() == [1.0, 1.0]


def test_targets_that_a_sample_lacks_are_not_known() -> None:
    """A sample without a task's target gives NaN there, and weight 0 in its batch."""
    samples = [Sample("a", "0", "train", {"square": 1}, b""), Sample("b", "1", "train", {"light": 7.0}, b"")]
    found = labelled([np.zeros((2, 2, 3), np.uint8)] * 2, samples, TASKS)
    assert found.targets["square"].tolist()[0] == 1.0
    assert np.isnan(found.targets["square"][1])
    _, targets, weights = Batches(found, 2)[0]
    assert sorted(weights["square"].tolist()) == [0.0, 1.0]
    assert np.isfinite(targets["square"]).all()
