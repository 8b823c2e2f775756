"""What a training shows: lines in a log, a bar on a terminal, and nothing of what its libraries print."""

from __future__ import annotations

import os
import re

import pytest

from models.training.progress import Progress
from models.training.terminal import PARTS, shown_progress


def _work(progress: Progress) -> None:
    progress.say("reading pictures")
    progress.expect(1000)
    progress.say("training")
    os.write(2, b"a library's word\n")
    os.write(1, b"another\n")
    for _ in range(1000):
        progress.step(1)


def _all_of(terminal: int) -> str:
    """Return what a terminal whose other side is closed was sent: it comes in parts, and ends with an error."""
    shown = b""
    try:
        while part := os.read(terminal, 65536):
            shown += part
    except OSError:
        pass
    os.close(terminal)
    return shown.decode()


def test_a_log_gets_a_line_now_and_then(capfd: pytest.CaptureFixture[str]) -> None:
    """Each thing that is begun has its line, the whole has twenty, and what libraries print is not among them."""
    with shown_progress() as progress:
        _work(progress)
    print("after")
    out, err = capfd.readouterr()
    lines = err.splitlines()
    assert out == "after\n"
    assert [line.split(" ", 1)[1] for line in lines[:3]] == ["reading pictures", "0% training", "5% training"]
    assert lines[-1].endswith("100% training")
    assert len(lines) == 2 + PARTS
    assert all(re.fullmatch(r"\d+:\d\d:\d\d( \d+%)? [a-z ]+", line) for line in lines)


def test_a_terminal_gets_a_bar() -> None:
    """On a terminal the bar says what is being done and how far it is."""
    ours, theirs = os.openpty()
    kept = os.dup(2)
    os.dup2(theirs, 2)
    try:
        with shown_progress() as progress:
            _work(progress)
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(theirs)
    shown = _all_of(ours)
    assert "training" in shown
    assert "100%" in shown
    assert "library" not in shown
