"""What a session decides before anything is on the network."""

from __future__ import annotations

import threading
import tomllib
from inspect import signature
from pathlib import Path

import pytest
from paho.mqtt import properties
from paho.mqtt.client import MQTTMessage
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from headwater.address import Address
from headwater.errors import BrokerError, SettingsError, TooLarge
from headwater.probes import free_port
from headwater.properties import publish_properties
from headwater.session import (
    PACKET_OVERHEAD_BYTES,
    PROTOCOL_LIMIT_BYTES,
    Callbacks,
    Limits,
    Received,
    Session,
)

ADDRESS = Address.parse("mqtt://127.0.0.1:1")


def test_a_message_over_the_broker_s_limit_is_refused_before_it_is_sent() -> None:
    """Payload and overhead together must fit the Maximum Packet Size; the error says what fits."""
    session = Session(ADDRESS, "test", Callbacks())
    session.limits = Limits(packet_bytes=2000)
    session.publish("t", bytes(2000 - PACKET_OVERHEAD_BYTES))
    with pytest.raises(TooLarge) as caught:
        session.publish("t", bytes(2001 - PACKET_OVERHEAD_BYTES))
    assert (caught.value.got_bytes, caught.value.limit_bytes) == (977, 976)


class Line:
    """Stands for paho: takes subscriptions, their end, and acknowledgements."""

    def __init__(self) -> None:
        self.acknowledged: list[int] = []
        self.left: list[str] = []
        self.has_left = threading.Event()
        self._mid = 0

    def subscribe(self, _topic: str, _qos: int) -> tuple[int, int]:
        self._mid += 1
        return 0, self._mid

    def unsubscribe(self, topics: list[str]) -> tuple[MQTTErrorCode, int]:
        self.left += topics
        self.has_left.set()
        return MQTTErrorCode.MQTT_ERR_SUCCESS, 9

    def ack(self, mid: int, _qos: int) -> None:
        self.acknowledged.append(mid)


def test_the_end_of_the_subscriptions_is_waited_for() -> None:
    """Until the broker has answered, and not for ever: before that it may still give us something new."""
    session, line = Session(ADDRESS, "test", Callbacks(), subscriptions=[("a", 1), ("b", 0)]), Line()
    answered, session._client = session._client.on_unsubscribe, line  # type: ignore[assignment]
    said: list[bool] = []
    assert not session.unsubscribe(0.01)
    line.has_left.clear()
    leaving = threading.Thread(target=lambda: said.append(session.unsubscribe(30)), daemon=True)
    leaving.start()
    assert line.has_left.wait(10)
    leaving.join(0.2)
    assert said == []
    answered(line, None, 9, [], None)  # type: ignore[misc, call-arg, arg-type]
    leaving.join(10)
    assert (said, line.left) == ([True], ["a", "b"])


def test_without_a_connection_there_is_nobody_to_wait_for() -> None:
    """The end of the subscriptions is then at once."""
    assert not Session(ADDRESS, "test", Callbacks(), subscriptions=[("a", 1)]).unsubscribe(600)


def test_what_comes_between_the_subscriptions_is_acknowledged() -> None:
    """A broker sends as soon as it has one of them; what is not acknowledged would hold back all that follows."""
    came: list[Received] = []
    callbacks = Callbacks(on_message=came.append)
    session, line = Session(ADDRESS, "test", callbacks, subscriptions=[("a", 1), ("b", 1)]), Line()
    session._client = line  # type: ignore[assignment]
    success = ReasonCode(PacketTypes.CONNACK, "Success")
    session._on_connect(line, None, None, success, None)
    for mid in (1, 2):
        message = MQTTMessage(mid, b"a")
        message.qos = 1
        session._on_message(line, None, message)
    session.ack(came[0])
    assert not session.is_connected
    for mid in (1, 2):
        session._on_subscribe(line, None, mid, [ReasonCode(PacketTypes.SUBACK, "Granted QoS 1")], None)
    assert session.is_connected
    session.ack(came[1])
    assert line.acknowledged == [1, 2]


