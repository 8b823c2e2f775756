"""The site as a process: starts, answers, is pushed, stops."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis
import websockets

from headwater.errors import SettingsError
from headwater.web import bind
from tests.servers import StoreUnderTest
from tests.visualizer.fake_fleet import FakeDevice, add


def run(*flags: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "headwater", "visualizer", "--tiles", "none", *flags]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


async def more_comes(socket_: websockets.ClientConnection, wait_s: float) -> bool:
    """Return whether one more message came within `wait_s`."""
    try:
        await asyncio.wait_for(socket_.recv(), wait_s)
    except TimeoutError:
        return False
    return True


@contextmanager
def site(store: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    process = run("--store", store, "--port", "0")
    try:
        line = process.stdout.readline()
        assert line.startswith("listening http://127.0.0.1:"), process.stderr.read()
        yield line.split()[1], process
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=15)


def test_the_site_answers_when_it_says_so_and_stops_when_told(valkey: StoreUnderTest) -> None:
    """One line on stdout, then pages with their headers; SIGTERM ends it within seconds, status 0."""
    with site(valkey.url) as (address, process):
        with urllib.request.urlopen(address) as answer:
            page, headers = answer.read().decode(), answer.headers
        assert "Headwater demo" in page
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "https://tile" not in page
        for path in ("/stages", "/devices", "/health"):
            with urllib.request.urlopen(address + path) as answer:
                assert answer.status == 200
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(address + "/nowhere")
        began_s = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert time.monotonic() - began_s < 5
        assert process.stdout.read() == ""


def test_a_new_frame_is_pushed_within_a_moment(valkey: StoreUnderTest) -> None:
    """From the store's entry to the browser's socket in well under a second, one row; silence when nothing happens."""
    client, device = redis.Redis.from_url(valkey.url), FakeDevice("cam1")
    add(client, device.record(time.time_ns()))

    async def listen(address: str) -> list[tuple[dict, float]]:
        async with websockets.connect(address.replace("http", "ws") + "/live", origin=address) as socket_:
            rows: list = []
            while not rows:
                rows = json.loads(await asyncio.wait_for(socket_.recv(), 10)).get("rows", [])
            while await more_comes(socket_, 1.5):
                pass
            return [await pushed(socket_) for _ in range(5)]

    async def pushed(socket_: websockets.ClientConnection) -> tuple[dict, float]:
        began_s = time.monotonic()
        add(client, device.record(time.time_ns()))
        return json.loads(await asyncio.wait_for(socket_.recv(), 30)), time.monotonic() - began_s

    with site(valkey.url) as (address, _):
        found = asyncio.run(listen(address))
    assert [len(told["rows"]) for told, _ in found] == [1] * 5
    assert min(took_s for _, took_s in found) < 0.5
    client.close()


def test_other_origins_are_refused(valkey: StoreUnderTest) -> None:
    """A page from elsewhere cannot listen in."""

    async def listen(address: str) -> None:
        async with websockets.connect(address.replace("http", "ws") + "/live", origin="http://evil.example"):
            pass

    with site(valkey.url) as (address, _), pytest.raises(websockets.InvalidStatus):
        asyncio.run(listen(address))


def test_strange_names_are_refused(valkey: StoreUnderTest) -> None:
    """A name pointed at this machine gets one clear line, over HTTP and over a websocket whose origin fits."""

    async def listen(evil: str, port: int) -> int:
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with websockets.connect(f"ws://{evil}/live", origin=f"http://{evil}", host="127.0.0.1", port=port):
                pass
        return refused.value.response.status_code

    with site(valkey.url) as (address, _):
        port = int(address.rpartition(":")[2])
        evil = f"evil.example:{port}"
        with pytest.raises(urllib.error.HTTPError, match="400") as refused:
            urllib.request.urlopen(urllib.request.Request(f"{address}/_dash-layout", headers={"Host": evil}))
        (line,) = refused.value.read().decode().splitlines()
        assert line.startswith(f"host: got '{evil}', expected 127.0.0.1, localhost or [::1]; ")
        assert asyncio.run(listen(evil, port)) == 400
        with urllib.request.urlopen(f"http://localhost:{port}/health") as answer:
            assert answer.status == 200


def test_a_port_in_use_is_one_clear_line() -> None:
    """Exit status 2, the port named, no traceback."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        process = run("--port", str(port))
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (2, "")
    assert err.splitlines()[-1].startswith(f"headwater: error: cannot listen on 127.0.0.1:{port}: ")
    assert "Traceback" not in err


def test_the_site_runs_without_the_runtime_of_models() -> None:
    """Importing all of it loads neither LiteRT nor TensorFlow, and does nothing."""
    heavy = {"ai_edge_litert", "tflite_runtime", "tensorflow", "keras"}
    code = (
        "import sys, visualizer.app, visualizer.commands, visualizer.server, visualizer.devices;"
        f"print([m for m in sys.modules if m.split('.')[0] in {heavy}])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ.copy()
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("port", [-1, 65_536, 99_999])
def test_a_port_that_is_none_is_refused(port: int) -> None:
    """The system would silently take another one."""
    with pytest.raises(SettingsError, match=rf"port: got {port}, expected 1 to 65535"):
        bind("127.0.0.1", port)
