"""A session against real brokers: it comes back, keeps to their limits, and says what they refuse."""

from __future__ import annotations

import logging
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headwater.address import Address
from headwater.children import start
from headwater.errors import BrokerError, TooLarge
from headwater.probes import free_port
from headwater.properties import publish_properties
from headwater.session import PACKET_OVERHEAD_BYTES, Callbacks, Received, Session, Will
from tests.servers import BrokerUnderTest, eventually, listens, need

Connect = Callable[..., "Client"]
StartMosquitto = Callable[..., int]


class Client:
    """A session that puts everything it hears into queues."""

    def __init__(self, url: str, client_id: str, *filters: str, **options: object) -> None:
        self.messages: queue.Queue[Received] = queue.Queue()
        self.published: queue.Queue[int] = queue.Queue()
        self.ups, self.downs = threading.Semaphore(0), threading.Semaphore(0)
        credentials = {
            key: options.pop(key) for key in ("username", "password", "ca_file", "certificate", "key") if key in options
        }
        callbacks = Callbacks(
            on_message=options.pop("on_message", self.messages.put),  # type: ignore[arg-type]
            on_published=self.published.put,
            on_connected=self.ups.release,
            on_disconnected=self.downs.release,
        )
        self.session = Session(
            Address.parse(url, **credentials),
            client_id,
            callbacks,
            subscriptions=[(topic, 1) for topic in filters],
            **options,  # type: ignore[arg-type]
        )

    def hears_itself(self, topic: str) -> None:
        """Return once a message published by this client came back: its subscription holds."""
        assert eventually(lambda: self._echo(topic))
        self.session.publish(topic, b"last echo")
        self.session.ack(self.hears(b"last echo"))

    def hears(self, payload: bytes) -> Received:
        """The first message with this payload, past those before it, such as an echo more than was needed."""
        while (message := self.messages.get(timeout=5)).payload != payload:
            self.session.ack(message)
        return message

    def _echo(self, topic: str) -> Received | None:
        self.session.publish(topic, b"echo")
        try:
            message = self.messages.get(timeout=0.2)
        except queue.Empty:
            return None
        self.session.ack(message)
        return message


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Make clients that are connected, and stop them at the end."""
    clients: list[Client] = []

    def make(url: str, client_id: str, *filters: str, **options: object) -> Client:
        deadline_s = options.pop("deadline_s", 5)
        client = Client(url, client_id, *filters, **options)
        clients.append(client)
        client.session.start(deadline_s)  # type: ignore[arg-type]
        return client

    yield make
    for client in clients:
        client.session.stop()


@pytest.fixture
def start_mosquitto(tmp_path: Path) -> Iterator[StartMosquitto]:
    """Start mosquitto with lines of one's own after its listener; returns the port."""
    program, children = need("mosquitto"), []

    def run(*lines: str) -> int:
        port, configuration = free_port(), tmp_path / "own.conf"
        configuration.write_text("\n".join(["user root", f"listener {port} 127.0.0.1", *lines, ""]))
        children.append(start("mosquitto", [program, "-c", configuration], log=tmp_path / "own.log", lines=False))
        assert eventually(lambda: listens(port)), (tmp_path / "own.log").read_text()
        return port

    yield run
    for child in children:
        child.stop()


def test_a_message_comes_back_with_its_properties(broker: BrokerUnderTest, connect: Connect) -> None:
    """Topic, payload, correlation data and traceparent arrive as they were sent, on each broker."""
    client = connect(broker.url, "a", "t/+")
    client.hears_itself("t/1")
    sent = publish_properties(
        content_type="application/msgpack",
        expiry_s=60,
        response_topic="r",
        correlation=b"cam1-1",
        traceparent="00-a-b-01",
    )
    mid = client.session.publish("t/2", b"\x00payload", properties=sent)
    message = client.hears(b"\x00payload")
    assert (message.topic, message.qos) == ("t/2", 1)
    assert (message.correlation, message.traceparent) == (b"cam1-1", "00-a-b-01")
    assert eventually(lambda: mid in list(client.published.queue))


