"""`--split auto` as a process against a real broker: it measures, decides, says so, and loses nothing."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import msgspec
import pytest

from edge.commands import EdgeSettings
from edge.decisions import read_log
from edge.profile import VERSION, Order, Profile, profile_path
from models.bundle import Bundle
from planning.ways import Way
from tests.integration.test_device import Bench, summary, wait_until

PICTURE = Way("image", "png", 0, 0.0, 200_000, 500, 500, shows_picture=True)
DEVICE = Way("device", "none", 3, 1e-4, 200_000, finishes=True)
"""Ways by which the picture is always faster, whatever the machine does meanwhile: the answer would weigh more."""


@pytest.fixture(autouse=True)
def own_profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let devices keep their profiles in the test's folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def know(bench: Bench, *ways: Way) -> None:
    """Put a profile where the device looks for one."""
    order = Order(str(bench.bundle), EdgeSettings(source="").threads, ("auto", "jpeg:90"))
    folder = Path(os.environ["XDG_CACHE_HOME"]) / "headwater" / "profiles"
    folder.mkdir(parents=True)
    path = profile_path(folder, Bundle.load(str(bench.bundle)), order)
    path.write_bytes(msgspec.json.encode(Profile(VERSION, ways, None)))


def test_a_device_measures_itself_and_decides(bench: Bench) -> None:
    """From nothing: a profile in the background, decisions with every way on the broker and in the log."""
    worker = bench.worker()
    device = bench.device("--split", "auto", "--rate", "20", "--loop")
    wait_until(lambda: worker.decisions)
    said = worker.decisions[0]
    assert said is not None
    assert {"image", "conv_a", "add", "conv_c", "device"} <= {one.split for one in said.considered}
    assert sum(one.lost is None for one in said.considered) == 1
    worker.tell("cam1", b'{"version":1,"split":"add"}')
    wait_until(lambda: worker.decisions[-1] is None and worker.frames[-1].split == "add")
    worker.tell("cam1", b'{"version":1,"split":"auto"}')
    wait_until(lambda: worker.decisions[-1] is not None)
    device.signal(signal.SIGTERM)
    found = summary(device)
    assert (found["dropped"], found["in_flight"]) == ({}, 0)
    heads = {head.bundle for head, _ in read_log(bench.spool / "demo" / "cam1.decisions.jsonl")}
    assert heads == {"tiny"}


def test_when_nobody_answers_the_device_does(bench: Bench) -> None:
    """Five seconds without an answer: frames are finished here; when answers come the pictures travel again."""
    know(bench, PICTURE, DEVICE)
    worker = bench.worker()
    device = bench.device("--split", "auto", "--rate", "10", "--loop")
    wait_until(lambda: worker.frames and worker.frames[-1].split == "image")
    worker.answers = False
    wait_until(lambda: worker.decisions and worker.decisions[-1].why == "no link")  # type: ignore[union-attr]
    assert worker.decisions[-1].split == "device"  # type: ignore[union-attr]
    worker.answers = True
    wait_until(lambda: worker.decisions[-1].split == "image" and worker.frames[-1].split == "image")  # type: ignore[union-attr]
    device.signal(signal.SIGTERM)
    found = summary(device)
    assert (found["dropped"], found["in_flight"]) == ({}, 0)
    assert found["finished"]["device"] > 0


def test_what_is_wanted_holds(bench: Bench) -> None:
    """A device that keeps its pictures sends none, however fast that would be."""
    know(bench, PICTURE, DEVICE)
    worker = bench.worker()
    device = bench.device("--split", "auto", "--rate", "2", "--frames", "8", "--loop", "--keep-pictures")
    assert summary(device)["finished"] == {"device": 8, "worker": 0}
    assert {frame.split for frame in worker.frames} == {"device"}
    assert worker.decisions[-1].considered[0].lost == "the picture would leave the device"  # type: ignore[union-attr]
