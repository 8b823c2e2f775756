"""The whole as containers: real pictures through three workers, one of them killed, and everything taken down again."""

from __future__ import annotations

import json
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from itertools import dropwhile
from typing import Any

import pytest
import websockets.sync.client

from tests.containers.engine import (
    BUILD_S,
    PROJECT,
    STORED,
    compose,
    containers,
    end,
    left_over,
    metrics,
    pictures,
    run,
)
from tests.servers import eventually
from visualizer.fleet_map import COLUMNS

pytestmark = [pytest.mark.usefixtures("images"), pytest.mark.timeout(BUILD_S + 600)]
FRAMES = 600
"""At 20 a second: half a minute, the least that flows before the device is told to stop."""
SERVICES = {"broker": 1, "store": 1, "worker": 3, "visualizer": 1, "edge": 1}
KILL = """
import os, signal
for name in os.listdir("/proc"):
    if name.isdecimal() and int(name) not in (1, os.getpid()):
        if open(f"/proc/{name}/cmdline", "rb").read().endswith(b"worker\\0"):
            os.kill(int(name), signal.SIGKILL)
            break
"""
"""Ends the parent of a worker; the worker dies with it, and so does the container."""
KILLED = 137


@pytest.fixture(scope="module")
def stream() -> Iterator[None]:
    """Everything is up and well, and the device has begun; it goes on until it is told to stop."""
    run("compose/make-secrets", "--role", "top")
    compose("down", "--volumes", "--timeout", "1")
    try:
        compose("up", "--detach", "--no-build", "--scale", "worker=3", "broker", "store", "worker", "visualizer")
        assert eventually(lambda: all(health(one) == "healthy" for one in containers()), 90), states()
        compose("up", "--detach", "--no-build", "--no-deps", "edge", **pictures())
        yield
    finally:
        compose("down", "--volumes", "--timeout", "1")


@pytest.fixture(scope="module")
def killed(stream: None) -> int:
    """In mid-stream one of three workers is killed, and comes back; how often workers had been started again before."""
    assert eventually(lambda: len(stored()) > 20, 60), states()
    before = restarts()
    killing = ("compose/compose", "exec", "-T", "--index", "2", "worker", "python", "-")
    assert run(*killing, given=KILL, check=False).returncode in {0, KILLED}  # it may end with the container
    assert eventually(lambda: restarts() == before + 1, 60), states()
    return before


def health(container: dict[str, Any]) -> str:
    """Return what the engine says of a container's health."""
    found: str = container["State"].get("Health", {}).get("Status", "none")
    return found


def states() -> dict[str, Any]:
    """Return how every container is, for a failing test to say."""
    return {
        one["Name"]: {**one["State"], "Health": (one["State"].get("Health", {}).get("Log") or [])[-1:]}
        for one in containers()
    }


def checks() -> list[dict[str, Any]]:
    """Return what came of the device's health checks, the newest last, as far back as the engine knows them."""
    (device,) = containers("edge")
    found: list[dict[str, Any]] = device["State"]["Health"]["Log"] or []
    return found


def restarts() -> int:
    """Return how often workers have been started again."""
    return sum(one["RestartCount"] for one in containers("worker"))


def stored(**variables: str) -> list[list[Any]]:
    """Return device, boot, sequence and worker of every record in the store."""
    said = compose("exec", "-T", "visualizer", "python", "-", given=STORED, **variables)
    found: list[list[Any]] = json.loads(said)
    return found


def site(**variables: str) -> str:
    """Return where the site is published, host and port."""
    return compose("port", "visualizer", "8050", **variables).strip()


def pushed(count: int, deadline_s: float = 60.0) -> list[list[list[Any]]]:
    """Return so many pushes of frames, each a list of rows, that the map's page in a browser would get from now on."""
    found: list[list[list[Any]]] = []
    address, until_s = site(), time.monotonic() + deadline_s
    with websockets.sync.client.connect(f"ws://{address}/live", origin=f"http://{address}") as browser:
        while len(found) < count and (left_s := until_s - time.monotonic()) > 0:
            found += [rows] if (rows := json.loads(browser.recv(left_s)).get("rows")) else []
    return found


def test_the_map_shows_frames_as_they_come(stream: None) -> None:
    """A browser is pushed one lot after the other, each frame once, with its answer, most with a place."""
    pushes = pushed(4)
    rows = [dict(zip(COLUMNS, row, strict=True)) for lot in pushes for row in lot]
    assert len(pushes) == 4
    assert len({row["id"] for row in rows}) == len(rows) >= 4
    assert all(row["device"] == "camera-1" and row["predictions"] for row in rows)
    assert sum(row["latitude"] is not None for row in rows) > len(rows) / 2
    assert metrics("visualizer")["headwater_site_frames_shown_total"] >= len(rows)


