"""What the spool asks of the kernel: a real process under strace, its calls of fsync and fdatasync commit by commit."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from edge.keeping import Durable
from tests.servers import need

COMMITS = 20
PROGRAM = """
import os, sys
from pathlib import Path
from edge.spool import Key, Spool
spool = Spool(Path(sys.argv[1]), 10**9, sys.argv[2])
frames = [Key("0123abcd", number) for number in range(int(sys.argv[3]))]
os.write(2, b"open")
for one in frames:
    spool.commit([(one, bytes(5000))], [])
    os.write(2, b"added")
for one in frames:
    spool.commit([], [one])
    os.write(2, b"forgotten")
os._exit(0)
"""
CALL = re.compile(r'^(?:\d+ +)?(?:(fsync|fdatasync)\(\d+\) += 0|write\(2, "(\w+)", \d+\) += \d+)$', re.MULTILINE)


@pytest.fixture
def strace() -> str:
    """The program, where it may trace; else the test is left out, and fails with CI set."""
    program = need("strace")
    if subprocess.run([program, "-o", os.devnull, "true"], capture_output=True, check=False).returncode != 0:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs the right to trace a process")
    return program


def synced(strace: str, folder: Path, durable: Durable) -> dict[str, list[int]]:
    """Return how often the disk was waited for before each word of the program, by the word."""
    log = folder / f"{durable}.calls"
    tracing = [strace, "-f", "-e", "trace=fsync,fdatasync,write", "-e", "signal=none", "-o", log]
    program = [sys.executable, "-c", PROGRAM, folder / durable / "cam1.sqlite", durable, str(COMMITS)]
    subprocess.run([*tracing, *program], cwd=Path(__file__).parents[2], capture_output=True, check=True, timeout=60)
    found, calls = dict[str, list[int]](), 0
    for call, word in CALL.findall(log.read_text()):
        calls += bool(call)
        if word:
            found.setdefault(word, []).append(calls)
            calls = 0
    return found


def test_each_commit_that_adds_waits_for_the_disk_with_power_and_no_other(strace: str, tmp_path: Path) -> None:
    """Before it returns, once or more; not where frames are forgotten, nor with `process` or `off`."""
    power = synced(strace, tmp_path, "power")
    assert len(power["added"]) == COMMITS
    assert min(power["added"]) >= 1
    assert power["forgotten"] == [0] * COMMITS
    for durable in ("process", "off"):
        calls = synced(strace, tmp_path, durable)
        assert (calls["added"], calls["forgotten"]) == ([0] * COMMITS, [0] * COMMITS), durable