def test_what_the_broker_had_kept_is_told_from_what_is_said_now(broker: BrokerUnderTest, connect: Connect) -> None:
    """A retained message is new to who listens already, and old to who comes later, on each broker."""
    early = connect(broker.url, "a", "kept")
    early.hears_itself("kept")
    early.session.publish("kept", b"word", retain=True)
    assert early.hears(b"word").retained is False
    late = connect(broker.url, "b", "kept")  # after that: the broker has the word by now
    assert late.hears(b"word").retained is True
    early.session.publish("kept", b"", retain=True)


def test_the_socket_sends_at_once(broker: BrokerUnderTest, connect: Connect) -> None:
    """TCP_NODELAY is set on the socket, also after a reconnect."""
    client = connect(broker.url, "a")

    def nodelay() -> int:
        sock = client.session._client.socket()
        assert sock is not None
        return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    assert nodelay()
    broker.restart()
    assert client.downs.acquire(timeout=10)
    assert client.session.wait_connected(10)
    assert nodelay()


def test_a_session_outlives_the_broker(broker: BrokerUnderTest, connect: Connect) -> None:
    """After a stop and a kill of the broker the session connects and subscribes by itself."""
    client = connect(broker.url, "a", "t")
    for number, down in enumerate((broker.stop, broker.kill), start=1):
        client.hears_itself("t")
        assert client.ups.acquire(timeout=5)
        down()
        assert client.downs.acquire(timeout=10)
        assert not client.session.is_connected
        broker.start()
        assert client.session.wait_connected(10), number
    client.hears_itself("t")


def test_who_unsubscribes_knows_when_the_broker_has_heard(broker: BrokerUnderTest, connect: Connect) -> None:
    """Each broker answers, and gives nothing after that."""
    leaving, client = connect(broker.url, "leaving", "t", "u"), connect(broker.url, "a", "t")
    leaving.hears_itself("t")
    assert leaving.session.unsubscribe()
    client.session.publish("t", b"new")
    assert eventually(lambda: b"new" in payloads(client))
    assert not eventually(lambda: b"new" in payloads(leaving), 0.2)


def payloads(client: Client) -> list[bytes]:
    """Return what a client has heard so far."""
    return [message.payload for message in list(client.messages.queue)]


def test_a_session_that_starts_first_waits_for_the_broker(mosquitto: BrokerUnderTest) -> None:
    """Without a deadline, start returns at once and the session connects when there is a broker."""
    mosquitto.stop()
    client = Client(mosquitto.url, "a")
    client.session.start()
    try:
        assert not client.session.wait_connected(0.3)
        mosquitto.start()
        assert client.session.wait_connected(10)
    finally:
        client.session.stop()


def test_what_was_handed_over_is_sent_before_goodbye(broker: BrokerUnderTest, connect: Connect) -> None:
    """Stopping right after a burst loses none of it, although the broker takes only a few at a time."""
    listener = connect(broker.url, "listener", "t", receive_maximum=1000)
    listener.hears_itself("t")
    client = connect(broker.url, "a")
    for number in range(200):
        client.session.publish("t", number.to_bytes(2, "big") + bytes(2000))
    client.session.stop()
    assert not client.session.is_connected
    heard: list[int] = []
    while len(heard) < 200:
        message = listener.messages.get(timeout=5)
        listener.session.ack(message)
        if message.payload != b"echo":
            heard.append(int.from_bytes(message.payload[:2], "big"))
    assert heard == list(range(200))


def test_refused_credentials_are_named(start_mosquitto: StartMosquitto, caplog: pytest.LogCaptureFixture) -> None:
    """A broker that wants a password is an error that says so, logged once however often it is tried."""
    port = start_mosquitto("allow_anonymous false")
    client = Client(f"mqtt://127.0.0.1:{port}", "a", username="x", password="hunter2")
    with pytest.raises(BrokerError, match="the broker refused: Not authorized; check user name, password"):
        client.session.start(deadline_s=5)
    assert [record.levelno for record in caplog.records if "refused" in record.message] == [logging.WARNING]
    assert "hunter2" not in caplog.text


