"""Attacks on the hardened broker, tried on a real mosquitto; SECURITY.md's table says what each is refused with."""

from __future__ import annotations

import contextlib
import select
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from broker.certificate_folder import CertificateFolder
from broker.hardened import DOORS, PLACE, inner_door, start_hardened
from headwater.children import start
from headwater.errors import BrokerError
from headwater.messages import VERSION, FrameId, Result, encode
from headwater.probes import free_port, greet_mqtt
from headwater.servers import RunningServer
from headwater.session import Will
from headwater.topics import Topics
from tests.integration.doors import (
    address,
    changed_broker,
    connect_packet,
    context_of,
    cut,
    line_of,
    new_place,
    now,
    old_context,
    told,
    with_numbers,
)
from tests.integration.party import Party
from tests.servers import eventually, listens, need, peak_bytes
from tests.threats import words_for

DEMO, HARBOUR = Topics("demo"), Topics("harbour")
ANSWER = encode(Result(VERSION, FrameId("camera-1", "0123abcd", 1), "worker", 0, 0, 0, {}))
SILENT_S = 115.0
MEGABYTE = 1_000_000

Join = Callable[..., Party]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> CertificateFolder:
    """Certificates of everybody who comes."""
    need("mosquitto")
    return new_place(tmp_path_factory.mktemp("ours") / "certificates")


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> CertificateFolder:
    """Another authority, with clients of the same names."""
    return new_place(tmp_path_factory.mktemp("others") / "certificates")


