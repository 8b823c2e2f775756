"""The site with a login as a process, with real requests, a real broker with its access list, and a real device."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import websockets
from msgspec.structs import replace

from headwater.children import Child, start
from headwater.messages import VERSION, SettingsApplied, SettingsChange, decode_json, encode_json
from headwater.probes import free_port
from tests.integration.test_access_list import TOPICS, Join, address, camera, join, url
from tests.servers import StoreUnderTest, eventually
from tests.threats import words_for
from tests.visualizer.door.asking import PASSWORD, field, write
from visualizer.setter import DeviceSetter

__all__ = ["camera", "join", "url"]
SITE = (sys.executable, "-m", "headwater", "visualizer")
READY_S = 60.0
PAGE = "/devices/camera-1"
SECRET = "swordfish-of-the-broker"


@dataclass
class Site:
    """A running site, and what a browser would do with it."""

    port: int
    log: Path

    @property
    def origin(self) -> str:
        """Return the site's address."""
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self, path: str, form: dict[str, str] | None = None, **headers: str
    ) -> tuple[http.client.HTTPResponse, str]:
        """Return the answer and its text; nothing is followed."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        sent = {"Accept": "text/html", "Origin": self.origin} | {k.replace("_", "-"): v for k, v in headers.items()}
        body = None if form is None else urlencode(form)
        if body is not None:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        connection.request("GET" if form is None else "POST", path, body, sent)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer, text

    def sign_in(self, name: str) -> str:
        """Sign somebody in and return the cookie."""
        answer, _ = self.ask("/sign-in", {"name": name, "password": PASSWORD})
        assert answer.status == 303
        return str(answer.getheader("Set-Cookie")).partition(";")[0]


@contextlib.contextmanager
def running(tmp_path: Path, *flags: Any) -> Iterator[Site]:
    """Start a site, wait until it answers, and end it in order."""
    log, command = tmp_path / "site.log", [*SITE, "--tiles", "none", "--port", "0", *map(str, flags)]
    closed = {"HEADWATER_OPEN_TO_ALL": "false"}  # as compose/login.yaml says it
    with start("site", command, log=log, env=closed) as child:
        line = child.wait_for_line("listening http://", READY_S)
        yield Site(int(line.rpartition(":")[2]), log)


@pytest.fixture
def users(tmp_path: Path) -> Path:
    """A password file with a viewer and an operator."""
    return write(tmp_path / "users", camille="viewer", sam="operator")


@pytest.fixture
def site(valkey: StoreUnderTest, users: Path, tmp_path: Path) -> Iterator[Site]:
    """A site that asks who looks."""
    with running(tmp_path, "--store", valkey.url, "--users", users, "--metrics", free_port()) as found:
        yield found


def test_only_who_signs_in_sees_the_site(site: Site, users: Path) -> None:
    """Pages, callbacks, pushes; health and the scrape port answer as before; nothing says what serves it."""
    answer, _ = site.ask("/devices")
    assert (answer.status, answer.getheader("Location")) == (303, "/sign-in?next=/devices")
    assert answer.getheader("Server") is None
    assert site.ask("/_dash-layout", Accept="*/*")[0].status == 401
    assert site.ask("/metrics", Accept="*/*")[0].status == 401
    assert site.ask("/health")[0].status == 200
    cookie = site.sign_in("camille")
    assert "Headwater demo" in site.ask("/", Cookie=cookie)[1]
    assert '"count-frames"' in site.ask("/_dash-layout", Cookie=cookie)[1]
    users.write_text(users.read_text().replace("camille", "claire"))
    assert site.ask("/", Cookie=cookie)[0].status == 303
    port = int(re.search(r"metrics=http://127.0.0.1:(\d+)/metrics", site.log.read_text())[1])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/metrics")
    assert b"headwater_site_well" in connection.getresponse().read()
    connection.close()


def test_the_live_socket_is_for_who_is_signed_in(site: Site) -> None:
    """Without the cookie, or from another site's page with it, it is refused before it is open; signing out ends it."""

    async def listen(cookie: str, origin: str) -> int:
        headers = {"Cookie": cookie} if cookie else {}
        address = f"ws://127.0.0.1:{site.port}/live"
        try:
            async with websockets.connect(address, origin=origin, additional_headers=headers) as socket_:
                await asyncio.wait_for(socket_.recv(), 10)
                _, page = await asyncio.to_thread(site.ask, "/sign-out", Cookie=cookie)
                token = {"token": field(page, "token")}
                await asyncio.to_thread(site.ask, "/sign-out", token, Cookie=cookie)
                await asyncio.wait_for(socket_.wait_closed(), 10)
                return socket_.close_code or 0
        except websockets.InvalidStatus as refused:
            return refused.response.status_code

    cookie = site.sign_in("camille")
    assert asyncio.run(listen("", site.origin)) == 401
    assert asyncio.run(listen("headwater-demo=" + "x" * 43, site.origin)) == 401
    refused = asyncio.run(listen(cookie, "http://evil.example"))
    assert words_for("another site's page at the live socket") == f"HTTP {refused}"
    assert asyncio.run(listen(cookie, site.origin)) == 1008


def test_the_site_waits_for_nobody_for_ever(site: Site) -> None:
    """Half a form is cut off after ten seconds; meanwhile others are answered, and the log stays quiet."""
    with socket.create_connection(("127.0.0.1", site.port), 20) as slow:
        began_s = time.monotonic()
        head = f"POST /sign-in HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\nOrigin: {site.origin}\r\n"
        kind = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 99\r\n\r\nname="
        slow.sendall((head + kind).encode())
        assert site.ask("/health")[0].status == 200
        answered = 0
        with contextlib.suppress(ConnectionResetError):
            while got := slow.recv(4096):
                answered += len(got)
        assert words_for("a slow client of the site (slow loris)") == f"{answered} bytes answered"
        assert 9 < time.monotonic() - began_s < 15
    assert "Traceback" not in site.log.read_text()


