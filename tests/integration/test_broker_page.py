"""The passwords of docs/broker.md at a real broker: the lines that readers copy let a device elsewhere in."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headwater.address import Address
from headwater.children import Child, start
from headwater.errors import BrokerError
from headwater.probes import free_port, greet_mqtt
from tests.docs.pages import ROOT, commands
from tests.servers import eventually, need

HERE = "127.0.0.1"
ELSEWHERE = "127.0.0.2"
"""An address at which mosquitto does not listen by itself, like those by which other machines reach this one."""
PASSWORD = "as-good-as-any"
Listen = Callable[..., None]


def on_the_page() -> str:
    """Return what the page has written into users.conf."""
    (said,) = [call[1] for call in commands(ROOT / "docs/broker.md", "printf") if "password_file" in call[1]]
    return said.replace("\\n", "\n")


@pytest.fixture
def listen(tmp_path: Path) -> Iterator[Listen]:
    """Start mosquitto with our limits, our access list, a user, and lines like the page's."""
    program, hashing = need("mosquitto"), need("mosquitto_passwd")
    (tmp_path / "acl").write_text((ROOT / "broker/acl").read_text())
    (tmp_path / "acl").chmod(0o600)
    subprocess.run([hashing, "-c", "-b", tmp_path / "passwords", "camera-1", PASSWORD], check=True, capture_output=True)
    limits, file = (ROOT / "broker/mosquitto.conf").read_text(), tmp_path / "mosquitto.conf"
    children: list[Child] = []

    def begin(lines: str, *flags: str) -> None:
        own = f"user root\nlog_dest stderr\npersistence_location {tmp_path}/\n"
        file.write_text(f"{limits}{own}{lines.replace('/etc/mosquitto', str(tmp_path))}")
        log = tmp_path / "mosquitto.log"
        children.append(start("mosquitto", [program, "-c", str(file), *flags], log=log, lines=False))

    yield begin
    for child in children:
        child.stop()


def let_in(host: str, port: int, password: str = PASSWORD) -> str:
    """Connect as the page's device does; return why not, or nothing."""
    try:
        greet_mqtt(Address.parse(f"mqtt://{host}:{port}", username="camera-1", password=password))
    except BrokerError as error:
        return str(error)
    return ""


def test_a_device_elsewhere_gets_in_with_its_password(listen: Listen) -> None:
    """Through the page's one listener, which names no address; not with another password."""
    port = free_port(ELSEWHERE)
    (listener,) = [line for line in on_the_page().splitlines() if line.startswith("listener")]
    assert listener == "listener 1883"
    listen(on_the_page().replace(listener, f"listener {port} {ELSEWHERE}"))  # no more of this machine is opened
    assert eventually(lambda: let_in(ELSEWHERE, port) == ""), let_in(ELSEWHERE, port)
    assert "refused with reason 0x87" in let_in(ELSEWHERE, port, "guessed")


def test_without_a_listener_it_would_not(listen: Listen) -> None:
    """mosquitto 2 is then heard on its own machine alone, with whatever users."""
    port = free_port()
    listen(on_the_page().replace("listener 1883\n", ""), "-p", str(port))
    assert eventually(lambda: let_in(HERE, port) == ""), let_in(HERE, port)
    assert let_in(ELSEWHERE, port)