def test_limits_of_the_broker_are_kept(start_mosquitto: StartMosquitto, connect: Connect) -> None:
    """What would be over max_packet_size is refused unsent, the largest allowed goes through, the session stands."""
    port = start_mosquitto("allow_anonymous true", "max_packet_size 50000", "max_inflight_messages 7")
    client = connect(f"mqtt://127.0.0.1:{port}", "a", "t")
    client.hears_itself("t")
    assert client.session.limits.packet_bytes == 50_000
    assert client.session.limits.receive_maximum in {7, 65_535}
    with pytest.raises(TooLarge, match="message of 50000 B is over the limit of 48976 B"):
        client.session.publish("t", bytes(50_000))
    client.session.publish("t", bytes(50_000 - PACKET_OVERHEAD_BYTES))
    assert len(client.messages.get(timeout=5).payload) == 50_000 - PACKET_OVERHEAD_BYTES
    assert client.session.is_connected


def test_a_small_receive_maximum_is_kept(start_mosquitto: StartMosquitto, connect: Connect) -> None:
    """A broker that takes only three unacknowledged messages gets a hundred without hanging up once."""
    port = start_mosquitto("allow_anonymous true", "max_inflight_messages 3")
    client = connect(f"mqtt://127.0.0.1:{port}", "a", "t")
    client.hears_itself("t")
    for number in range(100):
        client.session.publish("t", bytes([number]))
    heard = []
    while len(heard) < 100:
        heard.append(client.messages.get(timeout=5))
        client.session.ack(heard[-1])
    assert [message.payload[0] for message in heard] == list(range(100))
    assert {message.connection for message in heard} == {1}


def test_what_is_not_acknowledged_holds_the_window(mosquitto: BrokerUnderTest, connect: Connect) -> None:
    """With a receive maximum of 3, the fourth message comes when one of the first was acknowledged."""
    listener = connect(mosquitto.url, "listener", "t", receive_maximum=3)
    listener.hears_itself("t")
    client = connect(mosquitto.url, "a")
    for number in range(5):
        client.session.publish("t", bytes([number]))
    first = [listener.messages.get(timeout=5) for _ in range(3)]
    assert eventually(lambda: client.published.qsize() == 5)
    with pytest.raises(queue.Empty):
        listener.messages.get(timeout=0.2)
    listener.session.ack(first[0])
    assert listener.messages.get(timeout=5).payload == bytes([3])


def test_a_message_of_an_earlier_connection_is_not_acknowledged(mosquitto: BrokerUnderTest, connect: Connect) -> None:
    """After a reconnect the broker counts anew: an old message's number could belong to another one."""
    listener = connect(mosquitto.url, "listener", "t", receive_maximum=1)
    listener.hears_itself("t")
    client = connect(mosquitto.url, "a")
    client.session.publish("t", b"old")
    old = listener.messages.get(timeout=5)
    mosquitto.restart()
    for each in (listener, client):
        assert each.downs.acquire(timeout=10)
        assert each.session.wait_connected(10)
    listener.hears_itself("t")
    client.session.publish("t", b"new")
    client.session.publish("t", b"newer")
    assert listener.messages.get(timeout=5).payload == b"new"
    listener.session.ack(old)
    with pytest.raises(queue.Empty):
        listener.messages.get(timeout=0.2)


WILLING = """
import sys, time
from headwater.session import Address, Callbacks, Session, Will
Session(Address.parse(sys.argv[1]), "willing", Callbacks(), will=Will("gone", b"farewell")).start(5)
print("up", flush=True)
time.sleep(60)
"""


def test_the_will_of_a_killed_process_is_delivered(broker: BrokerUnderTest, connect: Connect) -> None:
    """SIGKILL makes the broker publish the will, and keep it."""
    listener = connect(broker.url, "listener", "gone")
    with subprocess.Popen([sys.executable, "-c", WILLING, broker.url], stdout=subprocess.PIPE) as willing:
        assert willing.stdout is not None
        assert willing.stdout.readline() == b"up\n"
        os.kill(willing.pid, signal.SIGKILL)
    assert listener.messages.get(timeout=10).payload == b"farewell"
    late = connect(broker.url, "late", "gone")
    assert late.messages.get(timeout=5).payload == b"farewell"


def test_an_orderly_goodbye_has_no_will(mosquitto: BrokerUnderTest, connect: Connect) -> None:
    """After stop() the broker says nothing for us."""
    listener = connect(mosquitto.url, "listener", "gone", "t")
    listener.hears_itself("t")
    client = connect(mosquitto.url, "a", will=Will("gone", b"farewell"))
    client.session.publish("t", b"last")
    client.session.stop()
    assert listener.messages.get(timeout=5).payload == b"last"
    with pytest.raises(queue.Empty):
        listener.messages.get(timeout=0.2)