def test_what_came_over_a_lost_connection_is_not_acknowledged() -> None:
    """Neither while there is none nor over the next one, where its number belongs to another message."""
    came: list[Received] = []
    session, line = Session(ADDRESS, "test", Callbacks(on_message=came.append)), Line()
    session._client = line  # type: ignore[assignment]
    success = ReasonCode(PacketTypes.CONNACK, "Success")
    session._on_connect(line, None, None, success, None)
    message = MQTTMessage(7, b"a")
    message.qos = 1
    session._on_message(line, None, message)
    session._on_disconnect(line, None, None, success, None)
    session.ack(came[0])
    session._on_connect(line, None, None, success, None)
    session.ack(came[0])
    assert line.acknowledged == []


def test_an_alert_is_not_the_reason_of_what_comes_after_a_session(caplog: pytest.LogCaptureFixture) -> None:
    """Once a broker has answered, TLS stands: a later hang-up has another reason."""
    session, line = Session(ADDRESS, "test", Callbacks(), subscriptions=[("a", 1)]), Line()
    session._client = line  # type: ignore[assignment]
    session._paho.why = " (tlsv1 alert unknown ca)"
    success = ReasonCode(PacketTypes.CONNACK, "Success")
    session._on_disconnect(line, None, None, success, None)
    session._on_connect(line, None, None, success, None)
    session._on_disconnect(line, None, None, success, None)
    first, then = (record.getMessage() for record in caplog.records)
    assert "before it accepted us (tlsv1 alert unknown ca); check TLS" in first
    assert "before it accepted us; check TLS" in then


def test_before_the_broker_spoke_the_protocol_s_limits_hold() -> None:
    """Without a CONNACK the limits are those of MQTT 5 itself."""
    assert Session(ADDRESS, "test", Callbacks()).limits == Limits(PROTOCOL_LIMIT_BYTES, 65_535)


def test_the_overhead_has_room_for_the_longest_topics_and_properties() -> None:
    """Topic, response topic, correlation data and all other properties of the longest names fit beside the payload."""
    device, fleet = "d" * 64, "f" * 64
    properties = publish_properties(
        content_type="application/msgpack",
        expiry_s=2**32 - 1,
        response_topic=f"headwater/v1/{fleet}/{device}/result",
        correlation=f"{device}-00000000-{2**40 - 1}".encode(),
        traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01",
    )
    topic = f"headwater/v1/{fleet}/{device}/settings/applied"
    assert len(properties.pack()) + len(topic) + 2 + 2 + 5 < PACKET_OVERHEAD_BYTES


def test_no_broker_is_one_clear_error_in_time() -> None:
    """With nobody at the port, start raises within its deadline and says what to do."""
    port = free_port()
    session = Session(Address.parse(f"mqtt://127.0.0.1:{port}"), "test", Callbacks())
    with pytest.raises(BrokerError, match=rf"{port} within 3 s: .*refused; start one with: headwater broker run"):
        session.start(deadline_s=3.0)
    assert not session.is_connected
    assert not session.wait_connected(0)


def test_tls_files_are_read_when_the_session_is_made() -> None:
    """A wrong CA file is an error at once, not in the network thread."""
    with pytest.raises(SettingsError, match="TLS files"):
        Session(Address("broker", 8883, tls=True, ca_file=__file__ + ".missing"), "test", Callbacks())  # type: ignore[arg-type]


def test_no_paho_is_taken_that_reads_texts_in_another_way() -> None:
    """Before 2.2 its reader of bytes knows no bound: a device would be cut off by every message with a text."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert [need for need in project["dependencies"] if need.startswith("paho")] == ["paho-mqtt>=2.2,<3"]
    assert list(signature(properties.readBytes).parameters) == ["buffer", "maxlen"]


def test_acknowledging_without_a_connection_does_nothing() -> None:
    """A message of a connection that is gone is left to the broker to send again."""
    Session(ADDRESS, "test", Callbacks()).ack(Received("t", b"", 1, 1, 0))
    assert not Session(ADDRESS, "test", Callbacks()).is_connected


def test_a_refused_subscription_is_an_error_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """A subscription that the broker denies would be silence for ever."""
    session = Session(ADDRESS, "test", Callbacks())
    granted, refused = ReasonCode(PacketTypes.SUBACK, "Granted QoS 1"), ReasonCode(PacketTypes.SUBACK, "Not authorized")
    session._on_subscribe(None, None, 1, [granted, refused], None)
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "Not authorized" in caplog.text
