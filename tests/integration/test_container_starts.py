"""What the broker's container starts with, and the passwords that the compose project is given, without an engine."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from headwater.address import Address
from headwater.children import start
from headwater.errors import BrokerError
from headwater.probes import free_port, greet_mqtt, port_is_free
from headwater.topics import Topics
from tests.integration.party import Party
from tests.servers import eventually, need

ROOT = Path(__file__).parents[2]
TOPICS = Topics("demo")


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


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The broker as its container starts it, by its own script with paths laid elsewhere: address and passwords."""
    need("mosquitto"), need("mosquitto_passwd")
    make_secrets(tmp_path / "compose", "camera-2", "camera-3")
    make_secrets(tmp_path / "compose", "--role", "operator")
    secrets, port = tmp_path / "compose/secrets", free_port()
    (tmp_path / "data").mkdir()
    script, text = tmp_path / "start", (ROOT / "broker/container/start").read_text()
    for was, now in (
        ("/run/secrets", secrets),
        ("/tmp/broker", tmp_path / "own"),
        ("/var/lib/headwater", tmp_path / "data"),
        ("/opt/broker", ROOT / "broker"),
        ('"log_dest stderr"', '"log_dest stderr"; echo "user root"'),
        ('"listener 1883"', f'"listener {port} 127.0.0.1"'),
    ):
        assert was in text
        text = text.replace(was, str(now))
    script.write_text(text)
    script.chmod(0o755)
    path = f"{os.environ['PATH']}:/usr/sbin"
    environment = {"PATH": path, "BROKER_USERS": "edge worker visualizer"}
    child = start("broker", [script], log=tmp_path / "log", lines=False, env=environment)
    try:
        assert eventually(lambda: not port_is_free("127.0.0.1", port)), (tmp_path / "log").read_text()
        parts = ("edge", "worker", "visualizer")
        passwords = {part: (secrets / f"{part}_password").read_text().strip() for part in parts}
        own = {"health": (tmp_path / "own/health").read_text()}
        yield f"mqtt://127.0.0.1:{port}", passwords | listed(tmp_path / "compose") | own
    finally:
        child.stop()


def party(broker: tuple[str, dict[str, str]], user: str, *filters: str) -> Party:
    """Return a user's session."""
    return Party(Address.parse(broker[0], username=user, password=broker[1][user]), f"{user}-1", *filters)


def test_the_container_s_broker_holds_its_access_list(
    broker: tuple[str, dict[str, str]], caplog: pytest.LogCaptureFixture
) -> None:
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


def test_nobody_comes_in_without_a_password(broker: tuple[str, dict[str, str]]) -> None:
    """Nor with another device's."""
    greet_mqtt(Address.parse(broker[0], username="camera-2", password=broker[1]["camera-2"]))
    for credentials in ({}, {"username": "camera-2", "password": broker[1]["camera-3"]}):
        with pytest.raises(BrokerError, match="refused"):
            greet_mqtt(Address.parse(broker[0], **credentials))


def test_what_was_refused_is_heard_by_an_operator(broker: tuple[str, dict[str, str]], tmp_path: Path) -> None:
    """With the container's own program, which shows nobody the password; who may not hears nothing."""
    worker = party(broker, "worker")
    script, text = tmp_path / "listen", (ROOT / "broker/container/listen").read_text()
    for was, now in (
        ("/run/secrets", tmp_path / "compose/secrets"),
        ("/tmp/broker", tmp_path / "own"),
        ("-h 127.0.0.1", f"-h 127.0.0.1 -p {broker[0].rpartition(':')[2]} -C 1"),
    ):
        assert was in text
        text = text.replace(was, str(now))
    script.write_text(text)
    script.chmod(0o755)
    done = subprocess.run([script, "camera-9", TOPICS.dead], capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 2
    assert "no user camera-9 here; compose/make-secrets --role camera-9" in done.stderr
    log = tmp_path / "heard"
    with start("listen", [script, "operator", TOPICS.dead], log=log, lines=False):

        def is_heard() -> bool:
            worker.say(TOPICS.dead, b"the reason")  # again, until somebody listens
            return "the reason" in log.read_text()

        assert eventually(is_heard), log.read_text()
    assert log.read_text().startswith(f"{TOPICS.dead} the reason")
    worker.session.stop()
