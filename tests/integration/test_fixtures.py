"""The servers under test can be stopped, killed, paused and started again."""

from __future__ import annotations

import pytest
import redis

from headwater.errors import BrokerError, StoreError
from headwater.probes import greet_mqtt, ping_redis
from tests.servers import BrokerUnderTest, StoreUnderTest, need


def test_a_broker_comes_back_on_its_port(broker: BrokerUnderTest) -> None:
    """After stop, kill and pause the same address refuses or is silent, and answers again afterwards."""
    url = broker.url
    for down, up in ((broker.stop, broker.start), (broker.kill, broker.start), (broker.pause, broker.resume)):
        greet_mqtt(url)
        down()
        with pytest.raises(BrokerError):
            greet_mqtt(url, timeout_s=0.2)
        up()
    broker.restart()
    greet_mqtt(url)
    assert broker.url == url


def test_valkey_keeps_its_data_over_stop_and_kill(valkey: StoreUnderTest) -> None:
    """What was written before a stop or a SIGKILL is there after the start."""
    url = valkey.url
    for number, down in enumerate((valkey.stop, valkey.kill)):
        with redis.Redis.from_url(url) as client:
            client.rpush("kept", number)
        down()
        with pytest.raises(StoreError):
            ping_redis(url, timeout_s=0.2)
        valkey.start()
        with redis.Redis.from_url(url) as client:
            assert client.llen("kept") == number + 1


def test_what_is_missing_is_a_skip_at_home_and_a_failure_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """`need` skips without CI and fails with it."""
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no-such-program is not installed"):
        need("no-such-program")
    monkeypatch.setenv("CI", "1")
    with pytest.raises(pytest.fail.Exception, match="no_such_package is not installed, and CI is set"):
        need(package="no_such_package")
