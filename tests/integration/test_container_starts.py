"""What the broker's container starts with, and the passwords that the compose project is given, without an engine."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from headwater.address import Address
from headwater.children import Child, start
from headwater.errors import BrokerError
from headwater.probes import free_port, greet_mqtt
from headwater.session import Callbacks, Received, Session
from headwater.topics import Topics
from tests.broker.test_hardened import doors
from tests.integration.party import Party
from tests.servers import eventually, listens, need, peak_bytes

ROOT = Path(__file__).parents[2]
TOPICS = Topics("demo")
MEBI = 1024 * 1024
FRAME_BYTES = 400_000
"""A large frame: an activation of 14 by 14 by 512 as it is."""


def make_secrets(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a copy of compose/make-secrets."""
    folder.mkdir(exist_ok=True)
    script = folder / "make-secrets"
    script.write_text((ROOT / "compose/make-secrets").read_text())
    script.chmod(0o755)
    return subprocess.run([script, *words], capture_output=True, text=True, check=False, timeout=30)


def listed(folder: Path) -> dict[str, str]:
    """Return the devices with passwords of their own."""
    lines = (folder / "secrets/device_passwords").read_text().splitlines()
    return dict(line.split(":", 1) for line in lines if not line.startswith("#"))


def test_devices_get_passwords_of_their_own_once(tmp_path: Path) -> None:
    """A second call changes none and adds what is new; a name that is a part of another is another."""
    assert make_secrets(tmp_path, "camera-2").returncode == 0
    first = listed(tmp_path)
    assert make_secrets(tmp_path, "camera-2", "camera.2", "2").returncode == 0
    found = listed(tmp_path)
    assert set(found) == {"camera-2", "camera.2", "2"}
    assert found["camera-2"] == first["camera-2"]
    assert {len(password) for password in found.values()} == {32}
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["a b", "a:b", "", "#", "worker", "health", "edge"])
def test_names_that_are_no_device_s_are_refused(tmp_path: Path, name: str) -> None:
    """Nothing that breaks the file, and no part's name."""
    done = make_secrets(tmp_path, name)
    assert done.returncode == 2
    assert f"make-secrets: '{name}' cannot be a device" in done.stderr
    assert listed(tmp_path) == {}


@pytest.mark.parametrize("name", ["operator", "top", "homeassistant"])
def test_a_user_with_more_rights_is_made_on_purpose_alone(tmp_path: Path, name: str) -> None:
    """The access list knows these names, so no device gets one by its name."""
    done = make_secrets(tmp_path, "camera-2", name)
    assert done.returncode == 2
    assert f"compose/make-secrets --role {name}" in done.stderr
    assert listed(tmp_path) == {}
    assert f"\nuser {name}\n" in (ROOT / "broker/acl").read_text()
    assert make_secrets(tmp_path, "--role", name).returncode == 0
    assert set(listed(tmp_path)) == {name}


