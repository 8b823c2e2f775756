"""What tests of whole parts stand on: a site for workers, a bench for devices."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.test_device import Bench
from tests.integration.test_worker import Site
from tests.servers import BrokerUnderTest, StoreUnderTest


@pytest.fixture
def site(mosquitto: BrokerUnderTest, valkey: StoreUnderTest, tmp_path: Path) -> Iterator[Site]:
    """A broker, a store and a bundle."""
    made = Site(mosquitto, valkey, tmp_path / "bundles")
    yield made
    made.close()


@pytest.fixture
def each_site(broker: BrokerUnderTest, valkey: StoreUnderTest, tmp_path: Path) -> Iterator[Site]:
    """The same with each broker in turn."""
    made = Site(broker, valkey, tmp_path / "bundles")
    yield made
    made.close()


@pytest.fixture
def bench(tmp_path: Path, mosquitto: BrokerUnderTest) -> Iterator[Bench]:
    """A bench at a real broker."""
    made = Bench(tmp_path, mosquitto.url)
    yield made
    made.close()
