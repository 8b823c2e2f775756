"""`headwater models train litter` from pictures to bundles, and its errors."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data as photographs

from models.bundle import Bundle
from models.engine import Engine
from models.errors import ModelError
from models.graph import Graph
from models.pictures import DataError
from models.training.commands import TrainingMissing, litter
from models.training.weights import find_weights

needs_tensorflow = pytest.mark.skipif(
    not os.environ.get("CI") and not any((Path(p) / "tensorflow").is_dir() for p in sys.path),
    reason="training needs TensorFlow",
)


SHARED = Path(__file__).parents[3] / "shared" / "data" / "weights" / "mobilenet_v2_imagenet_torchvision.npz"
CLEAN = ("brick", "gravel", "grass", "moon", "page", "retina")
DIRTY = ("coffee", "chelsea", "astronaut", "rocket", "hubble_deep_field", "coins")
TRAIN = """
import sys
from pathlib import Path
from models.training.commands import litter
data, weights, output = map(Path, sys.argv[1:])
litter(data=data, weights=weights, output=output, size=32, epochs_head=2, epochs_fine=1, folds=1, data_source="a shelf")
"""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve photographs of scikit-image, six for each label."""
    folder = tmp_path_factory.mktemp("pictures")
    for label, names in (("clean", CLEAN), ("dirty", DIRTY)):
        (folder / label).mkdir()
        for name in names:
            Image.fromarray(getattr(photographs, name)()).save(folder / label / f"{name}.png")
    return folder


@pytest.fixture(scope="module")
def weights() -> Path:
    """ImageNet's weights."""
    try:
        return find_weights(SHARED if SHARED.exists() else None)
    except DataError as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))


@pytest.mark.timeout(400)
@needs_tensorflow
def test_a_small_training_writes_bundles_that_run(pictures: Path, weights: Path, tmp_path: Path) -> None:
    """From twelve pictures to two bundles: both load, run, agree about the cuts, and carry a card."""
    arguments = [sys.executable, "-c", TRAIN, str(pictures), str(weights), str(tmp_path)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(tmp_path / name) for name in ("litter-32-fp32", "litter-32")]
    assert "100%" in done.stderr
    assert "I0000" not in done.stderr
    small, large = Bundle.load(tmp_path / "litter-32"), Bundle.load(tmp_path / "litter-32-fp32")
    assert small.model_path.stat().st_size < 0.4 * large.model_path.stat().st_size
    assert small.cut_points == large.cut_points
    for bundle in (small, large):
        names = {point.name for point in Graph.read(bundle.model_path, outputs=bundle.finals).cut_points()}
        assert set(bundle.cut_points) <= names
        part = Engine(bundle.model_path).whole()
        assert [spec.name for spec in part.outputs] == ["litter", "exit1/litter"]
        for scores in part.run(np.zeros(part.inputs[0].shape, part.inputs[0].dtype)):
            assert scores.shape == (1, 2)
        assert [(found.name, found.after) for found in bundle.exits] == [("exit1", "block_7_add")]
        card = (bundle.folder / "MODEL_CARD.md").read_text()
        assert "- a shelf" in card
        assert "12 pictures (6 clean, 6 dirty)" in card
        assert "all folds" not in card
        assert "## Early exit" in card


@needs_tensorflow
def test_folders_that_cannot_be_used_are_named(pictures: Path, weights: Path, tmp_path: Path) -> None:
    """A missing folder, a missing weights file and a number out of range each give one clear line."""
    with pytest.raises(DataError, match=r"gone/clean is no folder"):
        litter(data=tmp_path / "gone", weights=weights, output=tmp_path)
    with pytest.raises(DataError, match=r"gone.npz is no file"):
        litter(data=pictures, weights=tmp_path / "gone.npz", output=tmp_path)
    with pytest.raises(ModelError, match="--size is 100, expected a multiple of 32"):
        litter(data=pictures, size=100)


def test_missing_tensorflow_is_said(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Keras the command names the extra that brings it."""
    for name in [name for name in sys.modules if name.startswith(("models.training.", "models.zoo", "keras"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(TrainingMissing, match=r"keras is missing, needed to train; install the extra training"):
        litter(data=pictures)
