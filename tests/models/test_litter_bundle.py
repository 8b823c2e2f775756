"""The litter model that ships: small, whole, and as right as its card says."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from skimage import data as photographs

from models.answers import outcome
from models.bundle import SHIPPED, Bundle, BundleError, find_bundles
from models.engine import Engine
from models.graph import Graph
from models.judge import judge as judge_samples
from models.parts import chosen_samples
from models.pictures import decode_to_fit, fit, to_input
from models.tasks import Prediction, predictions

PICTURES = Path(__file__).parents[3] / "shared" / "data" / "litter"
ENOUGH_BYTES = 3_000_000
BY_HAND = 0.9
"""The threshold that the card's table is for."""


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.load("litter")


@pytest.fixture(scope="module")
def engine(bundle: Bundle) -> Engine:
    return Engine(bundle.model_path, outputs=bundle.finals)


def judge(bundle: Bundle, engine: Engine, picture: np.ndarray) -> Prediction:
    whole = engine.whole()
    outputs = whole.run(to_input(picture, whole.inputs[0], bundle.input.low, bundle.input.high))
    (found,) = predictions(bundle, outputs, whole.outputs)
    return found


def test_it_ships_small_and_whole(bundle: Bundle) -> None:
    """The folder loads by name and by digest, holds at most 3 MB, and a card."""
    files = sorted(path.name for path in bundle.folder.iterdir())
    assert files == ["MODEL_CARD.md", "bundle.toml", "held_out.txt", "model.tflite"]
    assert sum(path.stat().st_size for path in bundle.folder.iterdir()) <= ENOUGH_BYTES
    assert find_bundles([])[bundle.digest].model_path == SHIPPED / "litter" / "model.tflite"
    assert bundle.digest == hashlib.sha256(bundle.model_path.read_bytes()).hexdigest()


def test_it_is_int8_throughout(bundle: Bundle) -> None:
    """No tensor is in floating point, and every pixel value has its own step."""
    graph = Graph.read(bundle.model_path)
    assert not [tensor.name for tensor in graph.tensors if tensor.dtype.startswith("float")]
    ramp = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    (image,) = graph.inputs
    assert np.array_equal(to_input(ramp, image, bundle.input.low, bundle.input.high)[0], ramp.astype(int) - 128)


def test_it_offers_its_cut_points_in_order(bundle: Bundle) -> None:
    """Every cut point offered is one of the graph, in the order of execution."""
    names = [point.name for point in Graph.read(bundle.model_path, outputs=bundle.finals).cut_points()]
    assert list(bundle.cut_points) == [name for name in names if name in bundle.cut_points]
    assert len(bundle.cut_points) >= 14


@pytest.mark.parametrize("name", ["chelsea", "coffee", "astronaut", "rocket"])
def test_it_answers_for_any_picture(bundle: Bundle, engine: Engine, name: str) -> None:
    """Real photographs get one of the labels, with probabilities that add up."""
    found = judge(bundle, engine, fit(getattr(photographs, name)(), bundle.input.width, bundle.input.height))
    assert found.task == "litter"
    assert found.label in {"clean", "dirty"}
    assert sum(found.scores) == pytest.approx(1.0, abs=0.01)
    assert found.confidence == max(found.scores)


def test_its_accuracy_is_what_its_card_says(bundle: Bundle, engine: Engine) -> None:
    """On the pictures held out from its training it is right as often as manifest and card say."""
    if not PICTURES.is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"{PICTURES} is missing")
        pytest.skip("the litter pictures are not here")
    lines = (bundle.folder / "held_out.txt").read_text().splitlines()[1:]
    truth = dict(line.split() for line in lines)
    files = {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in sorted(PICTURES.rglob("*.jpg"))}
    assert set(truth) <= set(files)
    size = bundle.input.width, bundle.input.height
    right = sum(
        judge(bundle, engine, decode_to_fit(files[digest].read_bytes(), *size)).label == label
        for digest, label in truth.items()
    )
    written = bundle.accuracy[0]
    assert (written.metric, written.pictures) == ("accuracy", len(truth))
    assert right / len(truth) == pytest.approx(written.value, abs=1e-4)
    assert f"{written.value:.1%}" in (bundle.folder / "MODEL_CARD.md").read_text()


def test_its_exit_is_as_right_as_its_card_says(bundle: Bundle) -> None:
    """On the held-out pictures the exit alone, what leaves there, and both together are what the card says."""
    if not PICTURES.is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"{PICTURES} is missing")
        pytest.skip("the litter pictures are not here")
    samples = chosen_samples(bundle, PICTURES, "test")
    answers = judge_samples(bundle, samples).answers
    assert [one.thresholds for one in bundle.exits] == [{}]
    found = outcome(answers, {"exit1": {"litter": BY_HAND}}, "top-probability")
    written = next(row for row in bundle.accuracy if row.metric == "accuracy at exit1")
    assert answers.right("litter")[0].mean() == pytest.approx(written.value, abs=1e-4)
    together = round(found.accuracy["litter"] * len(samples))
    card = (bundle.folder / "MODEL_CARD.md").read_text()
    assert f"| {found.early:.0%} |" in card
    assert f"| {together} of {len(samples)} |" in card


def test_its_bare_file_is_usable_too(bundle: Bundle, engine: Engine, tmp_path: Path) -> None:
    """A .tflite file alone tells its input and its cut points; its answers are the same numbers without a label.

    All its outputs are final then: behind the exit there is no cut point that both need.
    """
    path = tmp_path / "street.tflite"
    path.write_bytes(bundle.model_path.read_bytes())
    bare = Bundle.load(path)
    assert (bare.name, bare.tasks, bare.digest) == ("street", (), bundle.digest)
    assert bare.input == bundle.input
    (found,) = bundle.exits
    assert found.after in bare.cut_points
    assert set(bundle.cut_points[: bundle.cut_points.index(found.after) + 1]) < set(bare.cut_points)
    assert find_bundles([tmp_path])[bundle.digest].tasks == ()
    picture = fit(photographs.coffee(), bundle.input.width, bundle.input.height)
    whole = Engine(path).whole()
    outputs = whole.run(to_input(picture, whole.inputs[0], bare.input.low, bare.input.high))
    final, early = predictions(bare, outputs, whole.outputs)
    assert final == Prediction("litter", None, None, None, judge(bundle, engine, picture).scores)
    assert (early.task, sum(early.scores)) == ("exit1/litter", pytest.approx(1.0, abs=0.01))


def test_a_bare_file_that_takes_no_picture_is_refused(engine: Engine, tmp_path: Path) -> None:
    """The tail of a network takes an activation: what it takes and what is expected are named."""
    path = tmp_path / "tail.tflite"
    path.write_bytes(engine.graph.extract(["features"], None))
    with pytest.raises(BundleError, match=r"has inputs .*1280.*, expected one of \(1, height, width, 3 or 1\)"):
        Bundle.load(path)
