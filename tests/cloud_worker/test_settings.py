"""What a worker can be told, and what it refuses to be told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from cloud_worker.process import settings_event
from cloud_worker.settings import WorkerSettings, default_name
from cloud_worker.several import of_processes
from cloud_worker.store import RedisStore
from headwater.address import BrokerUser
from headwater.cli import main
from headwater.errors import SettingsError
from headwater.messages import Name


@pytest.mark.parametrize("host", ["cam.example.org", "häuschen", "-", "x" * 300, ""])
def test_the_default_name_can_stand_in_a_topic(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """Whatever the host is called."""
    monkeypatch.setattr("socket.gethostname", lambda: host)
    assert msgspec.convert(default_name(), Name) == default_name()


@pytest.mark.parametrize(
    "change",
    [
        {"batch": 0},
        {"inbox": 70_000},
        {"threads": 0},
        {"max_frame_bytes": 10},
        {"batch_wait_ms": -1},
        {"inbox_bytes": 4_000_000},
        {"fleet": "a/b"},
        {"name": "#"},
        {"hang_after": 0.5},
        {"hang_after": -1.0},
        {"hang_after": float("nan")},
    ],
)
def test_a_setting_out_of_its_range_is_refused(change: dict[str, object]) -> None:
    """The message names the flag, what it got and what is expected."""
    with pytest.raises(SettingsError, match="expected"):
        WorkerSettings(**change)  # type: ignore[arg-type]


def test_the_engine_decides_how_large_a_batch_is() -> None:
    """Unless it is said; the log tells the number, not that none was said."""
    assert (WorkerSettings().batch_size, WorkerSettings(engine="tensorflow").batch_size) == (8, 32)
    assert WorkerSettings(engine="tensorflow", batch=4).batch_size == 4
    assert "batch=32" in settings_event(WorkerSettings(engine="tensorflow"), "w1")


def test_the_group_of_the_workers_is_a_secret_in_a_file(tmp_path: Path) -> None:
    """Its first line is the name; what is of no use as one is refused without being shown."""
    file = tmp_path / "group"
    file.write_text("0a1b2c3d\nnot this\n")
    assert WorkerSettings().group() == "workers"
    assert WorkerSettings(group_file=file).group() == "0a1b2c3d"
    file.write_text("hunter2/#")
    with pytest.raises(SettingsError, match=r"--group-file: .*group: .* expected 1 to 64 of a-z") as refused:
        WorkerSettings(group_file=file).group()
    assert "hunter2" not in str(refused.value)
    with pytest.raises(SettingsError, match=r"--group-file: .*No such file"):
        WorkerSettings(group_file=tmp_path / "none").group()


REMEMBERING = ("--in-hand-file", "in-hand")


@pytest.mark.parametrize(
    ("flags", "processes"),
    [
        ((), 3),
        (("--engine", "tensorflow"), 1),
        (("--engine", "tensorflow", "--processes", "2"), 2),
        (("--processes", "1"), 1),
        (("--processes", "2", *REMEMBERING), 2),
        (("--processes", "1", *REMEMBERING), "alone"),
        (("--engine", "tensorflow", *REMEMBERING), "alone"),
    ],
)
def test_how_many_processes_there_are_under_a_parent(
    monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...], processes: int | str
) -> None:
    """One for each core with LiteRT, one that has the GPU with TensorFlow; without a parent one that has a file."""
    started: list[int | str] = []
    monkeypatch.setattr("headwater.host.usable_cores", lambda: 3)
    monkeypatch.setattr("cloud_worker.process.run", lambda settings, announce: started.append("alone"))
    monkeypatch.setattr("cloud_worker.several.run_several", lambda settings, count, announce: started.append(count))
    with pytest.raises(SystemExit) as ended:
        main(["worker", *flags])
    assert ended.value.code == 0
    assert started == [processes]


def test_secrets_are_not_logged() -> None:
    """Neither the broker's password nor the one in the store's address."""
    settings = WorkerSettings(user=BrokerUser(password="hush"), store="redis://:secret@store:6379")
    line = settings_event(settings, "w1")
    assert "hush" not in line
    assert "secret" not in line
    assert "name=w1" in line


@pytest.mark.parametrize("url", ["http://127.0.0.1", "redis://host:port", "nonsense"])
def test_an_address_that_is_no_store_is_refused(url: str) -> None:
    """The message shows what is expected."""
    with pytest.raises(SettingsError, match="redis://"):
        RedisStore(url, "demo")


def test_each_process_has_a_name_and_a_port_of_its_own() -> None:
    """Names count from 1, ports from the one asked for; without figures there is no port."""
    settings = WorkerSettings(metrics="[::1]:9464")
    first, second = of_processes(settings, "w", 2)
    assert (first.name, first.metrics) == ("w.1", "[::1]:9464")
    assert (second.name, second.metrics) == ("w.2", "[::1]:9465")
    bare = of_processes(WorkerSettings(), "w", 2)
    assert [(own.metrics, own.in_hand_file) for own in bare] == [(None, None)] * 2
    remembering = WorkerSettings(in_hand_file=Path("/run/headwater/in-hand"))
    assert of_processes(remembering, "w", 2)[1].in_hand_file == Path("/run/headwater/in-hand.2")
    with pytest.raises(SettingsError, match="65536"):
        of_processes(WorkerSettings(metrics="65535"), "w", 2)


def test_one_process_has_the_plain_name_and_port() -> None:
    """Everything is as it was asked for, with the name that is announced."""
    settings = WorkerSettings(metrics="65535", in_hand_file=Path("/run/headwater/in-hand"))
    assert of_processes(settings, "w", 1) == [replace(settings, name="w")]
