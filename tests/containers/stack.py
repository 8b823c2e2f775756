"""A stack on a swarm: deployed for the tests, looked at, and taken away with the swarm."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.containers.engine import STORED, run
from tests.servers import eventually

STACK = "headwater-swarm-test"
OVERLAY = "../tests/containers/swarm"
LABEL = f"label=com.docker.stack.namespace={STACK}"
BRIDGE = "docker_gwbridge"
"""Docker's own network for the containers of a swarm."""
SETTLES_S = 180.0


@contextmanager
def swarm(address: str = "127.0.0.1") -> Iterator[None]:
    """Make the engine the manager of a new swarm, on the node that keeps volumes; leave it again.

    An engine that is in a swarm already is left alone: the test is skipped, and fails when CI is set.
    """
    state = run("docker", "info", "--format", "{{.Swarm.LocalNodeState}}").stdout.strip()
    if state != "inactive":
        what = f"this engine's swarm is {state}, expected inactive; the test makes one of its own and leaves it"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(what)
    had_bridge = BRIDGE in network_names()
    run("docker", "swarm", "init", "--advertise-addr", address, "--listen-addr", f"{address}:2377")
    try:
        node = run("docker", "node", "ls", "--quiet").stdout.strip()
        run("docker", "node", "update", "--label-add", "headwater=keeps", node)
        yield
    finally:
        run("docker", "swarm", "leave", "--force")
        if not had_bridge and BRIDGE in network_names():
            run("docker", "network", "rm", BRIDGE)


@contextmanager
def deployed(*overlays: str, **variables: str) -> Iterator[Callable[[], None]]:
    """Deploy the stack, with more overlays and these variables, and take it away with all that it kept.

    What it yields deploys once more, in the same way.
    """

    def deploy() -> None:
        laid = " ".join((OVERLAY, *overlays))
        run("compose/deploy", variables={"TAG": "test", "PROJECT": STACK, "OVERLAYS": laid, **variables})

    try:
        deploy()
        yield deploy
    finally:
        run("docker", "stack", "rm", STACK)
        assert eventually(lambda: not containers() and not networks(), SETTLES_S), (containers(), networks())
        for volume in volumes():
            run("docker", "volume", "rm", volume)


def network_names() -> list[str]:
    """Return the engine's networks."""
    return run("docker", "network", "ls", "--format", "{{.Name}}").stdout.split()


def networks() -> list[str]:
    """Return the stack's networks."""
    return run("docker", "network", "ls", "--quiet", "--filter", LABEL).stdout.split()


def volumes() -> list[str]:
    """Return the stack's volumes."""
    return run("docker", "volume", "ls", "--quiet", "--filter", LABEL).stdout.split()


def containers(service: str | None = None, host: str = "") -> list[dict[str, Any]]:
    """Return what an engine knows of the stack's containers, or of one service's, those that have ended included."""
    wanted = f"label=com.docker.swarm.service.name={STACK}_{service}" if service else LABEL
    there = {"DOCKER_HOST": host} if host else {}
    ids = run("docker", "ps", "--all", "--quiet", "--filter", wanted, variables=there).stdout.split()
    if not ids:
        return []
    inspected = run("docker", "inspect", *ids, check=False, variables=there).stdout  # one may have gone meanwhile
    found: list[dict[str, Any]] = json.loads(inspected or "[]")
    return found


def well(service: str, host: str = "") -> dict[str, dict[str, Any]]:
    """Return the containers of a service that are well, by their ids."""
    return {
        one["Id"]: one for one in containers(service, host)
        if one["State"]["Running"] and one["State"].get("Health", {}).get("Status") == "healthy"
    }  # fmt: skip


def settles(
    service: str, count: int, without: frozenset[str] = frozenset(), host: str = ""
) -> dict[str, dict[str, Any]]:
    """Wait until so many containers of a service are well at an engine, none of them among those; return them."""

    def is_settled() -> dict[str, dict[str, Any]]:
        found = well(service, host)
        return found if len(found) == count and not without & set(found) else {}

    found = eventually(is_settled, SETTLES_S)
    assert found, (service, count, told(service))
    return found


def stored() -> list[list[Any]]:
    """Return device, boot, sequence and worker of every record in the store."""
    (site,) = well("visualizer")
    said = run("docker", "exec", "--interactive", site, "python", "-", given=STORED).stdout
    found: list[list[Any]] = json.loads(said)
    return found


def begin() -> str:
    """Let the device begin; return its container once frames of it are in the store."""
    scale("edge", 1)
    (device,) = settles("edge", 1)
    assert eventually(lambda: len(stored()) > 20, 60)
    return device


def scale(service: str, count: int) -> None:
    """Ask for so many containers of a service."""
    run("docker", "service", "scale", "--detach", f"{STACK}_{service}={count}")


def update(service: str, *flags: str) -> None:
    """Ask for every container of a service to be made anew, with something changed."""
    run("docker", "service", "update", "--detach", "--no-resolve-image", *flags, f"{STACK}_{service}")


def roll_back(service: str) -> None:
    """Ask for a service as it was before its last change."""
    run("docker", "service", "rollback", "--detach", f"{STACK}_{service}")


def update_state(service: str) -> str:
    """Return how far the last update of a service is."""
    shown = run("docker", "service", "inspect", f"{STACK}_{service}").stdout
    state: str = json.loads(shown)[0].get("UpdateStatus", {}).get("State", "none")
    return state


def told(service: str) -> str:
    """Return what the swarm says of a service's tasks, for a failing test to say."""
    return run("docker", "service", "ps", "--no-trunc", f"{STACK}_{service}", check=False).stdout