@pytest.fixture(scope="module")
def broker(place: CertificateFolder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A mosquitto with the hardened configuration as it ships, and an access list for two fleets."""
    with start_hardened(place.path, folder=tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture
def join(place: CertificateFolder, broker: RunningServer) -> Iterator[Join]:
    """Make users that are connected, devices at their door, everybody else at the inner one; stop them at the end."""
    parties: list[Party] = []

    def one(user: str, *filters: str, name: str = "", will: Will | None = None) -> Party:
        door = broker.url if user.startswith(("camera", "quay", "stranger")) else inner_door(broker)
        parties.append(Party(address(place, user, door), name or f"{user}-{time.monotonic_ns()}", *filters, will=will))
        return parties[-1]

    yield one
    for party in parties:
        party.session.stop()


def log_of(broker: RunningServer) -> str:
    """Return what the broker has logged."""
    assert broker.child.log is not None
    return broker.child.log.read_text()


def test_who_has_a_certificate_comes_in(join: Join) -> None:
    """A device's frame reaches the worker of its fleet, and the answer the device."""
    camera = join("camera-1", DEMO.of_device("camera-1", "result"))
    worker = join("worker-demo", DEMO.shared("frame"))
    camera.say(DEMO.of_device("camera-1", "frame"))
    assert eventually(lambda: DEMO.of_device("camera-1", "frame") in worker.heard)
    worker.say(DEMO.of_device("camera-1", "result"), ANSWER)
    assert eventually(lambda: camera.heard.get(DEMO.of_device("camera-1", "result")) == ANSWER)


@pytest.mark.parametrize(
    ("attack", "user"),
    [
        ("a stranger without a certificate", None),
        ("a certificate that has ended", "late"),
        ("a certificate that was revoked", "lost"),
    ],
)
def test_nobody_comes_in_without_a_certificate_that_holds(
    attack: str, user: str | None, place: CertificateFolder, broker: RunningServer
) -> None:
    """At both doors, with an alert that says why."""
    files = (place.certificate(user), place.key(user)) if user else ()
    for port in (broker.port, broker.port + 1):
        assert words_for(attack) in told(port, context_of(place.certificate("ca"), *files))


def test_another_authority_s_certificate_is_worth_nothing(
    place: CertificateFolder, others: CertificateFolder, broker: RunningServer
) -> None:
    """Though the name in it is one that we know."""
    context = context_of(place.certificate("ca"), others.certificate("camera-1"), others.key("camera-1"))
    assert words_for("a certificate of another authority") in told(broker.port, context)


def test_a_session_says_why_it_is_not_let_in(place: CertificateFolder, broker: RunningServer) -> None:
    """Whoever sets up a device reads the reason in one line."""
    with pytest.raises(BrokerError, match=r"the broker hung up before it accepted us|certificate expired"):
        Party(address(place, "late", broker.url), "late", deadline_s=5.0)


def test_old_tls_and_no_tls_are_refused(place: CertificateFolder, broker: RunningServer) -> None:
    """TLS 1.1 by an alert; plain MQTT by an end without an answer."""
    assert words_for("TLS 1.1") in told(broker.port, old_context(place.certificate("ca")))
    with pytest.raises(BrokerError, match=r"reset by peer|not in MQTT 5"):
        greet_mqtt(f"mqtt://127.0.0.1:{broker.port}")
    assert words_for("plain text at the encrypted port") in log_of(broker)


def test_a_device_cannot_play_the_broker(place: CertificateFolder) -> None:
    """A stolen device's certificate, behind a false address, convinces no other device."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(place.certificate("camera-1"), place.key("camera-1"))
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            line, _ = listener.accept()
            with line, contextlib.suppress(OSError), context.wrap_socket(line, server_side=True):
                pass

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"mqtts://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(BrokerError) as caught:
            greet_mqtt(address(place, "camera-2", url))
        thread.join(5)
    assert words_for("a device that plays the broker") in str(caught.value)


@pytest.mark.parametrize(
    ("attack", "user", "topic", "right"),
    [
        ("a device under another's name", "camera-1", DEMO.of_device("camera-2", "frame"), "frame"),
        ("a device under another's name", "camera-1", DEMO.of_device("camera-2", "status"), "status"),
        ("a device that answers itself", "camera-1", DEMO.of_device("camera-1", "result"), "frame"),
        ("a device that sets another device", "camera-1", DEMO.of_device("camera-2", "settings"), "frame"),
        ("a device in another fleet, or in invented ones", "camera-1", HARBOUR.of_device("camera-1", "frame"), "frame"),
        ("a device in another fleet, or in invented ones", "camera-1", "headwater/v1/x1/camera-1/status", "status"),
        ("a worker that answers another fleet", "worker-demo", HARBOUR.of_device("quay-1", "result"), "result"),
        ("a site that sets a device", "visualizer-demo", DEMO.of_device("camera-1", "settings"), ""),
        ("a certificate without any right", "stranger", DEMO.of_device("stranger", "frame"), ""),
    ],
)
def test_nobody_speaks_beyond_his_rights(
    join: Join, caplog: pytest.LogCaptureFixture, attack: str, user: str, topic: str, right: str
) -> None:
    """The broker refuses it to whoever tries; what the same user may say passes."""
    party = join(user)
    if right:
        party.say(DEMO.of_device(user if user.startswith("camera") else "camera-1", right))
    party.say(topic)
    assert eventually(lambda: "message refused" in caplog.text)
    party.session.stop()
    assert caplog.text.count("message refused") == 1
    assert f"reason='{words_for(attack)}'" in caplog.text


def test_nobody_hears_what_is_another_s(join: Join) -> None:
    """A device that listens to everything hears its own answers alone; nor does a worker hear another fleet."""
    camera = join("camera-1", "#", "headwater/v1/#", DEMO.every("result"), "$SYS/#")
    harbour = join("quay-1")
    worker = join("worker-demo", HARBOUR.shared("frame"), HARBOUR.every("frame"), DEMO.every("frame"))
    answering = join("worker-demo")
    harbour.say(HARBOUR.of_device("quay-1", "frame"))
    answering.say(DEMO.of_device("camera-2", "result"), ANSWER)
    join("camera-2").say(DEMO.of_device("camera-2", "frame"))
    answering.say(DEMO.of_device("camera-1", "result"), ANSWER)
    own, frame = DEMO.of_device("camera-1", "result"), DEMO.of_device("camera-2", "frame")
    assert eventually(lambda: own in camera.heard and frame in worker.heard)
    foreign = (set(camera.heard) - {own}) | (set(worker.heard) - {frame})
    assert words_for("a device or worker that listens to others") == f"{len(foreign)} messages heard"


def test_a_last_will_under_another_s_name_is_not_carried_out(join: Join) -> None:
    """The site hears that one device is gone, and not the other's lie."""
    site = join("visualizer-demo", DEMO.every("status"))
    false, own = (DEMO.of_device(device, "status") for device in ("camera-2", "camera-3"))
    liar = join("camera-1", will=Will(false, b"gone"))
    honest = join("camera-3", will=Will(own, b"gone"))
    cut(liar)
    cut(honest)
    assert eventually(lambda: own in site.heard)
    believed = sum(topic == false for topic in site.heard)
    assert words_for("a last will under another's name") == f"{believed} messages heard"


def test_a_stolen_client_id_takes_over_nothing(join: Join, broker: RunningServer) -> None:
    """At the devices' door the id is the certificate's name, whatever the client says."""
    result = DEMO.of_device("camera-1", "result")
    camera, worker = join("camera-1", result, name="headwater-camera-1-0123abcd"), join("worker-demo")
    before = len(log_of(broker))
    join("camera-2", name="headwater-camera-1-0123abcd").say(DEMO.of_device("camera-2", "status"))
    assert eventually(lambda: words_for("another device's client id") in log_of(broker)[before:])
    worker.say(result, ANSWER)
    assert eventually(lambda: camera.heard.get(result) == ANSWER)
    assert camera.session.is_connected
    assert camera.lost == 0


def test_a_packet_over_the_limit_ends_its_connection(place: CertificateFolder, broker: RunningServer) -> None:
    """By its announced length, before a byte of it is taken."""
    context = context_of(place.certificate("ca"), place.certificate("camera-1"), place.key("camera-1"))
    with line_of(broker.port, context) as line:
        line.sendall(connect_packet("large"))
        assert line.recv(1) == b"\x20"
        line.recv(1000)
        line.sendall(b"\x30\xff\xff\xff\x7f")  # PUBLISH of 268,435,455 bytes, the longest that MQTT knows
        answer = line.recv(1000)
    assert answer[0] == 0xE0
    reason = ReasonCode(PacketTypes.DISCONNECT, identifier=answer[2])
    assert words_for("a packet of 256 MB") == str(reason)


def test_too_many_connections_leave_the_inner_door_open(place: CertificateFolder, tmp_path: Path) -> None:
    """Whoever takes all places at the devices' door keeps devices out while it lasts, but no worker."""
    with changed_broker(place, tmp_path, with_numbers(max_connections=8)) as broker, contextlib.ExitStack() as lines:
        for _ in range(12):
            lines.enter_context(socket.create_connection(("127.0.0.1", broker.port), timeout=5))
        refused = words_for("more connections than places")
        assert eventually(lambda: refused in log_of(broker))
        worker = Party(address(place, "worker-demo", inner_door(broker)), "worker", DEMO.shared("frame"))
        lines.close()
        camera = Party(address(place, "camera-1", broker.url), "camera")
        camera.say(DEMO.of_device("camera-1", "frame"))
        assert eventually(lambda: worker.count == 1)
        camera.session.stop()
        worker.session.stop()


@pytest.mark.timeout(200)
def test_slow_clients_are_cut_off_and_hold_up_nobody(
    place: CertificateFolder, broker: RunningServer, join: Join
) -> None:
    """Some say nothing, some a byte a second: all are gone after a while, and devices do not notice them."""
    context = context_of(place.certificate("ca"), place.certificate("camera-2"), place.key("camera-2"))
    hello, slow = client_hello(), connect_packet("x" * 110)
    with contextlib.ExitStack() as opened:
        groups: dict[str, list[socket.socket]] = {
            kind: [opened.enter_context(socket.create_connection(("127.0.0.1", broker.port))) for _ in range(20)]
            for kind in ("silent", "a handshake a byte a second")
        }
        for kind in ("silent after the handshake", "a CONNECT a byte a second"):
            groups[kind] = [opened.enter_context(line_of(broker.port, context)) for _ in range(10)]
        left = {line: kind for kind, lines in groups.items() for line in lines}
        camera, began_s, seconds = join("camera-1"), time.monotonic(), 0
        while left and time.monotonic() - began_s < SILENT_S:
            for line, kind in left.items():
                drops = {"a handshake a byte a second": hello, "a CONNECT a byte a second": slow}.get(kind, b"")
                with contextlib.suppress(OSError):
                    line.sendall(drops[seconds : seconds + 1])
            seconds += 1
            camera.say(DEMO.of_device("camera-1", "status"))
            closed = closed_within(left, 1.0)
            left = {line: kind for line, kind in left.items() if line not in closed}
        assert set(left.values()) == set()
        assert camera.session.is_connected
        assert camera.lost == 0
    assert words_for("a slow client (slow loris)") in log_of(broker)


def client_hello() -> bytes:
    """Return how a TLS client begins."""
    said, heard = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(heard, said, server_hostname="127.0.0.1").do_handshake()
    return said.read()


def closed_within(lines: Iterable[socket.socket], wait_s: float) -> set[socket.socket]:
    """Return those lines that the other side has closed, after waiting a while."""
    time_left_s, closed = wait_s, set()
    while time_left_s > 0:
        began_s = time.monotonic()
        ready, _, _ = select.select([line for line in lines if line not in closed], [], [], time_left_s)
        for line in ready:
            line.setblocking(False)
            try:
                if not line.recv(1000):
                    closed.add(line)
            except (BlockingIOError, ssl.SSLWantReadError):
                continue
            except OSError:
                closed.add(line)
            finally:
                line.settimeout(1.0)
        time_left_s -= time.monotonic() - began_s
    return closed


def test_a_flood_is_bounded_in_memory(place: CertificateFolder, tmp_path: Path) -> None:
    """A device sends far more than a worker takes: the broker's memory stays within its limit, and it serves others."""
    limit_bytes = 64 * MEGABYTE
    inner = context_of(place.certificate("ca"), place.certificate("worker-demo"), place.key("worker-demo"))
    with changed_broker(place, tmp_path, with_numbers(memory_limit=limit_bytes)) as broker:
        with line_of(broker.port + 1, inner) as worker:
            worker.sendall(connect_packet("slow worker"))
            assert worker.recv(1) == b"\x20"
            topic = DEMO.every("frame").encode()
            body = b"\x00\x01\x00" + len(topic).to_bytes(2, "big") + topic + b"\x00"
            worker.sendall(b"\x82" + bytes([len(body)]) + body)  # and from now on it reads nothing
            camera = Party(address(place, "camera-1", broker.url), "camera")
            for _ in range(300):
                camera.session.publish(DEMO.of_device("camera-1", "frame"), bytes(MEGABYTE), qos=0)
            assert eventually(lambda: words_for("a flood of messages") in log_of(broker), 30), log_of(broker)
            camera.session.stop()
        assert peak_bytes(broker.child.pid) < limit_bytes + 64 * MEGABYTE
        worker_again = Party(address(place, "worker-demo", inner_door(broker)), "worker", DEMO.every("frame"))
        other = Party(address(place, "camera-2", broker.url), "other")
        other.say(DEMO.of_device("camera-2", "frame"))
        assert eventually(lambda: DEMO.of_device("camera-2", "frame") in worker_again.heard)
        other.session.stop()
        worker_again.session.stop()


def test_the_two_files_hold_as_a_service_reads_them(place: CertificateFolder, tmp_path: Path) -> None:
    """From a folder of settings, in the order of their names, as docs/broker.md lays them there."""
    program, ports, settings = need("mosquitto"), (free_port(), free_port()), tmp_path / "conf.d"
    settings.mkdir()
    shipped = Path(__file__).parents[2] / "broker"
    (settings / "10-headwater.conf").write_text((shipped / "mosquitto.conf").read_text())
    hardened = (shipped / "hardened.conf").read_text().replace(PLACE, f"{place.path}/")
    for door, port in zip(DOORS, ports, strict=True):
        assert door in hardened
        hardened = hardened.replace(door, f"listener {port} 127.0.0.1\n")
    (settings / "20-hardened.conf").write_text(hardened)
    own = f"user root\nlog_dest stderr\npersistence_location {tmp_path}/\ninclude_dir {settings}\n"
    (tmp_path / "mosquitto.conf").write_text(own)
    log = tmp_path / "log"
    with start("mosquitto", [program, "-c", tmp_path / "mosquitto.conf"], log=log, lines=False):
        context = context_of(place.certificate("ca"))
        for port in ports:
            assert eventually(lambda port=port: listens(port)), log.read_text()
            assert words_for("a stranger without a certificate") in told(port, context)
        assert eventually(lambda: "New connection from 127.0.0.1" in log.read_text())


def test_a_revocation_holds_from_the_next_connection_and_at_once_after_a_restart(tmp_path: Path) -> None:
    """SIGHUP lets the broker read the new list; only a restart ends the connection that stands."""
    need("mosquitto")
    place = new_place(tmp_path / "certificates")
    with start_hardened(place.path, folder=tmp_path / "broker") as broker:
        camera = Party(address(place, "camera-2", broker.url), "camera")
        place.revoke("camera-2", now())
        broker.child.signal(signal.SIGHUP)
        context = context_of(place.certificate("ca"), place.certificate("camera-2"), place.key("camera-2"))
        assert eventually(lambda: words_for("a certificate that was revoked") in told(broker.port, context, 1.0))
        assert camera.session.is_connected
        broker.stop()
        with start_hardened(place.path, port=broker.port, folder=tmp_path / "broker") as again:
            assert words_for("a certificate that was revoked") in told(again.port, context)
            assert eventually(lambda: "revoked" in camera.session._problem or "hung up" in camera.session._problem, 30)
            camera.session.stop()


def test_a_device_in_the_workers_group_hears_nothing_but_takes_turns(join: Join) -> None:
    """What SECURITY.md says that mosquitto's access lists do not prevent: frames are delayed, not shown or lost."""
    worker = join("worker-demo", DEMO.shared("frame"))
    intruder = join("camera-2", DEMO.shared("frame"))
    camera = join("camera-1")
    for _ in range(20):
        camera.say(DEMO.of_device("camera-1", "frame"))
    assert eventually(lambda: worker.count >= 10)
    intruder.session.stop()
    camera.say(DEMO.of_device("camera-1", "frame"), b"last")
    assert eventually(lambda: worker.heard[DEMO.of_device("camera-1", "frame")] == b"last")
    assert intruder.heard == {}
    assert worker.count <= 21
