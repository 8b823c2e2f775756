"""The commands that list cut points and write parts, through a command line like that of `headwater models`."""

from __future__ import annotations

import json
from pathlib import Path

import cyclopts
import pytest

from models import commands
from models.engine import Engine
from models.errors import CannotWrite, ModelError, NoCutPoint, TensorNotFound
from models.graph import Graph
from tests.models import tflite_files as files

FIELDS = ["name", "tensor", "shape", "dtype", "bytes", "madds_head", "madds_tail", "ms_head", "ms_tail"]


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small model, with the cache in a folder of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "model.tflite"
    path.write_bytes(files.residual())
    return path


def run(*words: str | Path) -> None:
    """Run a command line."""
    app = cyclopts.App(name="models", result_action="return_value")
    app.command(commands.cuts)
    app.command(commands.extract)
    app([str(word) for word in words])


def test_the_table_has_a_row_for_every_cut(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Names, shapes, bytes and times stand in the table, the whole model's time below it."""
    run("cuts", model)
    shown = capsys.readouterr().out
    for name in ("conv_a", "add", "conv_c", "pool", "net.scores", "1×8×8×4", "1,024", "ms head", "whole model"):
        assert name in shown


def test_json_is_a_list_of_objects(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each object has the documented fields, and nothing else is on stdout."""
    run("cuts", model, "--json")
    rows = json.loads(capsys.readouterr().out)
    assert [list(row) for row in rows] == [FIELDS] * 5
    assert rows[0]["tensor"] == "net_1/conv_a_1/Relu6;net_1/conv_a_1/add"
    assert all(row["ms_head"] > 0 for row in rows)


def test_without_measuring_there_are_no_times(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--no-measure leaves the times out of the table and null in JSON."""
    run("cuts", model, "--no-measure")
    assert "ms head" not in capsys.readouterr().out
    run("cuts", model, "--no-measure", "--json")
    assert {row["ms_tail"] for row in json.loads(capsys.readouterr().out)} == {None}


def test_a_model_without_cut_points_is_an_error(model: Path) -> None:
    """The command fails with the reason instead of an empty table."""
    model.write_bytes(files.no_cut())
    with pytest.raises(NoCutPoint):
        run("cuts", model)


def test_what_is_no_model_is_an_error(model: Path) -> None:
    """Another file and a name of nothing end in a ModelError."""
    model.write_bytes(b"picture" * 9)
    for name in (model, "no-such-bundle"):
        with pytest.raises(ModelError):
            run("cuts", name)


def test_a_part_is_written_and_runs(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """extract writes the part between two tensors and says what it takes and gives."""
    part = tmp_path / "part.tflite"
    run("extract", model, "--from", "conv_a", "--to", "#7", "-o", part)
    assert "conv_a 1×8×8×4 float32 to add 1×8×8×4 float32, 2 operators" in capsys.readouterr().out
    assert [tensor.name for tensor in Graph.read(part).outputs] == ["net_1/add_1/Add"]
    assert Engine(part).whole().outputs[0].shape == (1, 8, 8, 4)


def test_several_ends_can_be_given(model: Path, tmp_path: Path) -> None:
    """--to may come several times, and both ends default to the model's own."""
    model.write_bytes(files.early_exit())
    part = tmp_path / "part.tflite"
    run("extract", model, "--to", "exit1/kind", "--to", "conv_a", "--output", part)
    assert len(Graph.read(part).outputs) == 2
    assert [tensor.name for tensor in Graph.read(part).inputs] == ["picture"]


def test_an_unknown_tensor_leaves_no_file(model: Path, tmp_path: Path) -> None:
    """The nearest names are told and nothing is written."""
    with pytest.raises(TensorNotFound, match="conv_a"):
        run("extract", model, "--to", "conv_aa", "-o", tmp_path / "part.tflite")
    assert not (tmp_path / "part.tflite").exists()


def test_the_model_is_never_overwritten(model: Path, tmp_path: Path) -> None:
    """Writing onto the model itself or into a missing folder is refused."""
    for place in (model, tmp_path / "missing" / "part.tflite"):
        with pytest.raises(CannotWrite, match="-o"):
            run("extract", model, "--to", "conv_a", "-o", place)
    assert model.read_bytes() == files.residual()
