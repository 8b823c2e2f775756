"""Which engine a worker has, and what it says without TensorFlow."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cloud_worker.engines import opener
from cloud_worker.refusals import UnknownModel
from cloud_worker.settings import WorkerSettings
from headwater.cli import main
from headwater.errors import MissingPart
from models.bundle import file_digest
from models.engine import Engine, Part
from tests.cloud_worker.fleet import make_bundle
from tests.models import tflite_files

WITHOUT = "TensorFlow is not installed, needed for --engine tensorflow; install the extra tensorflow (docs/install.md)"


@pytest.fixture
def no_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python without TensorFlow."""
    for name in [name for name in sys.modules if name.startswith("models.tensorflow_engine.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorflow", None)


def test_litert_is_the_default(tmp_path: Path) -> None:
    """With the threads that were asked for."""
    runner = opener(WorkerSettings(threads=2))(make_bundle(tmp_path))
    assert isinstance(runner, Engine)
    assert runner.threads == 2


@pytest.mark.usefixtures("no_tensorflow")
def test_without_tensorflow_one_line_says_how_to_get_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Before anything is connected to; the worker with LiteRT needs none."""
    with pytest.raises(MissingPart, match="install the extra tensorflow"):
        opener(WorkerSettings(engine="tensorflow"))
    with pytest.raises(SystemExit) as ended:
        main(["worker", "--engine", "tensorflow", "--log-level", "error", "--in-hand-file", str(tmp_path / "in-hand")])
    assert ended.value.code == 2
    assert WITHOUT in capsys.readouterr().err
    opener(WorkerSettings())


def test_tensorflow_takes_as_many_rows_as_a_batch_has_frames(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The log says which version, and on which GPU; a model that was replaced is not run as the old one."""
    bundle = make_bundle(tmp_path)
    with caplog.at_level(logging.INFO):
        opened = opener(WorkerSettings(engine="tensorflow", batch=5))
    assert opened(bundle).whole().rows_at_once == 5
    assert opener(WorkerSettings(engine="tensorflow"))(bundle).whole().rows_at_once == 32
    assert "TensorFlow runs the tails version=2." in caplog.text
    bundle.model_path.write_bytes(b"another")
    with pytest.raises(UnknownModel):
        opened(bundle)


def test_a_model_that_tensorflow_has_not_is_run_by_litert(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One warning names the operator; parts asked for later are LiteRT's without another."""
    bundle = make_bundle(tmp_path)
    bundle.model_path.write_bytes(tflite_files.split())
    bundle = replace(bundle, digest=file_digest(bundle.model_path))
    opened = opener(WorkerSettings(engine="tensorflow", threads=2))(bundle)
    with caplog.at_level(logging.WARNING):
        parts = [opened.whole(), opened.tail("image")]
    assert all(isinstance(part, Part) and part.threads == 2 for part in parts)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "LiteRT runs this model" in warnings[0]
    assert "operator 1 is SPLIT" in warnings[0]
