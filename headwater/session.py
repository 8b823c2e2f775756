"""One MQTT 5 session, as devices, workers and the site hold it.

It reconnects with back-off, sends without Nagle's delay, acknowledges by hand, keeps to what the broker announced, and
never runs foreign work on paho's network thread: callbacks get an event and must only enqueue it.
"""

from __future__ import annotations

import contextlib
import logging
import random
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from headwater.acks import AckOrder
from headwater.address import Address as Address  # noqa: PLC0414  part of this module's face
from headwater.client import Client
from headwater.errors import BrokerError, TooLarge
from headwater.logs import event
from headwater.tls_words import PahoLog, remedy

log = logging.getLogger(__name__)

PACKET_OVERHEAD_BYTES: Final = 1024
"""Room for topic and properties beside the payload when it is held against the broker's Maximum Packet Size."""
PROTOCOL_LIMIT_BYTES: Final = 268_435_455
"""The longest MQTT packet. Source: MQTT 5.0, section 1.5.5."""
UNACKNOWLEDGED: Final = 10
"""How many of our messages may be unacknowledged by the broker; further ones wait in paho. No common broker's default
Receive Maximum is smaller; one that announces less gets less."""
PROTOCOL_RECEIVE_MAXIMUM: Final = 65_535


@dataclass(frozen=True)
class Will:
    """What the broker says for us when we are gone without a word; retained."""

    topic: str
    payload: bytes


@dataclass(frozen=True)
class Received:
    """A message as it came in; `connection` tells which connection may acknowledge it."""

    topic: str
    payload: bytes
    qos: int
    mid: int
    connection: int
    correlation: bytes | None = None
    traceparent: str | None = None
    retained: bool = False  # kept by the broker since before we subscribed


@dataclass(frozen=True)
class Limits:
    """What the broker announced when it accepted us."""

    packet_bytes: int = PROTOCOL_LIMIT_BYTES
    receive_maximum: int = PROTOCOL_RECEIVE_MAXIMUM


@dataclass
class Callbacks:
    """What happens on a session; each runs on the network thread and must only enqueue."""

    on_message: Callable[[Received], None] = lambda message: None
    on_published: Callable[[int], None] = lambda mid: None
    on_connected: Callable[[], None] = lambda: None
    on_disconnected: Callable[[], None] = lambda: None