def test_every_user_of_the_access_list_is_a_part_or_a_role(tmp_path: Path) -> None:
    """A new one there cannot become a device's name unnoticed."""
    for name in re.findall(r"^user (\S+)$", (ROOT / "broker/acl").read_text(), re.MULTILINE):
        assert make_secrets(tmp_path, name).returncode == 2, name


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--role", "camera-2"], "'camera-2' is no role; expected operator, top or homeassistant"),
        (["--role"], "--role wants a name behind it"),
        (["--rolle", "top"], "got --rolle, expected names of devices, or --role, --print or --forget and names"),
        (["--print", "camera-9"], "has no 'camera-9'"),
        (["--forget", "2"], "has no '2'"),
    ],
)
def test_words_that_mean_nothing_are_refused(tmp_path: Path, words: list[str], said: str) -> None:
    """With what was expected."""
    make_secrets(tmp_path, "2.0")
    done = make_secrets(tmp_path, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert set(listed(tmp_path)) == {"2.0"}


def test_a_password_is_printed_and_one_user_s_alone_is_changed(tmp_path: Path) -> None:
    """For the file that a device is given; forgotten and named again it has another, and nobody else has."""
    make_secrets(tmp_path, "camera-2", "camera.2", "2", "2.0")
    first = listed(tmp_path)
    assert make_secrets(tmp_path, "--print", "camera.2").stdout == first["camera.2"] + "\n"
    assert make_secrets(tmp_path, "--forget", "camera.2").returncode == 0
    assert set(listed(tmp_path)) == {"camera-2", "2", "2.0"}
    make_secrets(tmp_path, "camera.2")
    second = listed(tmp_path)
    assert {name for name in first if second[name] != first[name]} == {"camera.2"}
    for name in first:
        make_secrets(tmp_path, "--forget", name)
    assert listed(tmp_path) == {}


class Broker(NamedTuple):
    """A broker that runs as in its container."""

    url: str
    passwords: dict[str, str]
    child: Child


def laid_out(folder: Path, port: int) -> Path:
    """Return the container's own script with secrets, and its paths and port laid elsewhere."""
    need("mosquitto_passwd")
    make_secrets(folder / "compose", "camera-2", "camera-3")
    make_secrets(folder / "compose", "--role", "operator")
    (folder / "data").mkdir()
    script, text = folder / "start", (ROOT / "broker/container/start").read_text()
    for was, now in (
        ("/run/secrets", folder / "compose/secrets"),
        ("/tmp/broker", folder / "own"),
        ("/var/lib/headwater", folder / "data"),
        ("/opt/broker", ROOT / "broker"),
        ('"log_dest stderr"', '"log_dest stderr"; echo "user root"'),
        ('"listener 1883"', f'"listener {port} 127.0.0.1"'),
    ):
        assert was in text
        text = text.replace(was, str(now))
    script.write_text(text)
    script.chmod(0o755)
    return script


def environment(*folders: Path) -> dict[str, str]:
    """Return what the container has said to it; programs of those folders come first."""
    path = os.pathsep.join([*map(str, folders), os.environ["PATH"], "/usr/sbin"])
    return {"PATH": path, "BROKER_USERS": "edge worker visualizer"}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """The broker as its container starts it."""
    need("mosquitto")
    port, secrets = free_port(), tmp_path / "compose/secrets"
    script = laid_out(tmp_path, port)
    child = start("broker", [script], log=tmp_path / "log", lines=False, env=environment())
    try:
        assert eventually(lambda: listens(port)), (tmp_path / "log").read_text()
        parts = ("edge", "worker", "visualizer")
        passwords = {part: (secrets / f"{part}_password").read_text().strip() for part in parts}
        own = {"health": (tmp_path / "own/health").read_text()}
        yield Broker(f"mqtt://127.0.0.1:{port}", passwords | listed(tmp_path / "compose") | own, child)
    finally:
        child.stop()


def party(broker: Broker, user: str, *filters: str) -> Party:
    """Return a user's session."""
    return Party(Address.parse(broker.url, username=user, password=broker.passwords[user]), f"{user}-1", *filters)


def test_the_container_s_broker_holds_its_access_list(broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
    """Devices that share a user may be any device, those with their own only themselves; workers set nobody."""
    worker = party(broker, "worker", TOPICS.every("frame"))
    shared, own = party(broker, "edge"), party(broker, "camera-2")
    shared.say(TOPICS.of_device("camera-1", "frame"))
    own.say(TOPICS.of_device("camera-2", "frame"))
    assert eventually(lambda: len(worker.heard) == 2)
    for liar, topic in (
        (own, TOPICS.of_device("camera-3", "frame")),
        (shared, TOPICS.of_device("camera-1", "settings")),
        (worker, TOPICS.of_device("camera-1", "settings")),
    ):
        caplog.clear()
        liar.say(topic)
        assert eventually(lambda: "Not authorized" in caplog.text)
    health = party(broker, "health", "$SYS/broker/uptime", TOPICS.every("frame"))
    assert eventually(lambda: set(health.heard) == {"$SYS/broker/uptime"}, 30)
    for one in (worker, shared, own, health):
        one.session.stop()


def test_nobody_comes_in_without_a_password(broker: Broker) -> None:
    """Nor with another device's."""
    greet_mqtt(Address.parse(broker.url, username="camera-2", password=broker.passwords["camera-2"]))
    for credentials in ({}, {"username": "camera-2", "password": broker.passwords["camera-3"]}):
        with pytest.raises(BrokerError, match="refused"):
            greet_mqtt(Address.parse(broker.url, **credentials))


def test_a_topic_is_heard_as_a_user_whose_password_nobody_sees(tmp_path: Path) -> None:
    """The container's own program hands the password over in a file, gone afterwards; strangers are told what to do."""
    laid_out(tmp_path, 1883)
    script, text, programs = tmp_path / "listen", (ROOT / "broker/container/listen").read_text(), tmp_path / "bin"
    for was, now in (("/run/secrets", tmp_path / "compose/secrets"), ("/tmp/broker", tmp_path / "own")):
        assert was in text
        text = text.replace(was, str(now))
    script.write_text(text)
    script.chmod(0o755)
    (tmp_path / "own").mkdir()
    programs.mkdir()
    repeats = programs / "mosquitto_sub"
    repeats.write_text('#!/bin/sh\necho "$@"\ncat "$XDG_CONFIG_HOME/mosquitto_sub"\n')
    repeats.chmod(0o755)

    def heard(user: str, *more: str) -> subprocess.CompletedProcess[str]:
        words = [script, user, TOPICS.dead, *more]
        return subprocess.run(words, env=environment(programs), capture_output=True, text=True, check=False, timeout=30)

    for user, password in (
        ("operator", listed(tmp_path / "compose")["operator"]),
        ("edge", (tmp_path / "compose/secrets/edge_password").read_text().strip()),
    ):
        assert heard(user).stdout.splitlines() == [f"-h 127.0.0.1 -v -t {TOPICS.dead}", f"-u {user}", f"-P {password}"]
    assert heard("operator", "-C", "1").stdout.splitlines()[0] == f"-h 127.0.0.1 -v -t {TOPICS.dead} -C 1"
    assert list((tmp_path / "own").iterdir()) == []
    assert heard("top").returncode == 2
    assert "no user top here; compose/make-secrets --role top" in heard("top").stderr


def container_bytes() -> int:
    """Return what memory the compose file gives the broker."""
    limits = yaml.safe_load((ROOT / "compose/compose.yaml").read_text())["services"]["broker"]["deploy"]["resources"]
    return int(limits["limits"]["memory"].removesuffix("M")) * MEBI


@pytest.mark.parametrize("tls", [False, True])
def test_the_container_s_broker_is_bounded(tmp_path: Path, tls: bool) -> None:
    """Heap, silence, what waits for one worker, and connections of whoever comes from outside; each is said once."""
    script, programs = laid_out(tmp_path, 1883), tmp_path / "bin"
    programs.mkdir()
    (programs / "mosquitto").symlink_to("/bin/true")
    if tls:
        (tmp_path / "compose/secrets/broker_key").write_text("a key\n")
    subprocess.run([script], env=environment(programs), check=True, timeout=30)
    text = (tmp_path / "own/mosquitto.conf").read_text()
    settings = doors(text)
    assert list(settings) == ["", "1883 127.0.0.1", *(["8883"] if tls else [])]
    assert int(settings[""]["memory_limit"]) < 0.7 * container_bytes()
    assert 3 * int(settings[""]["max_queued_bytes"]) < int(settings[""]["memory_limit"])
    assert settings[""]["max_keepalive"] == "120"
    assert {door: int(said.get("max_connections", 0)) for door, said in settings.items() if door} == (
        {"1883 127.0.0.1": 0, "8883": 1000} if tls else {"1883 127.0.0.1": 1000}
    )
    for name in ("memory_limit", "max_queued_bytes", "max_queued_messages", "max_packet_size", "persistence"):
        assert len(re.findall(f"^{name} ", text, re.MULTILINE)) == 1, name


class Hung:
    """A worker that takes what it is given and answers nothing, until it is told to."""

    def __init__(self, broker: Broker, name: str) -> None:
        address = Address.parse(broker.url, username="worker", password=broker.passwords["worker"])
        self.held: list[Received] = []
        self.wakes, self._lock = False, threading.Lock()
        callbacks = Callbacks(on_message=self._take)
        self.session = Session(address, name, callbacks, subscriptions=[(TOPICS.shared("frame"), 1)])
        self.session.start(10)

    def _take(self, message: Received) -> None:
        with self._lock:
            self.held.append(message)
            if self.wakes:
                self.session.ack(message)

    def wake(self) -> None:
        """Answer what came, and from now on everything as it comes."""
        with self._lock:
            self.wakes = True
            for message in self.held:
                self.session.ack(message)


class Camera:
    """A device that sends frames, and knows how many of them the broker has taken."""

    def __init__(self, broker: Broker) -> None:
        address = Address.parse(broker.url, username="edge", password=broker.passwords["edge"])
        self.taken = self.cut_off = 0
        callbacks = Callbacks(on_published=self._count, on_disconnected=self._cut)
        self.session = Session(address, "camera", callbacks)
        self.session.start(10)

    def _count(self, _mid: int) -> None:
        self.taken += 1

    def _cut(self) -> None:
        self.cut_off += 1

    def send(self, count: int) -> None:
        """Send so many frames, and return when the broker has taken all."""
        payload, goal = bytes(FRAME_BYTES), self.taken + count
        for _ in range(count):
            self.session.publish(TOPICS.of_device("camera-1", "frame"), payload)
        assert eventually(lambda: self.taken >= goal or self.cut_off, 60)


def test_workers_that_hang_do_not_end_the_container(broker: Broker) -> None:
    """Two of them are given more than it has memory for: it stays below, cuts nobody off, serves a new worker."""
    hung, camera = [Hung(broker, "worker-1"), Hung(broker, "worker-2")], Camera(broker)
    camera.send(int(1.3 * container_bytes() / FRAME_BYTES))
    assert camera.cut_off == 0
    assert peak_bytes(broker.child.pid) < 0.8 * container_bytes()
    for worker in hung:
        worker.session.stop()
    well = party(broker, "worker", TOPICS.shared("frame"))
    camera.send(1)
    assert eventually(lambda: well.count == 1)
    well.session.stop()
    camera.session.stop()


def test_what_a_slow_worker_is_sent_comes_all_the_same(broker: Broker) -> None:
    """Five devices send all that each may have under way, 32 frames of the largest kind: nothing of it is dropped."""
    worker, camera = Hung(broker, "worker-1"), Camera(broker)
    camera.send(5 * 32)
    assert camera.cut_off == 0
    worker.wake()
    assert eventually(lambda: len(worker.held) == 5 * 32, 30), len(worker.held)
    worker.session.stop()
    camera.session.stop()
