"""What each broker really does; docs/broker.md lists it, and these tests hold the list."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.servers import BrokerUnderTest, eventually

SHARED = "$share/workers/h/+/frame"
EXPIRED_S = 3.0
"""By then a message that is worth delivering for a second has expired: brokers count in whole seconds."""


class Client:
    """A bare paho client with its messages in a queue."""

    def __init__(self, broker: BrokerUnderTest, name: str, **options: Any) -> None:
        self.messages: queue.SimpleQueue[mqtt.MQTTMessage] = queue.SimpleQueue()
        self.present = False
        self._connected, self._subscribed = threading.Event(), threading.Event()
        self.paho = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, name, protocol=mqtt.MQTTv5, manual_ack=True)
        self.paho.on_message = lambda _c, _u, message: self.messages.put(message)
        self.paho.on_subscribe = lambda *_: self._subscribed.set()
        self.paho.on_connect = self._on_connect
        self.paho.on_socket_open = lambda _c, _u, link: link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if will := options.pop("will", None):
            self.paho.will_set(will, b"gone", qos=1, retain=True)
        clean = options.pop("clean", True)
        properties = Properties(PacketTypes.CONNECT)
        for key, value in options.items():
            setattr(properties, key, value)
        self.paho.connect(broker.host, broker.port, clean_start=clean, properties=properties)
        self.paho.loop_start()
        assert self._connected.wait(10)

    def _on_connect(self, _client: object, _userdata: object, flags: mqtt.ConnectFlags, *_: object) -> None:
        self.present = flags.session_present
        self._connected.set()

    def subscribe(self, topic: str) -> None:
        self._subscribed.clear()
        self.paho.subscribe(topic, qos=1)
        assert self._subscribed.wait(10)

    def unsubscribe(self, topic: str) -> None:
        gone = threading.Event()
        self.paho.on_unsubscribe = lambda *_: gone.set()
        self.paho.unsubscribe(topic)
        assert gone.wait(10)

    def publish(self, topic: str, payload: bytes, qos: int = 1, retain: bool = False, **options: Any) -> None:
        properties = Properties(PacketTypes.PUBLISH)
        for key, value in options.items():
            setattr(properties, key, value)
        self.paho.publish(topic, payload, qos, retain, properties).wait_for_publish(10)

    def take(self, count: int, deadline_s: float = 10.0) -> list[mqtt.MQTTMessage]:
        """Return up to `count` messages, all that came by the deadline."""
        eventually(lambda: self.messages.qsize() >= count, deadline_s)
        return [self.messages.get() for _ in range(min(count, self.messages.qsize()))]

    def take_all(self, count: int, quiet_s: float = 0.5) -> list[mqtt.MQTTMessage]:
        """Return so many messages, and one that comes although there should be no more."""
        eventually(lambda: self.messages.qsize() >= count)
        return self.take(count + 1, quiet_s)

    def take_until(self, payload: bytes) -> list[bytes]:
        """Return the payloads up to that one."""
        found: list[bytes] = []
        while not found or found[-1] != payload:
            (message,) = self.take(1)
            found.append(message.payload)
        return found

    def vanish(self) -> None:
        """Leave without a word, as a killed process does."""
        link = self.paho.socket()
        assert link is not None
        self.paho.on_disconnect = lambda *_: self.paho.disconnect()
        link.shutdown(socket.SHUT_RDWR)
        self.paho.loop_stop()

    def leave(self) -> None:
        self.paho.disconnect()
        self.paho.loop_stop()


Connect = Callable[..., Client]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Connects clients and disconnects them at the end."""
    clients: list[Client] = []

    def make(broker: BrokerUnderTest, name: str, **options: Any) -> Client:
        clients.append(Client(broker, name, **options))
        return clients[-1]

    yield make
    for client in clients:
        client.leave()


