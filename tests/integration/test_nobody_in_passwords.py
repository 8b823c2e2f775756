"""The hardened broker with passwords instead of certificates, as docs/broker.md says; and logs that tell none."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.certificate_folder import CertificateFolder
from headwater.address import Address
from headwater.children import start
from headwater.errors import BrokerError
from headwater.probes import free_port, greet_mqtt
from headwater.servers import RunningServer
from headwater.topics import Topics
from tests.edge.samples import write_pictures
from tests.integration.doors import changed_broker, new_place
from tests.integration.party import Party
from tests.servers import eventually, need
from tests.threats import words_for

PAGE = Path(__file__).parents[2] / "docs/broker.md"
SECRET = "hunter2-4711"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> CertificateFolder:
    """An authority, a broker's certificate, and a file with two users' passwords."""
    found, hashing = new_place(tmp_path_factory.mktemp("ours") / "certificates"), need("mosquitto_passwd")
    passwords = found.path / "passwords"
    passwords.write_text("camera-1:right\nworker-demo:other\n")
    passwords.chmod(0o600)
    subprocess.run([hashing, "-U", passwords], check=True, capture_output=True)
    return found


def with_passwords(text: str) -> str:
    """Return the hardened configuration after the `sed` of docs/broker.md."""
    page = PAGE.read_text().replace("\\\n", "")
    (command,) = re.findall(r"^sed (-e .*) broker/hardened\.conf", page, re.MULTILINE)
    script = re.findall(r"-e '([^']+)'", command)
    words = [word for one in script for word in ("-e", one)]
    return subprocess.run(["sed", *words], input=text, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def broker(place: CertificateFolder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The hardened mosquitto that asks for passwords."""
    need("mosquitto")

    def change(text: str) -> str:
        return with_passwords(text).replace("/etc/mosquitto/headwater/", f"{place.path}/")

    with changed_broker(place, tmp_path_factory.mktemp("broker"), change) as running:
        yield running


def test_who_has_a_password_comes_in_as_himself(place: CertificateFolder, broker: RunningServer) -> None:
    """Without a certificate, over TLS; the access list holds as it does with certificates."""
    to = Address.parse(broker.url, ca_file=place.certificate("ca"), username="camera-1", password="right")
    camera = Party(to, "camera")
    camera.say(Topics("demo").of_device("camera-1", "status"))
    assert eventually(lambda: "as camera-1 " in (broker.child.log or Path()).read_text())
    camera.session.stop()


@pytest.mark.parametrize(
    ("attack", "username", "password"),
    [
        ("a wrong password", "camera-1", "guessed"),
        ("a wrong password", "nobody", "guessed"),
        ("nobody in particular (anonymous)", None, None),
        ("nobody in particular (anonymous)", "camera-1", None),
    ],
)
def test_without_the_right_password_nobody_comes_in(
    attack: str, username: str | None, password: str | None, place: CertificateFolder, broker: RunningServer
) -> None:
    """Not with another's name, nor with none; unknown names are refused as known ones are."""
    to = Address.parse(broker.url, ca_file=place.certificate("ca"), username=username, password=password)
    with pytest.raises(BrokerError) as caught:
        greet_mqtt(to)
    assert words_for(attack) in str(caught.value)


@pytest.mark.parametrize("command", ["edge", "worker", "visualizer", "doctor"])
def test_no_process_tells_its_passwords(command: str, tmp_path: Path) -> None:
    """Neither settings nor errors nor debug lines show what the password is, though broker and store are away."""
    file, port = tmp_path / "secret", free_port()
    file.write_text(f"{SECRET}\n")
    flags = {
        "edge": ["--source", write_pictures(tmp_path / "pictures", 1), "--spool", tmp_path / "spool", "--frames", "1",
                 "--bundle", "mnist", "--log-level", "debug"],
        "worker": ["--store", f"redis://user@127.0.0.1:{port}", "--store-password-file", file, "--processes", "1",
                   "--log-level", "debug"],
        "visualizer": ["--store", f"reddis://user:{SECRET}@127.0.0.1:{port}", "--port", "0", "--log-level", "debug"],
        "doctor": ["--store", f"redis://:{SECRET}@127.0.0.1:{port}"],
    }[command]  # fmt: skip
    broker = ["--broker", f"mqtt://127.0.0.1:{port}", "--username", "user", "--password-file", file]
    words = [sys.executable, "-m", "headwater", command, *map(str, [*flags, *broker])]
    log = tmp_path / "log"
    with start(command, words, log=log, lines=False) as running:
        assert eventually(lambda: f"127.0.0.1:{port}" in log.read_text(), 60)
        eventually(lambda: not running.alive, 5)  # it may say more
    assert SECRET not in log.read_text()