def test_every_container_is_held_in(stream: None) -> None:
    """No root, no writing into the image, no capability, bounded processor and memory, started again when it fails."""
    found = containers()
    assert Counter(one["Config"]["Labels"]["com.docker.compose.service"] for one in found) == SERVICES
    for one in found:
        host = one["HostConfig"]
        assert (host["Privileged"], host["ReadonlyRootfs"], host["CapDrop"]) == (False, True, ["ALL"])
        assert "no-new-privileges:true" in host["SecurityOpt"]
        assert host["NanoCpus"] > 0
        assert host["Memory"] > 0
        assert one["Config"]["User"] == "10001:10001"
        wanted = "no" if one["Config"]["Labels"]["com.docker.compose.service"] == "edge" else "unless-stopped"
        assert host["RestartPolicy"]["Name"] == wanted


def test_strangers_are_refused(stream: None) -> None:
    """Neither broker nor store speaks to somebody without a password, and the device does not even see the store."""
    anonymous = ["exec", "-T", "broker", "mosquitto_sub", "-h", "127.0.0.1", "-t", "#", "-W", "10"]
    done = run("compose/compose", *anonymous, check=False)
    assert "not authorised" in done.stdout + done.stderr
    assert "NOAUTH" in compose("exec", "-T", "store", "redis-cli", "XLEN", "headwater:demo:results")
    look = "import socket\ntry: socket.create_connection(('store', 6379), 2)\nexcept OSError: print('not there')"
    done = run("compose/compose", "run", "--rm", "--no-deps", "-T", "edge", "python", "-c", look)
    assert done.stdout.strip() == "not there"


def test_a_user_made_on_purpose_hears_what_its_role_may(stream: None) -> None:
    """In the broker's container, by its own program: what `top` may hear, and the reason for who is not there."""
    listen = ("exec", "-T", "broker", "/opt/broker/listen")
    found = compose(*listen, "top", "headwater/v1/+/+/status", "-C", "1", "-W", "60")
    assert found.startswith("headwater/v1/demo/camera-1/status {")
    done = run("compose/compose", *listen, "nobody", "#", check=False)
    assert "no user nobody here" in done.stdout + done.stderr


def test_the_site_is_shown_on_this_machine_alone(stream: None) -> None:
    """Published on the loopback address, and it answers there."""
    address = site()
    assert address.startswith("127.0.0.1:")
    for path, words in (("/health", "well"), ("/", "Headwater")):
        with urllib.request.urlopen(f"http://{address}{path}", timeout=20) as answer:
            assert words in answer.read().decode()


def test_the_device_is_well_while_frames_are_finished(killed: int) -> None:
    """Asked anew in mid-stream, it names what it has finished; since it was well for the first time, it always was."""
    known = {one["Start"] for one in checks()}
    assert eventually(lambda: {one["Start"] for one in checks()} - known, 60), states()
    found = list(dropwhile(lambda one: one["ExitCode"] != 0, checks()))
    assert found, states()
    assert [one for one in found if one["ExitCode"] != 0] == []
    assert "last finished" in found[-1]["Output"]


def test_a_killed_worker_costs_no_frame(killed: int) -> None:
    """Frames go on, it was started again once, and every picture is in the store, once."""
    seen = len(stored())
    assert eventually(lambda: len(stored()) >= max(FRAMES, seen + 100), 120), states()
    (device,) = containers("edge")
    assert device["State"]["Running"], "the device ended before it was told to"
    summary = end(device["Id"])
    assert summary["captured"] >= FRAMES
    assert (summary["in_flight"], sum(summary["dropped"].values())) == (0, 0), summary
    assert summary["finished"] == {"device": 0, "worker": summary["captured"]}
    records = stored()
    assert set(Counter(tuple(record[:3]) for record in records).values()) == {1}
    assert len(records) == summary["captured"]
    assert len({record[3] for record in records}) >= 3
    assert restarts() == killed + 1


def test_down_leaves_nothing(stream: None) -> None:
    """No container, network or volume of the project is left."""
    compose("down", "--volumes", "--timeout", "5")
    assert containers() == []
    assert left_over("network") == []
    assert left_over("volume") == []
    assert PROJECT not in run("docker", "ps", "--all", "--format", "{{.Names}}").stdout