def test_a_shared_subscription_gives_each_message_to_one_worker(broker: BrokerUnderTest, connect: Connect) -> None:
    """Two workers share 20 messages half and half, none twice."""
    workers = [connect(broker, "a"), connect(broker, "b")]
    for worker in workers:
        worker.subscribe(SHARED)
    device = connect(broker, "device")
    for number in range(20):
        device.publish("h/cam1/frame", bytes([number]))
    assert eventually(lambda: sum(worker.messages.qsize() for worker in workers) == 20)
    got = [[message.payload[0] for message in worker.take(10)] for worker in workers]
    assert [len(numbers) for numbers in got] == [10, 10]
    assert sorted(got[0] + got[1]) == list(range(20))


def test_properties_arrive_as_they_were_sent(broker: BrokerUnderTest, connect: Connect) -> None:
    """Content type, response topic, correlation data, user properties and expiry pass a shared subscription."""
    worker, device = connect(broker, "worker"), connect(broker, "device")
    worker.subscribe(SHARED)
    sent = {
        "ContentType": "application/vnd.headwater.frame+msgpack",
        "ResponseTopic": "h/cam1/result",
        "CorrelationData": b"cam1-9f3c-17\x00\xff",
        "UserProperty": [("traceparent", "00-ab-cd-01"), ("k", "v")],
        "MessageExpiryInterval": 60,
    }
    device.publish("h/cam1/frame", b"x", **sent)
    (message,) = worker.take(1)
    assert message.properties is not None
    assert {name: getattr(message.properties, name) for name in sent} == sent


def test_a_retained_status_meets_later_subscribers_until_it_is_emptied(
    broker: BrokerUnderTest, connect: Connect
) -> None:
    """The last retained message of every device reaches a wildcard subscriber; an empty one deletes it."""
    device = connect(broker, "device")
    for topic, payload in (("h/cam1/status", b"old"), ("h/cam1/status", b"new"), ("h/cam2/status", b"other")):
        device.publish(topic, payload, retain=True)
    site = connect(broker, "site")
    site.subscribe("h/+/status")
    assert {(message.topic, message.payload, message.retain) for message in site.take(2)} == {
        ("h/cam1/status", b"new", True),
        ("h/cam2/status", b"other", True),
    }
    device.publish("h/cam1/status", b"", retain=True)
    late = connect(broker, "late")
    late.subscribe("h/+/status")
    assert [message.payload for message in late.take_all(1)] == [b"other"]


def test_the_last_will_is_sent_for_the_killed_and_not_for_the_polite(broker: BrokerUnderTest, connect: Connect) -> None:
    """A connection that breaks sends the retained will at once; a DISCONNECT sends none."""
    site = connect(broker, "site")
    site.subscribe("h/+/status")
    connect(broker, "polite", will="h/polite/status").leave()
    connect(broker, "killed", will="h/killed/status").vanish()
    assert [(message.topic, message.payload) for message in site.take_all(1)] == [("h/killed/status", b"gone")]
    late = connect(broker, "late")
    late.subscribe("h/+/status")
    assert [message.topic for message in late.take(1)] == ["h/killed/status"]