def test_a_site_that_would_be_open_to_others_does_not_start(tmp_path: Path) -> None:
    """One line, exit status 2; told so, it starts."""
    command = [*SITE, "--host", "0.0.0.0", "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    last = done.stderr.splitlines()[-1]
    assert last.startswith("headwater: error: host: 0.0.0.0 can be reached by others")
    told = {"HEADWATER_OPEN_TO_ALL": "true"}  # as compose.yaml says it
    with start("site", command, log=tmp_path / "site.log", env=told) as child:
        assert child.wait_for_line("listening", READY_S).startswith("listening http://0.0.0.0:")


def test_an_operator_sets_a_real_device(
    url: str, join: Join, camera: Child, valkey: StoreUnderTest, users: Path, tmp_path: Path
) -> None:
    """As the broker's operator, beside the site's own user: the device obeys; a refusal is shown and taken back."""
    (tmp_path / "visualizer").write_text("visualizer\n")
    (tmp_path / "operator").write_text("operator\n")
    topic = TOPICS.of_device("camera-1", "settings")
    kept = join("operator", topic, f"{topic}/applied")
    as_both = [
        "--store", valkey.url, "--users", users, "--broker", url, "--username", "visualizer", "--password-file",
        tmp_path / "visualizer", "--operator-username", "operator", "--operator-password-file", tmp_path / "operator",
    ]  # fmt: skip
    with running(tmp_path, *as_both) as site:
        cookie = site.sign_in("sam")
        assert eventually(lambda: site.ask(PAGE, Cookie=cookie)[0].status == 200)
        viewer = site.sign_in("camille")
        assert site.ask(PAGE, {"split": "device"}, Cookie=viewer)[0].status == 403
        token = field(site.ask(PAGE, Cookie=cookie)[1], "token")
        answer, page = site.ask(PAGE, {"token": token, "split": "device"}, Cookie=cookie)
        assert answer.status == 200
        assert "The device has taken it." in page
        assert eventually(lambda: topic in kept.heard)
        assert wanted(kept.heard[topic]) == SettingsChange(VERSION, "device")
        answer, page = site.ask(PAGE, {"token": token, "split": "block_99"}, Cookie=cookie)
        assert answer.status == 400
        assert "The device refused: split: got &#x27;block_99&#x27;" in page
        assert eventually(lambda: wanted(kept.heard[topic]) == SettingsChange(VERSION, "device"))
        assert "<dd>device</dd>" in site.ask(PAGE, Cookie=cookie)[1]
    log = site.log.read_text()
    assert "operator sets device device=camera-1 user=sam split=device address=127.0.0.1" in log
    assert "device answered device=camera-1 user=sam split=device" in log
    assert "device refused device=camera-1 user=sam" in log
    assert "act refused user=camille role=viewer device=camera-1" in log
    assert "message refused" not in log
    assert PASSWORD not in log


def test_a_refusal_that_comes_late_is_taken_back(url: str, join: Join) -> None:
    """Of a device that was away when the operator set it: the broker keeps what was there before, here nothing."""
    topic = TOPICS.of_device("camera-1", "settings")
    device, now = join("camera-1", topic), SettingsApplied(VERSION, "camera-1", "image", "auto", "all")
    device.say(f"{topic}/applied", encode_json(now), retain=True)
    setter = DeviceSetter(address(url, "operator"), "demo", answer_s=0.2)
    setter.start()
    try:
        assert eventually(lambda: setter.applied("camera-1") == now)
        assert setter.set("camera-1", "block_99", {}) is None
        assert eventually(lambda: wanted(device.heard.get(topic, b"")) == SettingsChange(VERSION, "block_99"))
        device.say(f"{topic}/applied", encode_json(replace(now, refused="split: got 'block_99'")), retain=True)
        assert eventually(lambda: device.heard[topic] == b"")
        assert eventually(lambda: setter.wanted("camera-1") is None)
    finally:
        setter.stop()


def wanted(payload: bytes) -> SettingsChange | None:
    """Return what the broker keeps of a device's settings."""
    return decode_json(SettingsChange, payload) if payload else None


def test_no_secret_is_in_any_page(valkey: StoreUnderTest, users: Path, tmp_path: Path) -> None:
    """Nor in the log: not the broker's passwords, not the store's, no hash, no name of a file that holds one."""
    (tmp_path / "operator").write_text(f"{SECRET}-operator\n")
    store = valkey.url.replace("redis://", f"redis://:{SECRET}-store@")
    with_secrets = [
        "--store", store, "--users", users, "--broker", f"mqtt://127.0.0.1:{free_port()}", "--username", "visualizer",
        "--password", SECRET, "--operator-username", "operator", "--operator-password-file", tmp_path / "operator",
    ]  # fmt: skip
    with running(tmp_path, *with_secrets) as site:
        cookie = site.sign_in("sam")
        told = [
            site.ask(path, Cookie=cookie)[1]
            for path in (
                "/", "/devices", "/_dash-layout", "/_dash-dependencies", "/_dash-config", "/visitor", "/sign-out",
                "/metrics", "/health", "/sign-in", PAGE, "/nowhere",
            )
        ]  # fmt: skip
    whole = "\n".join([*told, site.log.read_text()])
    assert SECRET not in whole
    assert "$argon2id$" not in whole
    assert PASSWORD not in whole
    assert str(tmp_path) not in "\n".join(told)
