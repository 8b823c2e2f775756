"""The faces model that ships: small, whole, and as right as its card says."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from models.answers import outcome
from models.bundle import SHIPPED, Bundle, find_bundles
from models.engine import Engine
from models.graph import Graph
from models.judge import judge, temperatures_of
from models.samples import read_samples
from models.stages import exits_before
from tests.face_models import need_face_models

FACES = Path(__file__).parents[3] / "shared" / "data" / "faces" / "utkface_200px.tar"
PICTURES = 300


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.load("faces")


def test_it_ships_small_and_whole(bundle: Bundle) -> None:
    """The folder loads by name and by digest, holds at most 4 MB and a card; it is int8 throughout and wants faces."""
    assert sum(path.stat().st_size for path in bundle.folder.iterdir()) <= 4_000_000
    assert (bundle.folder / "MODEL_CARD.md").is_file()
    assert find_bundles([])[bundle.digest].folder == SHIPPED / "faces"
    assert bundle.digest == hashlib.sha256(bundle.model_path.read_bytes()).hexdigest()
    graph = Graph.read(bundle.model_path)
    assert not [tensor.name for tensor in graph.tensors if tensor.dtype.startswith("float")]
    assert bundle.input.crop == "face"


def test_its_exits_stand_where_frames_are_cut(bundle: Bundle) -> None:
    """Both exits come before the deeper splits and answer every task; all offered cut points are the graph's."""
    engine = Engine(bundle.model_path, outputs=bundle.finals)
    assert [found.name for found in exits_before(engine, bundle, "block_9_add")] == ["exit1", "exit2"]
    assert [found.name for found in exits_before(engine, bundle, "block_7_add")] == ["exit1"]
    assert all(set(found.outputs) == {task.name for task in bundle.tasks} for found in bundle.exits)
    names = [point.name for point in engine.graph.cut_points()]
    assert list(bundle.cut_points) == [name for name in names if name in bundle.cut_points]


def test_it_is_as_right_as_its_card_says(bundle: Bundle) -> None:
    """On real faces that it never saw it is right within what so few pictures can tell; most leave early."""
    if not FACES.is_file():
        if os.environ.get("CI"):
            pytest.fail(f"{FACES} is missing")
        pytest.skip("the pictures of faces are not here")
    need_face_models()
    unseen = [sample for sample in read_samples(FACES, bundle.tasks) if sample.part == "test"]
    samples = sorted(unseen, key=lambda sample: sample.digest)[:PICTURES]
    answers = judge(bundle, samples).answers.tempered(temperatures_of(bundle))
    found = outcome(answers, {one.name: one.thresholds for one in bundle.exits}, bundle.exits[0].rule)
    written = {(row.task, row.metric): row.value for row in bundle.accuracy if row.data.endswith("utkface_200px")}
    for task in ("gender", "age-group"):
        assert found.accuracy[task] == pytest.approx(written[task, "accuracy with exits"], abs=0.06)
    assert found.error["age"] == pytest.approx(written["age", "mean absolute error with exits"], abs=1.5)
    assert found.early > 0.4
