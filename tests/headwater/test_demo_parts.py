"""The processes of the demo: what they are told, and what becomes of the others when one ends."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import get_type_hints

import pytest

from edge.commands import EdgeSettings
from headwater import demo
from headwater.children import Child, start
from headwater.demo import DemoSettings, Parts, _device_arguments, withheld
from headwater.errors import ChildError
from tests.servers import eventually

SLEEPER = "import sys, time; print('last words', file=sys.stderr); print('ready', flush=True); time.sleep(600)"


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Parts]:
    """Parts whose processes only sleep."""
    monkeypatch.setattr(
        demo, "start", lambda name, command, **options: start(name, [sys.executable, "-c", SLEEPER], **options)
    )
    with ExitStack() as running:
        yield Parts(running, ())


def wait_for(child: Child) -> None:
    """Return when the process has ended; it is not reaped."""
    assert eventually(lambda: not child.alive)


def started(parts: Parts, name: str, command: str) -> Child:
    child = parts.start(name, command)
    child.wait_for_line("ready", 20)
    return child


@pytest.mark.parametrize("name", ["broker", "store", "visualizer", "worker"])
def test_the_end_of_a_part_that_is_needed_is_an_error(parts: Parts, name: str) -> None:
    """Broker, store, site and the only worker are named when they end, with their status and last words."""
    others = [started(parts, other, other) for other in {"broker", "store", "visualizer", "worker"} - {name}]
    child = started(parts, name, name)
    parts.check()
    child.signal(signal.SIGKILL)
    wait_for(child)
    with pytest.raises(ChildError, match=rf"{name} ended with status -9 while the stream ran .*last line: last words"):
        parts.check()
    assert all(other.alive for other in others)


def test_one_of_several_workers_may_end(parts: Parts, capsys: pytest.CaptureFixture[str]) -> None:
    """The end of a worker is told once and the stream goes on, until the last one ends."""
    first, second = (started(parts, f"worker-{number}", "worker") for number in (1, 2))
    for _ in range(2):
        first.signal(signal.SIGKILL)
        wait_for(first)
        parts.check()
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("headwater: warning: ")]
    assert len(told) == 1
    assert "worker-1 ended with status -9" in told[0]
    assert told[0].endswith("the stream goes on, workers left: 1")
    second.signal(signal.SIGKILL)
    wait_for(second)
    with pytest.raises(ChildError, match="worker-2 ended with status -9"):
        parts.check()


def test_the_end_of_the_device_is_no_error(parts: Parts) -> None:
    """The device ends when it has done its frames."""
    device = started(parts, "device", "edge")
    device.signal(signal.SIGKILL)
    wait_for(device)
    parts.check()


def test_settings_of_other_commands_do_not_reach_the_parts() -> None:
    """All variables of ours are kept back; with servers of the user's, those that prove who we are go through."""
    names = ("CA_FILE", "PASSWORD", "PASSWORD_FILE", "STORE_PASSWORD_FILE", "SPOOL", "CONFIG")
    variables = ["PATH", *(f"HEADWATER_{name}" for name in names)]
    assert withheld(variables) == set(variables[1:])
    assert withheld(variables, own_broker=True) == set(variables[4:])
    assert withheld(variables, own_store=True) == {*variables[1:4], *variables[5:]}


def test_the_demo_offers_every_crop_of_a_device() -> None:
    """The two may not import one another, and the demo hands its crop to its device as it is."""
    assert get_type_hints(DemoSettings)["crop"] == get_type_hints(EdgeSettings)["crop"]


def test_the_demo_leaves_the_number_of_faces_to_its_device(tmp_path: Path) -> None:
    """Unless it is told one: the device knows how many answers the network gives for each."""
    assert "--max-faces" not in _device_arguments(DemoSettings(), tmp_path, "pictures", None)
    told = _device_arguments(DemoSettings(max_faces=3), tmp_path, "pictures", None)
    assert told[told.index("--max-faces") + 1] == "3"
