"""The shipped access list at a real broker: each user can do its work, and nothing of another's."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headwater.address import Address
from headwater.children import Child, start
from headwater.messages import VERSION, FrameId, Result, decode_json, encode
from headwater.messages import Status as DeviceStatus
from headwater.probes import free_port, greet_mqtt
from headwater.topics import Topics
from tests.edge.home_assistant_rules import checked, command
from tests.edge.samples import bundle_folder, write_pictures
from tests.integration.party import Party
from tests.servers import eventually, need

ACL = Path(__file__).parents[2] / "broker/acl"
USERS = ("camera-1", "camera-2", "worker", "visualizer", "top", "operator", "homeassistant")
TOPICS = Topics("demo")
CONFIG = "homeassistant/device/demo/{}/config"
SOON_S = 30.0


def address(url: str, user: str) -> Address:
    """Return the broker's address for a user, whose name is its password."""
    return Address.parse(url, username=user, password=user)


Join = Callable[..., Party]


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A mosquitto with the shipped limits and access list."""
    program, hashing = need("mosquitto"), need("mosquitto_passwd")
    passwords, configuration, port = tmp_path / "passwords", tmp_path / "mosquitto.conf", free_port()
    passwords.write_text("".join(f"{user}:{user}\n" for user in USERS))
    passwords.chmod(0o600)
    subprocess.run([hashing, "-U", passwords], check=True, capture_output=True)
    acl = tmp_path / "acl"
    acl.write_text(ACL.read_text())
    acl.chmod(0o600)
    lines = [
        (ACL.parent / "mosquitto.conf").read_text(), "user root", f"listener {port} 127.0.0.1",
        "allow_anonymous false", f"password_file {passwords}", f"acl_file {acl}", "log_dest stderr",
        f"persistence_location {tmp_path}/",
    ]  # fmt: skip
    configuration.write_text("\n".join(lines) + "\n")
    child = start("mosquitto", [program, "-c", configuration], log=tmp_path / "mosquitto.log", lines=False)
    found = f"mqtt://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            greet_mqtt(address(found, "top"))
        except Exception:
            return False
        return True

    assert eventually(answers), (tmp_path / "mosquitto.log").read_text()
    yield found
    child.stop()


@pytest.fixture
def join(url: str) -> Iterator[Join]:
    """Make users that are connected, and stop them at the end."""
    parties: list[Party] = []

    def one(user: str, *filters: str) -> Party:
        parties.append(Party(address(url, user), f"{user}-{time.monotonic_ns()}", *filters))
        return parties[-1]

    yield one
    for party in parties:
        party.session.stop()


@pytest.fixture
def camera(url: str, tmp_path: Path) -> Iterator[Child]:
    """A real device under its own user."""
    source, bundle = write_pictures(tmp_path / "pictures", 20), bundle_folder(tmp_path / "tiny")
    flags = {
        "--source": source, "--bundle": bundle, "--spool": tmp_path / "spool", "--broker": url, "--name": "camera-1",
        "--username": "camera-1", "--password": "camera-1", "--split": "add", "--rate": 20, "--log-level": "warning",
    }  # fmt: skip
    words = [str(word) for pair in flags.items() for word in pair]
    child = start("device", [sys.executable, "-m", "headwater", "edge", "--loop", "--home-assistant", *words])
    child.wait_for_line("ready device camera-1", SOON_S)
    yield child
    child.kill()


def test_each_can_do_its_work(url: str, join: Join, camera: Child) -> None:
    """Frames reach workers, answers the device, words whoever watches, choices of Home Assistant the device."""
    device = TOPICS.of_device("camera-1", "{}")
    worker = join("worker", TOPICS.shared("frame"))
    home = join("homeassistant", "homeassistant/#", TOPICS.every("status"), TOPICS.every("settings/applied"))
    site = join("visualizer", TOPICS.every("status"))
    operator = join("operator", TOPICS.every("settings/applied"))
    assert eventually(lambda: device.format("frame") in worker.heard, SOON_S)
    assert eventually(lambda: device.format("status") in site.heard, SOON_S)
    assert eventually(lambda: CONFIG.format("camera-1") in home.heard, SOON_S)
    select = checked(CONFIG.format("camera-1"), home.heard[CONFIG.format("camera-1")])["set_split"]
    home.say(select["command_topic"], command(select["command_template"], "device").encode(), retain=True)
    applied = device.format("settings/applied")
    assert eventually(lambda: json.loads(operator.heard.get(applied, b"{}")).get("split") == "device", SOON_S)
    operator.say(device.format("settings"), b'{"version":1,"split":"image"}', retain=True)
    assert eventually(lambda: json.loads(home.heard.get(applied, b"{}")).get("split") == "image", SOON_S)
    done = subprocess.run(
        [sys.executable, "-m", "headwater", "top", "--json", "--interval", "3", "--broker", url, "--username", "top"],
        env={"HEADWATER_PASSWORD": "top", "PATH": ""}, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert [one["name"] for one in json.loads(done.stdout)["devices"]] == ["camera-1"]
    camera.kill()
    assert eventually(lambda: not decode_json(DeviceStatus, site.heard[device.format("status")]).online, SOON_S)


@pytest.mark.parametrize(
    ("user", "topic", "right"),
    [
        ("camera-1", CONFIG.format("camera-2"), CONFIG.format("camera-1")),
        ("camera-1", "homeassistant/sensor/demo/camera-1/config", CONFIG.format("camera-1")),
        ("camera-1", "homeassistant/status", CONFIG.format("camera-1")),
        ("camera-1", TOPICS.of_device("camera-2", "status"), TOPICS.of_device("camera-1", "status")),
        ("camera-1", TOPICS.of_device("camera-2", "frame"), TOPICS.of_device("camera-1", "frame")),
        ("camera-1", TOPICS.of_device("camera-2", "settings"), TOPICS.of_device("camera-1", "settings/applied")),
        ("camera-1", TOPICS.of_device("camera-1", "settings"), TOPICS.of_device("camera-1", "settings/applied")),
        ("camera-1", TOPICS.of_device("camera-1", "result"), TOPICS.of_device("camera-1", "status")),
        ("top", TOPICS.of_device("camera-1", "settings"), TOPICS.of_device("top", "status")),
        ("top", TOPICS.of_device("camera-1", "status"), TOPICS.of_device("top", "status")),
        ("visualizer", TOPICS.of_device("camera-1", "settings"), TOPICS.of_device("visualizer", "status")),
        ("homeassistant", TOPICS.of_device("camera-1", "status"), TOPICS.of_device("camera-1", "settings")),
        ("homeassistant", CONFIG.format("camera-1"), "homeassistant/status"),
        ("worker", TOPICS.of_device("camera-1", "settings"), TOPICS.dead),
    ],
)
def test_what_is_another_s_is_refused(
    join: Join, caplog: pytest.LogCaptureFixture, user: str, topic: str, right: str
) -> None:
    """The broker says so to whoever tries; what the same user may say passes."""
    party = join(user)
    party.say(right)
    party.say(topic)
    assert eventually(lambda: "message refused" in caplog.text)
    party.session.stop()
    assert caplog.text.count("message refused") == 1
    assert "Not authorized" in caplog.text


@pytest.mark.parametrize(
    ("user", "kind"),
    [
        ("visualizer", "result"),
        ("top", "settings"),
        ("camera-2", "result"),
        ("camera-2", "settings"),
        ("worker", "status"),
    ],
)
def test_what_is_not_meant_for_one_is_not_heard(join: Join, user: str, kind: str) -> None:
    """A message of that kind passes by; one that it may hear comes."""
    allowed = {"visualizer": "status", "top": "result", "camera-2": "result", "worker": "frame"}[user]
    open_to = TOPICS.of_device("camera-2", allowed)
    listener = join(user, TOPICS.of_device("camera-1", kind), open_to)
    senders = {"result": "worker", "settings": "operator", "status": "camera-1", "frame": "camera-1"}
    first = join(senders[kind])
    first.say(TOPICS.of_device("camera-1", kind))
    first.session.stop()  # the broker has it
    own = {"status": "camera-2", "frame": "camera-2", "result": "worker"}[allowed]
    answer = encode(Result(VERSION, FrameId("camera-2", "0123abcd", 1), "worker", 0, 0, 0, {}))
    join(own).say(open_to, answer)
    assert eventually(lambda: open_to in listener.heard)
    assert set(listener.heard) == {open_to}
