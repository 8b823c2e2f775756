"""The price of each cut: what the file tells, what is measured, and the cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from models import profile as profile_module
from models.errors import ModelFileError, NoCutPoint
from models.graph import Graph
from models.profile import cache_path, costs, profile
from tests.models import tflite_files as files


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small model, with the cache in a folder of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "model.tflite"
    path.write_bytes(files.residual())
    return path


def test_costs_come_from_the_file_alone() -> None:
    """Bytes and multiply-adds need no run; the milliseconds are then open."""
    found = costs(Graph.read(files.residual()).cut_points())
    assert [cut.bytes for cut in found] == [1024, 1024, 384, 24, 12]
    assert {cut.ms_head for cut in found} == {None}


def test_every_cut_is_measured(model: Path) -> None:
    """Head and tail of each cut point have times, and the progress reaches the end."""
    steps: list[tuple[int, int]] = []
    found = profile(model, progress=lambda done, total: steps.append((done, total)))
    assert [cut.name for cut in found.cuts] == [p.name for p in Graph.read(model).cut_points()]
    assert all(cut.ms_head and cut.ms_tail for cut in found.cuts)
    assert found.ms_whole > 0
    assert steps[-1] == (5, 5)


def test_a_profile_is_measured_once_per_model_host_and_threads(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second time it comes from the cache, until it is asked for afresh."""
    first = profile(model)
    monkeypatch.setattr(profile_module, "_measure", lambda *_: pytest.fail("measured again"))
    assert profile(model) == first
    for other in ({"threads": 2}, {"fresh": True}, {"xnnpack": False}):
        with pytest.raises(pytest.fail.Exception, match="measured again"):
            profile(model, **other)


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"version": 9}', b"\xff" * 20, b'{"x":"\xff"}', b'{"x":' + b"[" * 100_000]
)
def test_a_broken_cache_is_measured_anew(model: Path, content: bytes) -> None:
    """Whatever lies in the cache, the profile comes."""
    first = profile(model)
    path = cache_path(first.digest, 1, True)
    assert path.is_file()
    path.write_bytes(content)
    assert [cut.name for cut in profile(model).cuts] == [cut.name for cut in first.cuts]


def test_a_cache_that_cannot_be_written_costs_only_time(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the cache folder is a file, profiles are still measured."""
    blocked = model.parent / "blocked"
    blocked.write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    assert profile(model).cuts


def test_a_model_without_cut_points_has_no_profile(model: Path) -> None:
    """The error is that of the model, not of the measuring."""
    model.write_bytes(files.no_cut())
    with pytest.raises(NoCutPoint):
        profile(model)


def test_a_missing_model_is_a_clear_error(tmp_path: Path) -> None:
    """A path of nothing is named."""
    with pytest.raises(ModelFileError, match=r"none\.tflite"):
        profile(tmp_path / "none.tflite")


def test_a_profile_of_early_exits_is_kept_by_its_outputs(model: Path) -> None:
    """The cuts towards the final output alone do not overwrite those towards all outputs."""
    model.write_bytes(files.early_exit())
    assert len(profile(model).cuts) == 1
    assert len(profile(model, outputs=["kind"]).cuts) == 3
    assert len(profile(model).cuts) == 1