@pytest.mark.parametrize("size", [20_000, 25_000, 400_000, 2_000_000, 15_000_000])
def test_frames_of_every_size_pass(broker: BrokerUnderTest, connect: Connect, size: int) -> None:
    """Payloads up to 15 MB arrive whole, also past iotcore's own default of 20,480 B."""
    worker, device = connect(broker, "worker"), connect(broker, "device")
    worker.subscribe(SHARED)
    payload = bytes(range(256)) * (size // 256 + 1)
    device.publish("h/cam1/frame", payload[:size])
    (message,) = worker.take(1)
    assert message.payload == payload[:size]


def test_what_a_dead_worker_held_reaches_nobody_and_new_frames_the_others(
    broker: BrokerUnderTest, connect: Connect
) -> None:
    """Unacknowledged messages of a killed worker are lost (so devices resend); the other gets everything new."""
    site, dead, other = connect(broker, "site"), connect(broker, "dead", will="h/dead/status"), connect(broker, "other")
    site.subscribe("h/+/status")
    dead.subscribe(SHARED)
    other.subscribe(SHARED)
    device = connect(broker, "device")
    for number in range(10):
        device.publish("h/cam1/frame", bytes([number]))
    assert (len(dead.take(5)), len(other.take(5))) == (5, 5)
    dead.vanish()
    assert len(site.take(1)) == 1  # the broker knows
    device.publish("h/cam1/frame", b"during", qos=1)
    for number in range(3):
        device.publish("h/cam1/frame", bytes([100 + number]))
    got = other.take_until(bytes([102]))
    assert got[-3:] == [bytes([100]), bytes([101]), bytes([102])]
    assert len(got) <= 4


def test_what_a_worker_that_leaves_holds_reaches_nobody(broker: BrokerUnderTest, connect: Connect) -> None:
    """A DISCONNECT is no better than a dead connection: what is not acknowledged by then is lost."""
    leaving, other, device = (connect(broker, name) for name in ("leaving", "other", "device"))
    leaving.subscribe(SHARED)
    other.subscribe(SHARED)
    for number in range(10):
        device.publish("h/cam1/frame", bytes([number]))
    assert (len(leaving.take(5)), len(other.take(5))) == (5, 5)
    leaving.leave()
    device.publish("h/cam1/frame", b"during")  # the broker may read this connection before the other's DISCONNECT
    device.publish("h/cam1/frame", b"after")
    assert other.take_until(b"after") in ([b"during", b"after"], [b"after"])


@pytest.mark.parametrize("window", [5, 256])
def test_a_worker_that_unsubscribes_gets_what_was_its_own_and_nothing_new(
    broker: BrokerUnderTest, connect: Connect, window: int
) -> None:
    """Also what the broker held back for want of a larger window; so it can finish all and leave."""
    leaving = connect(broker, "leaving", ReceiveMaximum=window)
    other, device = connect(broker, "other"), connect(broker, "device")
    leaving.subscribe(SHARED)
    other.subscribe(SHARED)
    for number in range(40):
        device.publish("h/cam1/frame", bytes([number]))
    leaving.unsubscribe(SHARED)
    for number in range(40, 60):
        device.publish("h/cam1/frame", bytes([number]))
    own = []
    for _ in range(20):
        (message,) = leaving.take(1)
        own.append(message.payload[0])
        leaving.paho.ack(message.mid, 1)
    assert leaving.take(1, 1.0) == []
    others = [message.payload[0] for message in other.take(40)]
    assert max(own) < 40
    assert sorted(own + others) == list(range(60))


def test_the_last_worker_may_unsubscribe(broker: BrokerUnderTest, connect: Connect) -> None:
    """With messages that it never acknowledges: the next one gets what comes then."""
    last, device = connect(broker, "last"), connect(broker, "device")
    last.subscribe(SHARED)
    for number in range(10):
        device.publish("h/cam1/frame", bytes([number]))
    assert len(last.take(10)) == 10
    last.unsubscribe(SHARED)
    last.leave()
    device.publish("h/cam1/frame", b"for nobody")
    following = connect(broker, "following")
    following.subscribe(SHARED)
    device.publish("h/cam1/frame", b"after")
    assert [message.payload for message in following.take_all(1)] == [b"after"]


def test_mosquitto_redelivers_to_a_returning_session(mosquitto: BrokerUnderTest, connect: Connect) -> None:
    """With a session expiry, what was not acknowledged comes again, marked as a duplicate, then what was missed."""
    options = {"clean": False, "SessionExpiryInterval": 300}
    worker, device = connect(mosquitto, "worker", **options), connect(mosquitto, "device")
    worker.subscribe(SHARED)
    for number in range(4):
        device.publish("h/cam1/frame", bytes([number]))
    first = worker.take(4)
    worker.paho.ack(first[0].mid, 1)
    worker.publish("h/worker/status", b"behind the acknowledgement")
    worker.vanish()
    device.publish("h/cam1/frame", b"\x04")
    again = connect(mosquitto, "worker", **options)
    assert [(message.payload[0], message.dup) for message in again.take(4)] == [
        (1, True),
        (2, True),
        (3, True),
        (4, False),
    ]
    assert again.present


def test_what_expires_while_its_session_is_away_is_never_delivered(broker: BrokerUnderTest, connect: Connect) -> None:
    """Of two messages that waited the one is dropped; the other comes, with the rest of its time."""
    options = {"clean": False, "SessionExpiryInterval": 300}
    site, device = connect(broker, "site"), connect(broker, "device")
    site.subscribe("h/+/status")
    worker = connect(broker, "worker", will="h/worker/status", **options)
    worker.subscribe("h/cam1/frame")
    worker.vanish()
    assert len(site.take(1)) == 1  # the broker knows
    device.publish("h/cam1/frame", b"worth a second", MessageExpiryInterval=1)
    device.publish("h/cam1/frame", b"worth a minute", MessageExpiryInterval=60)
    threading.Event().wait(EXPIRED_S)
    again = connect(broker, "worker", **options)
    (message,) = again.take_all(1)
    assert again.present
    assert (message.payload, message.properties is not None) == (b"worth a minute", True)
    assert 0 < message.properties.MessageExpiryInterval <= 60 - EXPIRED_S + 1


def test_mosquitto_keeps_settings_and_sessions_over_a_restart(mosquitto: BrokerUnderTest, connect: Connect) -> None:
    """Retained messages, subscriptions and what waits in a session survive a stop and start."""
    connect(mosquitto, "device", clean=False, SessionExpiryInterval=300).subscribe("h/cam1/settings")
    operator = connect(mosquitto, "operator")
    operator.publish("h/cam1/settings", b"split", retain=True)
    operator.leave()
    mosquitto.restart()
    late = connect(mosquitto, "late")
    late.subscribe("h/+/settings")
    assert [message.payload for message in late.take(1)] == [b"split"]


def test_mosquitto_respects_the_receive_maximum(mosquitto: BrokerUnderTest, connect: Connect) -> None:
    """A worker that announces 5 gets 5 until it acknowledges."""
    worker, device = connect(mosquitto, "worker", ReceiveMaximum=5), connect(mosquitto, "device")
    worker.subscribe(SHARED)
    for number in range(20):
        device.publish("h/cam1/frame", bytes([number]))
    held = worker.take_all(5)
    assert len(held) == 5
    worker.paho.ack(held[0].mid, 1)
    assert len(worker.take(1)) == 1


def test_iotcore_ignores_the_receive_maximum(iotcore_broker: BrokerUnderTest, connect: Connect) -> None:
    """It sends 100 unacknowledged messages whatever the client announced: an inbox needs its own bound."""
    worker, device = connect(iotcore_broker, "worker", ReceiveMaximum=5), connect(iotcore_broker, "device")
    worker.subscribe(SHARED)
    for number in range(120):
        device.publish("h/cam1/frame", bytes([number]))
    assert len(worker.take_all(100, 1.0)) == 100


def test_iotcore_closes_on_acknowledgements_out_of_order(iotcore_broker: BrokerUnderTest, connect: Connect) -> None:
    """A client that acknowledges a later message before an earlier one is disconnected; mosquitto allows it."""
    worker, device = connect(iotcore_broker, "worker"), connect(iotcore_broker, "device")
    worker.subscribe(SHARED)
    closed = threading.Event()
    worker.paho.on_disconnect = lambda *_: closed.set()
    device.publish("h/cam1/frame", b"1")
    device.publish("h/cam1/frame", b"2")
    held = worker.take(2)
    worker.paho.ack(held[1].mid, 1)
    worker.paho.ack(held[0].mid, 1)
    assert closed.wait(10)


def test_iotcore_that_fails_inside_ends(iotcore_broker: BrokerUnderTest, connect: Connect) -> None:
    """Its router dies when the last of a shared group leaves with clean start off; the process then ends, too."""
    child = iotcore_broker.running.child
    worker = connect(iotcore_broker, "worker", clean=False)
    worker.subscribe(SHARED)
    connect(iotcore_broker, "device").publish("h/cam1/frame", b"x")
    assert len(worker.take(1)) == 1
    worker.vanish()
    assert eventually(lambda: not child.alive, 30)
    assert child.last_words() == "iotcore no longer answers; see the lines above"
