"""Which broker is started, and with what configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from broker import embedded
from broker.embedded import choose_kind, mosquitto_configuration
from headwater.errors import MissingPart


@pytest.mark.parametrize(
    ("kind", "mosquitto", "iotcore", "chosen"),
    [
        ("auto", True, True, "mosquitto"),
        ("auto", False, True, "iotcore"),
        ("mosquitto", True, False, "mosquitto"),
        ("iotcore", True, True, "iotcore"),
    ],
)
def test_auto_takes_mosquitto_where_it_is_installed(
    kind: embedded.Kind, mosquitto: bool, iotcore: bool, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """mosquitto comes first, iotcore where there is none, and what is named is taken."""
    monkeypatch.setattr(embedded, "find_mosquitto", lambda: "/usr/sbin/mosquitto" if mosquitto else None)
    monkeypatch.setattr(embedded, "has_iotcore", lambda: iotcore)
    assert choose_kind(kind) == chosen


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("auto", "mosquitto or iotcore is not installed, needed for the broker; install the extra demo"),
        ("mosquitto", "mosquitto is not installed, needed for the broker; install it"),
        ("iotcore", "iotcore is not installed, needed for the broker; install the extra demo"),
    ],
)
def test_a_missing_broker_is_named_with_its_remedy(
    kind: embedded.Kind, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the wanted broker the error says which one and how to get it."""
    monkeypatch.setattr(embedded, "find_mosquitto", lambda: None)
    monkeypatch.setattr(embedded, "has_iotcore", lambda: False)
    with pytest.raises(MissingPart, match=message):
        choose_kind(kind)


def test_the_configuration_holds_the_shipped_limits_and_one_listener() -> None:
    """Every limit of broker/mosquitto.conf is in force, on the one address that was asked for."""
    lines = mosquitto_configuration("127.0.0.1", 18830, Path("/data/broker")).splitlines()
    settings = dict(line.split(" ", 1) for line in lines if line and not line.startswith(("#", "log_type")))
    assert settings == {
        "set_tcp_nodelay": "true",
        "max_packet_size": "16777216",
        "max_inflight_messages": "64",
        "max_queued_messages": "100000",
        "max_queued_bytes": "268435456",
        "persistence": "true",
        "autosave_interval": "60",
        "persistent_client_expiration": "1d",
        "connection_messages": "false",
        "log_timestamp_format": "%Y-%m-%dT%H:%M:%S",
        "listener": "18830 127.0.0.1",
        "allow_anonymous": "true",
        "persistence_location": "/data/broker/",
        "log_dest": "stderr",
        "user": "root",
    }