def test_an_exception_in_a_callback_does_not_end_the_thread(
    mosquitto: BrokerUnderTest, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """A callback that fails is logged, and the next message comes."""
    heard: queue.Queue[bytes] = queue.Queue()

    def fail_once(message: Received) -> None:
        heard.put(message.payload)
        if heard.qsize() == 1:
            raise ZeroDivisionError("a poisonous message")

    client = connect(mosquitto.url, "a", "t", on_message=fail_once)

    def both_heard() -> bool:
        client.session.publish("t", b"x", qos=0)
        return heard.qsize() > 1

    assert eventually(both_heard)
    assert client.session.is_connected
    assert "a poisonous message" in caplog.text


def test_a_refused_message_is_logged(
    start_mosquitto: StartMosquitto, connect: Connect, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A message that the broker's access list denies is a warning; its id comes back all the same."""
    (tmp_path / "acl").write_text("topic readwrite allowed\n")
    port = start_mosquitto("allow_anonymous true", f"acl_file {tmp_path / 'acl'}")
    client = connect(f"mqtt://127.0.0.1:{port}", "a")
    mid = client.session.publish("forbidden", b"x")
    assert client.published.get(timeout=5) == mid
    assert "message refused" in caplog.text
    assert "Not authorized" in caplog.text


def test_stop_does_not_wait_for_a_frozen_broker(mosquitto: BrokerUnderTest, connect: Connect) -> None:
    """A broker that takes nothing more does not hold up the end of the process."""
    client = connect(mosquitto.url, "a")
    mosquitto.pause()
    try:
        for _ in range(20):
            client.session.publish("t", bytes(1_000_000))
        stopping = threading.Thread(target=client.session.stop, daemon=True)
        stopping.start()
        stopping.join(8)
        assert not stopping.is_alive()
    finally:
        mosquitto.resume()


def openssl(*words: str | Path) -> None:
    """Run openssl."""
    subprocess.run([need("openssl"), *words], check=True, capture_output=True)


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """A folder with a CA of our own and certificates of a broker on 127.0.0.1 and of a device."""
    folder = tmp_path / "certificates"
    folder.mkdir()
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    for name in ("ca", "other"):
        openssl(
            "req",
            "-x509",
            *curve,
            "-subj",
            f"/CN={name}",
            "-keyout",
            folder / f"{name}.key",
            "-out",
            folder / f"{name}.pem",
        )
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    for name in ("broker", "cam1"):
        request = folder / f"{name}.csr"
        openssl("req", *curve, "-subj", f"/CN={name}", "-keyout", folder / f"{name}.key", "-out", request)
        signing = [
            "-CA",
            folder / "ca.pem",
            "-CAkey",
            folder / "ca.key",
            "-CAcreateserial",
            "-extfile",
            folder / "names",
        ]
        openssl("x509", "-req", "-in", request, *signing, "-out", folder / f"{name}.pem")
    return folder


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # paho leaves a failed TLS socket to the collector
def test_tls_with_certificates_of_both_sides(
    certificates: Path, start_mosquitto: StartMosquitto, connect: Connect
) -> None:
    """With the right CA and a certificate the session stands; without either it says what is wrong."""
    port = start_mosquitto(
        "allow_anonymous true",
        f"cafile {certificates / 'ca.pem'}",
        f"certfile {certificates / 'broker.pem'}",
        f"keyfile {certificates / 'broker.key'}",
        "require_certificate true",
    )
    url = f"mqtts://127.0.0.1:{port}"
    ours = {"certificate": certificates / "cam1.pem", "key": certificates / "cam1.key"}
    client = connect(url, "a", "t", ca_file=certificates / "ca.pem", **ours)
    client.hears_itself("t")
    with pytest.raises(BrokerError, match="certificate verify failed"):
        connect(url, "b", deadline_s=5, ca_file=certificates / "other.pem", **ours)
    with pytest.raises(BrokerError, match=f"no session with {url} within 5 s: the broker hung up"):
        connect(url, "c", deadline_s=5, ca_file=certificates / "ca.pem")
    with pytest.raises(BrokerError, match="no session with mqtt://"):
        connect(f"mqtt://127.0.0.1:{port}", "d", deadline_s=5)
