"""What a parent prepares for its worker processes."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from cloud_worker.hand import Hand
from cloud_worker.settings import WorkerSettings
from cloud_worker.several import remembering
from headwater.errors import SettingsError

TWO = [WorkerSettings(name="w.1"), WorkerSettings(name="w.2")]


def test_each_process_gets_a_file_that_is_gone_afterwards() -> None:
    """Of one's own, and ready: nothing is written to it later that could need room."""
    with remembering(TWO) as each:
        files = [own.in_hand_file for own in each]
        assert len({file for file in files if file is not None and file.stat().st_size > 0}) == 2
        assert [own.name for own in each] == ["w.1", "w.2"]
    assert not any(file.exists() for file in files if file is not None)


def test_without_room_for_the_files_workers_go_on_without(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A full /tmp is no reason not to start, nor a flag that nobody gave; one line says what is missing."""

    def no_room(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", no_room)
    with remembering(TWO) as each:
        assert each == TWO
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("frames at which workers crash are not remembered")
    assert "No space left" in line


def test_a_file_that_was_asked_for_is_taken_as_it_is(tmp_path: Path) -> None:
    """What it remembers is kept; that it cannot be used is said where it is opened."""
    asked = [WorkerSettings(in_hand_file=tmp_path / "none" / "in-hand")]
    with remembering(asked) as each:
        assert each == asked
    with pytest.raises(SettingsError, match="--in-hand-file"):
        Hand(asked[0].in_hand_file)