class Session:
    """A connection to one broker that outlives the broker's restarts."""

    def __init__(
        self,
        address: Address,
        client_id: str,
        callbacks: Callbacks,
        *,
        subscriptions: Iterable[tuple[str, int]] = (),
        will: Will | None = None,
        receive_maximum: int = 256,
        packet_limit_bytes: int = 16_000_000,
        keepalive_s: int = 30,
    ) -> None:
        self.address, self.limits = address, Limits()
        self._subscriptions = list(subscriptions)
        self._callbacks, self._keepalive_s = callbacks, keepalive_s
        self._connection, self._problem = 0, ""
        self._awaited: set[int | None] = set()
        self._acks, self._lock = AckOrder(), threading.Lock()
        self._last: mqtt.MQTTMessageInfo | None = None
        self._connected, self._unsubscribed = threading.Event(), threading.Event()
        self.away_since_s: float | None = time.monotonic()
        """Since when there is no connection, by the monotonic clock; None: there is one."""
        self._connect_properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        self._connect_properties.ReceiveMaximum = receive_maximum
        self._connect_properties.MaximumPacketSize = packet_limit_bytes
        self._paho = PahoLog()
        self._client = self._new_client(client_id, will)

    def _new_client(self, client_id: str, will: Will | None) -> mqtt.Client:
        client = Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=mqtt.MQTTv5, manual_ack=True)
        client.max_inflight_messages_set(UNACKNOWLEDGED)
        jitter_s = random.uniform(0.2, 0.6)  # noqa: S311  not a secret
        client.reconnect_delay_set(min_delay=jitter_s, max_delay=20)  # type: ignore[arg-type]
        client.suppress_exceptions = True  # an exception in a callback would end paho's thread without a word
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_connect_fail, client.on_subscribe = self._on_connect_fail, self._on_subscribe
        client.on_unsubscribe = lambda *_: self._unsubscribed.set()
        client.on_message, client.on_publish = self._on_message, self._on_publish
        client.on_socket_open = _send_at_once
        client.enable_logger(self._paho)
        if will is not None:
            client.will_set(will.topic, will.payload, qos=1, retain=True)
        if self.address.username:
            client.username_pw_set(self.address.username, self.address.password)
        if self.address.tls:
            client.tls_set_context(self.address.tls_context())
        return client

    def start(self, deadline_s: float | None = None) -> None:
        """Begin connecting; with a deadline, wait for it. Raises: BrokerError when the deadline passes."""
        host, port, properties = self.address.host, self.address.port, self._connect_properties
        self._client.connect_async(host, port, self._keepalive_s, clean_start=True, properties=properties)
        self._client.loop_start()
        if deadline_s is not None and not self._connected.wait(deadline_s):
            self.stop()
            problem = self._problem or "no answer; start one with: headwater broker run"
            raise BrokerError(f"no session with {self.address} within {deadline_s:g} s: {problem}")

    def unsubscribe(self, deadline_s: float = 2.0) -> bool:
        """Ask for no more messages, and return whether the broker said so in time; what it holds for us still comes."""
        topics, self._subscriptions = [topic for topic, _ in self._subscriptions], []
        asked, _ = self._client.unsubscribe(topics)
        return asked == mqtt.MQTT_ERR_SUCCESS and self._unsubscribed.wait(deadline_s)

    def stop(self, deadline_s: float = 5.0) -> None:
        """Say goodbye and end the network thread, once the broker has what was handed over or the deadline passed."""
        taken = self._broker_took_all(deadline_s)
        line: Any = self._client.socket()
        self._client.disable_logger()  # paho 2.2 calls the socket that it has just closed an error
        self._client.disconnect()
        if not taken and line is not None:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)  # the goodbye would wait behind what the broker does not take
        self._client.loop_stop()
        self._connected.clear()

    def _broker_took_all(self, deadline_s: float) -> bool:
        """Wait for the last acknowledgement: to close earlier resets the connection and loses what is on its way."""
        until = time.monotonic() + deadline_s
        while self._last is not None and self.is_connected and time.monotonic() < until:
            try:
                self._last.wait_for_publish(0.05)
                if self._last.is_published():
                    return True
            except RuntimeError:  # it was handed over while there was no connection
                return True
        return self._last is None

    @property
    def is_connected(self) -> bool:
        """Tell whether the broker has accepted us and the connection stands."""
        return self._connected.is_set()

    def wait_connected(self, timeout_s: float) -> bool:
        """Return whether we are connected, after waiting at most `timeout_s`."""
        return self._connected.wait(timeout_s)

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 1,
        retain: bool = False,
        properties: Properties | None = None,
    ) -> int:
        """Hand one message to the network thread and return its id, which comes back in `on_published`.

        Raises: TooLarge when the broker would cut us off for it.
        """
        if len(payload) + PACKET_OVERHEAD_BYTES > self.limits.packet_bytes:
            raise TooLarge("message", len(payload), self.limits.packet_bytes - PACKET_OVERHEAD_BYTES)
        handed_over = self._client.publish(topic, payload, qos, retain, properties)
        if qos:
            self._last = handed_over
        return handed_over.mid

    def ack(self, message: Received) -> None:
        """Tell the broker that `message` is done with; one from an earlier connection is not ours to acknowledge."""
        if not message.qos:
            return
        with self._lock:
            if message.connection == self._connection:
                for mid in self._acks.done(message.mid):
                    self._client.ack(mid, message.qos)

    def _on_connect(self, client: mqtt.Client, _data: Any, _flags: Any, code: Any, properties: Any) -> None:
        self._paho.why = ""
        if code.is_failure:
            self._note(f"the broker refused: {code}; check user name, password and client id")
            return
        self._problem = ""
        self._begin_anew()
        self.limits = Limits(
            getattr(properties, "MaximumPacketSize", PROTOCOL_LIMIT_BYTES),
            getattr(properties, "ReceiveMaximum", PROTOCOL_RECEIVE_MAXIMUM),
        )
        # The property refuses while there is a connection, for fear of 0, which neither value is.
        client._max_inflight_messages = min(UNACKNOWLEDGED, self.limits.receive_maximum)
        self._awaited = {client.subscribe(topic, qos)[1] for topic, qos in self._subscriptions}
        self._ready_once_subscribed()

    def _begin_anew(self) -> None:
        """Forget what came over another connection: it can no longer be acknowledged."""
        with self._lock:
            self._connection += 1
            self._acks.forget()

    def _ready_once_subscribed(self) -> None:
        """Count as connected when the broker has taken the subscriptions, so that no answer comes too early."""
        if not self._awaited:
            log.info(event("connected", broker=self.address, packet_bytes=self.limits.packet_bytes))
            self._connected.set()
            self.away_since_s = None
            self._callbacks.on_connected()

    def _on_connect_fail(self, _client: Any, _data: Any) -> None:
        # Paho calls this while it handles the error and passes it on in no other way.
        problem = sys.exc_info()[1]
        self._note(f"{problem}; {remedy(problem)}")

    def _note(self, problem: str) -> None:
        """Log why there is no connection, once for each reason."""
        if problem != self._problem:
            self._problem = problem
            log.warning(event("no connection", broker=self.address, reason=problem))

    def _on_subscribe(self, _client: Any, _data: Any, mid: int, codes: Any, _properties: Any) -> None:
        for code in codes:
            if code.is_failure:
                log.error(event("subscription refused", broker=self.address, reason=code))
        self._awaited.discard(mid)
        self._ready_once_subscribed()

    def _on_disconnect(self, _client: Any, _data: Any, _flags: Any, code: Any, _properties: Any) -> None:
        self._begin_anew()
        if self._connected.is_set():
            self._connected.clear()
            self.away_since_s = time.monotonic()
            log.info(event("disconnected", broker=self.address, reason=code))
            self._callbacks.on_disconnected()
        elif not self._problem:
            said = self._paho.why
            self._note(f"the broker hung up before it accepted us{said}; check TLS, user name and password")

    def _on_message(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        correlation = getattr(message.properties, "CorrelationData", None)
        users = dict(getattr(message.properties, "UserProperty", ()))
        if message.qos:
            self._acks.came(message.mid)
        self._callbacks.on_message(
            Received(
                message.topic,
                bytes(message.payload),
                message.qos,
                message.mid,
                self._connection,
                correlation,
                users.get("traceparent"),
                bool(message.retain),
            )
        )

    def _on_publish(self, _client: Any, _data: Any, mid: int, code: Any, _properties: Any) -> None:
        if code.is_failure:
            log.warning(event("message refused", broker=self.address, mid=mid, reason=code))
        self._callbacks.on_published(mid)


def _send_at_once(_client: Any, _data: Any, sock: Any) -> None:
    """Turn Nagle's algorithm off: with it one publish and its acknowledgement take 44 ms instead of 0.1 ms."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
