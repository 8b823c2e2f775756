"""The thesis's network for faces: what learns, what stays, and going on after an interruption."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from models.pictures import DataError
from models.samples import Sample
from models.training.face_order import FaceOrder
from models.training.face_vgg16 import COPIES, THESIS
from models.training.fit import Schedule
from models.zoo import vgg16
from models.zoo.faces_vgg16 import EXITS, SPLIT, faces_vgg16, load_imagenet

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
SIZE, FACES, EPOCHS, BATCH = 32, 6, 2, 4
BEFORE = ("block1_conv1", "block2_conv2", "block4_conv3")


class _Progress:
    """Counts the steps, and interrupts a training where it is told to."""

    def __init__(self, stop_at: str = "") -> None:
        self.seen, self._stop_at = 0.0, stop_at

    def expect(self, steps: float) -> None: ...

    def say(self, text: str) -> None:
        if text == self._stop_at:
            raise _Interrupted

    def step(self, count: float) -> None:
        self.seen += count


class _Interrupted(Exception):
    pass


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made-up convolutions under the names of Keras's VGG16."""
    keras.utils.set_random_seed(3)
    model, arrays = faces_vgg16(SIZE), {}
    for name in vgg16.convolution_names():
        kernel, bias = model.get_layer(name).get_weights()
        arrays |= {f"{name}/kernel": kernel.astype(np.float16), f"{name}/bias": bias.astype(np.float16)}
    path = tmp_path_factory.mktemp("weights") / "vgg16.npz"
    np.savez(path, **arrays)
    return path


def _order(work: Path, weights: Path | None) -> FaceOrder:
    schedule = Schedule(EPOCHS, BATCH, 1e-3, average=0.9)
    return FaceOrder(THESIS, (), work, work, size=SIZE, schedule=schedule, weights=weights)


def _train(work: Path, weights: Path | None, progress: _Progress) -> tuple[keras.Model, tuple[float, ...]]:
    random = np.random.default_rng(1)
    pictures = list(random.integers(0, 256, (FACES, 38, 38, 3), np.uint8))
    targets = [{"gender": n % 2, "age": 10.0 * n, "age-group": n % 5} for n in range(FACES)]
    samples = [Sample(f"{n}.jpg", f"{n:064x}", "train", known, b"") for n, known in enumerate(targets)]
    return THESIS.train(_order(work, weights), pictures, samples, work / "kept", progress)


@pytest.fixture(scope="module")
def trained(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[keras.Model, tuple[float, ...], float]:
    """A network trained without an interruption, its losses, and the steps that were counted."""
    progress = _Progress()
    model, losses = _train(tmp_path_factory.mktemp("whole"), weights, progress)
    return model, losses, progress.seen


def test_only_what_lies_behind_the_split_learns(
    trained: tuple[keras.Model, tuple[float, ...], float], weights: Path, tmp_path: Path
) -> None:
    """Before the split the convolutions stay ImageNet's; the last block, the dense layer and both branches learn."""
    model, losses, steps = trained
    keras.utils.set_random_seed(0)
    untrained = faces_vgg16(SIZE)
    with np.load(weights) as arrays:
        load_imagenet(untrained, dict(arrays))
    for name in BEFORE:
        assert np.array_equal(model.get_layer(name).get_weights()[0], untrained.get_layer(name).get_weights()[0])
    for name in ("block5_conv1", "dense128", "exit1_conv1", "exit2_conv1", "exit1_gender", "age"):
        assert not np.array_equal(model.get_layer(name).get_weights()[0], untrained.get_layer(name).get_weights()[0])
    assert len(losses) == EPOCHS
    assert steps == pytest.approx(FACES * THESIS.passes(_order(tmp_path, weights)), abs=BATCH * 2 * EPOCHS)


def test_an_interrupted_training_keeps_its_stages(
    trained: tuple[keras.Model, tuple[float, ...], float], weights: Path, tmp_path: Path
) -> None:
    """What was computed before an interruption is not computed again, and the end is the same."""
    whole, losses, _ = trained
    for stage in ("training what lies behind the split", "training exit 1"):
        with pytest.raises(_Interrupted):
            _train(tmp_path, weights, _Progress(stage))
    kept = [next(tmp_path.rglob(name)) for name in ("features.npy", "behind.npz")]
    written_ns = [path.stat().st_mtime_ns for path in kept]
    resumed, again = _train(tmp_path, weights, _Progress())
    last = next(tmp_path.rglob("exit1.npz")).stat().st_mtime_ns
    judged_later, _ = _train(tmp_path, weights, _Progress())
    assert [path.stat().st_mtime_ns for path in kept] == written_ns
    assert next(tmp_path.rglob("exit1.npz")).stat().st_mtime_ns == last
    assert again == losses
    for model in (resumed, judged_later):
        for one, other in zip(whole.get_weights(), model.get_weights(), strict=True):
            assert np.array_equal(one, other)


def test_exits_stand_where_the_document_has_them() -> None:
    """Behind block2_pool and block4_pool, which is the split and has the document's 100,352 values at 224 pixels."""
    assert EXITS == {"exit1": "block2_pool", "exit2": SPLIT}
    model = faces_vgg16()
    assert np.prod(model.get_layer(SPLIT).output.shape[1:]) == 100_352
    assert model.get_layer("dense128").input.shape[1:] == (25_088,)
    assert COPIES >= 1


def test_weights_are_asked_for(tmp_path: Path) -> None:
    """Without ImageNet's convolutions there is nothing to begin with."""
    with pytest.raises(DataError, match="no weights were given, expected ImageNet's convolutions of VGG16; give"):
        _train(tmp_path, None, _Progress())
