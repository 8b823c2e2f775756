"""A staged run ends where its rules say, and gives what the whole gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.bundle import Bundle, Exit, InputSpec, Task, file_digest
from models.engine import Engine
from models.errors import ModelError
from models.exits import ExitRule
from models.stages import StagedHead, exits_before, rules_of
from tests.models import tflite_files as files

NEVER, ALWAYS = ExitRule("entropy", {"kind": 0.0}), ExitRule("entropy", {"kind": 99.0})
HOPELESS = ExitRule("entropy", {"kind": 0.0}, {"kind": 0.0})


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    path = tmp_path / "model.tflite"
    path.write_bytes(files.early_exit())
    exits = (Exit("exit1", "conv_a", {"kind": "exit1/kind"}, "entropy", {"kind": 0.6}, {}),)
    task = Task("kind", "classification", "kind", ("a", "b", "c"), scores="logits")
    return Bundle("toy", file_digest(path), path, InputSpec(8, 8, 0.0, 1.0), (task,), ("kind",), ("conv_a",), exits)


@pytest.fixture
def engine(bundle: Bundle) -> Engine:
    return Engine(bundle.model_path, outputs=bundle.outputs)


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(3).random((1, 8, 8, 3), np.float32)


def test_with_thresholds_that_never_pass_it_gives_the_whole(
    bundle: Bundle, engine: Engine, picture: np.ndarray
) -> None:
    """Staged to the end, and staged then tail, are the whole model bit for bit."""
    whole = engine.whole().run(picture)[0]
    ended = StagedHead(engine, bundle, "device", {"exit1": NEVER}).run(picture)
    assert (ended.exit, ended.predictions) == (None, [])
    assert ended.values[0].tobytes() == whole.tobytes()
    for split in ("conv_a", "conv_b"):
        head = StagedHead(engine, bundle, split, {"exit1": NEVER})
        left = engine.tail(split).run(*head.run(picture).values)[0]
        assert left.tobytes() == whole.tobytes()
        assert head.outputs[-1].tensor == engine.head(split).outputs[0].tensor


def test_with_thresholds_that_always_pass_it_gives_the_exit(
    bundle: Bundle, engine: Engine, picture: np.ndarray
) -> None:
    """The frame leaves at the exit with that output's own scores, and nothing is left to compute."""
    ended = StagedHead(engine, bundle, "device", {"exit1": ALWAYS}).run(picture)
    logits = engine.part(None, ["exit1/kind"]).run(picture)[0][0].astype(np.float64)
    expected = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    assert (ended.exit, ended.is_hopeless, ended.values) == ("exit1", False, ())
    assert ended.predictions[0].scores == pytest.approx(expected.tolist(), abs=1e-6)
    assert StagedHead(engine, bundle, "device", {"exit1": HOPELESS}).run(picture).is_hopeless


def test_only_exits_that_the_device_passes_are_stages(bundle: Bundle, engine: Engine) -> None:
    """An exit behind the split, with the picture, or without a rule, is none."""
    assert [found.name for found in exits_before(engine, bundle, "conv_a")] == ["exit1"]
    assert exits_before(engine, bundle, "image") == []
    assert StagedHead(engine, bundle, "device", {}).exits == ()
    assert StagedHead(engine, bundle, "device", rules_of(bundle)).exits == ("exit1",)
    later = Exit("exit2", "conv_b", {"kind": "exit1/kind"}, "entropy", {}, {})
    both = Bundle(**{**bundle.__dict__, "exits": (later, *bundle.exits)})
    assert [found.name for found in exits_before(engine, both, "device")] == ["exit1", "exit2"]
    assert [found.name for found in exits_before(engine, both, "conv_a")] == ["exit1"]


def test_an_exit_behind_no_cut_point_is_named(bundle: Bundle, engine: Engine) -> None:
    """`after` must be a cut point towards the final outputs."""
    wrong = Exit("exit1", "exit1/kind", {"kind": "exit1/kind"}, "entropy", {}, {})
    with pytest.raises(ModelError, match=r"exit exit1 of toy comes after 'exit1/kind', expected one of its cut"):
        exits_before(engine, Bundle(**{**bundle.__dict__, "exits": (wrong,)}), "device")
