"""What a probe says of a server, by the bytes that it answers."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from headwater.errors import BrokerError, SettingsError, StoreError
from headwater.probes import free_port, greet_mqtt, ping_redis, port_is_free, server_url

Answering = Callable[[bytes], int]


@pytest.fixture
def answering() -> Iterator[Answering]:
    """Starts a listener that answers the first bytes with the given ones; returns its port."""
    with ExitStack() as open_things:

        def listen(answer: bytes) -> int:
            listener = open_things.enter_context(socket.create_server(("127.0.0.1", 0)))

            def serve() -> None:
                link, _ = listener.accept()
                with link:
                    link.recv(1000)
                    link.sendall(answer)

            thread = threading.Thread(target=serve)
            thread.start()
            open_things.callback(thread.join, 5)
            return int(listener.getsockname()[1])

        yield listen


@pytest.mark.parametrize("answer", [b"\x20\x03\x00\x00\x00", b"\x20\x80\x01\x00\x00" + bytes(125)])
def test_a_success_with_few_or_many_properties_is_accepted(answering: Answering, answer: bytes) -> None:
    """A CONNACK with reason 0 is success, its length written in one byte or in two."""
    assert greet_mqtt(f"mqtt://127.0.0.1:{answering(answer)}") is None


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.1 400 Bad Request", "answers, but not in MQTT 5"),
        (b"", "answers, but not in MQTT 5"),
        (b"\x20\x03\x00\x87\x00", "refused with reason 0x87; check user name and password"),
        (b"\x20\x80\x01\x00\x86" + bytes(125), "refused with reason 0x86"),
    ],
)
def test_any_other_answer_is_an_error_that_says_what_came(answering: Answering, answer: bytes, message: str) -> None:
    """Another protocol, silence and a refusal are told apart."""
    with pytest.raises(BrokerError, match=message):
        greet_mqtt(f"mqtt://127.0.0.1:{answering(answer)}")


def test_a_store_that_does_not_say_pong_is_quoted(answering: Answering) -> None:
    """A store that wants a password is quoted."""
    port = answering(b"-NOAUTH Authentication required.\r\n")
    with pytest.raises(StoreError, match=r"'-NOAUTH Authentication required\.' to PING, expected"):
        ping_redis(f"redis://127.0.0.1:{port}")


@pytest.mark.parametrize("url", ["http://127.0.0.1", "127.0.0.1:1883", ""])
def test_an_address_of_another_kind_is_refused(url: str) -> None:
    """Only mqtt and mqtts, redis and rediss addresses are probed."""
    with pytest.raises(SettingsError, match="expected mqtt://"):
        greet_mqtt(url)
    with pytest.raises(StoreError, match=r"expected redis://HOST\[:PORT\] or rediss://"):
        ping_redis(url)


@pytest.mark.parametrize(
    "url",
    [
        "reddis://:topsecret@127.0.0.1",
        "redis:/:topsecret@127.0.0.1",
        "redis://:topsecret@127.0.0.1:abc",
        "redis://:topsecret/x@127.0.0.1",
        "redis://:topsecret@127.0.0.1:99999",
        "redis://:topsecret@127.0.0.1:0",
        "redis://:topsecret@[::1",
        "redis://:topsecret@a..b",
        "reddis://127.0.0.1/0?password=topsecret",
    ],
)
def test_an_unusable_store_address_is_one_error_without_its_password(url: str) -> None:
    """A misspelt scheme, port or host is told with what is expected; the password is not."""
    with pytest.raises(StoreError, match=r"store: got '.*', expected redis://HOST.*; correct the address") as caught:
        ping_redis(url)
    assert "topsecret" not in str(caught.value)


def test_nobody_at_a_free_port() -> None:
    """A free port is free, refuses connections, and the errors say how to start a server."""
    port = free_port()
    assert port_is_free("127.0.0.1", port)
    with pytest.raises(BrokerError, match="start one with: headwater broker run"):
        greet_mqtt(f"mqtt://127.0.0.1:{port}")
    with pytest.raises(StoreError, match="start one with: headwater store run"):
        ping_redis(f"redis://127.0.0.1:{port}")


def test_an_ipv6_address_is_written_in_brackets() -> None:
    """The address can be given to a client as it is."""
    assert server_url("mqtt", "::1", 1883) == "mqtt://[::1]:1883"
