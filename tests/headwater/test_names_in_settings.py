"""No command takes a name that cannot stand in a topic."""

from __future__ import annotations

import subprocess
import sys

import pytest

COMMANDS = {
    "edge": ["edge", "--source", "pattern:64x64", "--frames", "1"],
    "worker": ["worker"],
    "visualizer": ["visualizer"],
    "top": ["top"],
}


@pytest.mark.parametrize("bad", ["a/b", "#", "cam1\n"])
@pytest.mark.parametrize(
    ("command", "flag"),
    [
        ("edge", "name"),
        ("edge", "fleet"),
        ("worker", "name"),
        ("worker", "fleet"),
        ("visualizer", "fleet"),
        ("top", "fleet"),
    ],
)
def test_commands_refuse_names_that_cannot_stand_in_a_topic(command: str, flag: str, bad: str) -> None:
    """One line on stderr that names the flag, and status 2, before anything is started."""
    words = [sys.executable, "-m", "headwater", *COMMANDS[command], f"--{flag}", bad]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("headwater: error: ")
    assert f"{flag}: got {bad!r}, expected 1 to 64" in line
