"""What a worker can be told, and what it refuses to be told."""

from __future__ import annotations

import msgspec
import pytest

from cloud_worker.process import settings_event
from cloud_worker.settings import WorkerSettings, default_name
from cloud_worker.several import of_process
from cloud_worker.store import RedisStore
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
    ],
)
def test_a_setting_out_of_its_range_is_refused(change: dict[str, object]) -> None:
    """The message names the flag, what it got and what is expected."""
    with pytest.raises(SettingsError, match="expected"):
        WorkerSettings(**change)  # type: ignore[arg-type]


def test_secrets_are_not_logged() -> None:
    """Neither the broker's password nor the one in the store's address."""
    settings = WorkerSettings(password="hush", store="redis://:secret@store:6379")
    line = settings_event(settings, "w1")
    assert "hush" not in line
    assert "secret" not in line
    assert "worker=w1" in line


@pytest.mark.parametrize("url", ["http://127.0.0.1", "redis://host:port", "nonsense"])
def test_an_address_that_is_no_store_is_refused(url: str) -> None:
    """The message shows what is expected."""
    with pytest.raises(SettingsError, match="redis://"):
        RedisStore(url, "demo")


def test_each_process_has_a_name_and_a_port_of_its_own() -> None:
    """Names count from 1, ports from the one asked for; without figures there is no port."""
    settings = WorkerSettings(metrics="[::1]:9464")
    first, second = (of_process(settings, "w", number) for number in range(2))
    assert (first.name, first.metrics) == ("w.1", "[::1]:9464")
    assert (second.name, second.metrics) == ("w.2", "[::1]:9465")
    assert of_process(WorkerSettings(), "w", 1).metrics is None
    with pytest.raises(SettingsError, match="65536"):
        of_process(WorkerSettings(metrics="65535"), "w", 1)
