"""What a killed run of the second engine left is removed, and what still runs is not; no engine is needed for that."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.containers import second_engine
from tests.containers.second_engine import need_namespaces, remove


def left(folder: Path, process: int) -> Path:
    """Return the folder of an engine that was this process."""
    (folder / "data").mkdir(parents=True)
    (folder / "pid").write_text(f"{process}\n")
    return folder


def test_what_a_killed_engine_left_is_removed(tmp_path: Path) -> None:
    """A folder whose process is gone or is another's, and one that is not there."""
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    for number, process in enumerate((ended.pid, 1)):
        folder = left(tmp_path / str(number), process)
        remove(folder)
        assert not folder.exists()
        remove(folder)


def test_an_engine_that_runs_is_left_alone(tmp_path: Path) -> None:
    """The folder stays, and it is said which process to end."""
    command = [sys.executable, "-c", "print(flush=True); input()", "--pidfile", f"{tmp_path}/engine/pid"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as engine:
        assert engine.stdout is not None
        engine.stdout.readline()  # its words stand in /proc only once it runs
        folder = left(tmp_path / "engine", engine.pid)
        with pytest.raises(AssertionError, match=f"an engine runs in .*; end it: kill {engine.pid}"):
            remove(folder)
        assert folder.exists()
        engine.kill()


@pytest.mark.parametrize(("ci", "ends"), [("1", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_programs_that_are_missing_fail_in_ci(
    monkeypatch: pytest.MonkeyPatch, ci: str, ends: type[BaseException]
) -> None:
    """At home the test is skipped; both say what is missing."""
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(second_engine.shutil, "which", lambda _: None)
    with pytest.raises(ends, match="missing: ip, nsenter, dockerd"):
        need_namespaces()
