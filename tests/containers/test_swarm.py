"""The stack on real swarms: scaled, a worker killed, all workers updated, a machine cut off; and no frame is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.containers.engine import ROOT, pictures, run
from tests.containers.second_engine import HERE, THERE, cable, copy_image, need_namespaces, plug, remove, second_engine
from tests.containers.stack import (
    begin,
    containers,
    deployed,
    end,
    scale,
    settles,
    stored,
    swarm,
    update,
    update_state,
    well,
)
from tests.servers import eventually

pytestmark = [pytest.mark.usefixtures("images"), pytest.mark.timeout(900)]
SERVICES = {"broker": 1, "store": 1, "visualizer": 1}
UPDATED_S = 300.0


@pytest.fixture
def secrets() -> None:
    """Passwords to begin with."""
    run("compose/make-secrets")


@pytest.fixture
def stack(secrets: None) -> Iterator[None]:
    """One node: everything is up and well, with two workers; the device has not begun."""
    with swarm(), deployed(**pictures()):
        for service, count in {**SERVICES, "worker": 2}.items():
            settles(service, count)
        yield


@pytest.fixture
def two_engines(secrets: None) -> Iterator[str]:
    """Two nodes, a worker on each; the other engine's address."""
    need_namespaces()
    folder: Path = ROOT / ".cache/engine-2"
    remove(folder)
    with cable(), second_engine(folder) as there, swarm(HERE):
        copy_image("headwater/worker:test", there)
        token = run("docker", "swarm", "join-token", "--quiet", "worker").stdout.strip()
        join = ["--advertise-addr", THERE, "--listen-addr", f"{THERE}:2377", "--token", token, f"{HERE}:2377"]
        run("docker", "swarm", "join", *join, variables={"DOCKER_HOST": there})
        with deployed("tests/containers/two_engines.yaml", **pictures()):
            try:
                for service, count in {**SERVICES, "worker": 1}.items():
                    settles(service, count)
                settles("worker", 1, host=there)
                yield there
            finally:
                plug(True)


def assert_each_once(summary: dict[str, Any]) -> set[str]:
    """Every picture that was taken was finished by a worker and is in the store once; return who finished them."""
    assert (summary["in_flight"], sum(summary["dropped"].values())) == (0, 0), summary
    assert summary["finished"] == {"device": 0, "worker": summary["captured"]}
    records = stored()
    assert set(Counter(tuple(record[:3]) for record in records).values()) == {1}
    assert len(records) == summary["captured"]
    return {record[3] for record in records}


def took_part(container: dict[str, Any], workers: set[str]) -> bool:
    """Tell whether the worker in a container has finished frames: its name begins with its host's."""
    return any(name.startswith(container["Config"]["Hostname"]) for name in workers)


def test_no_frame_is_lost_while_workers_come_and_go(stack: None) -> None:
    """One more, one killed and replaced, all replaced by an update: every picture is in the store, once."""
    assert_held_in()
    device = begin()
    scale("worker", 3)
    three = settles("worker", 3)
    killed = next(iter(three))
    run("docker", "kill", killed)
    before = settles("worker", 3, without=frozenset({killed}))
    seen, fewest = len(stored()), fewest_during_an_update()
    after = settles("worker", 3, without=frozenset(before))
    assert fewest >= 3  # a new one is well before an old one goes
    assert len(stored()) > seen + 100  # it was under load
    assert device in well("edge")
    workers = assert_each_once(end(device))
    assert all(took_part(one, workers) for one in after.values()), workers


def assert_held_in() -> None:
    """As under Compose: no writing into the image, no capability, bounded processor and memory; nothing published."""
    found = containers()
    assert len(found) == 5
    for one in found:
        host = one["HostConfig"]
        assert (host["Privileged"], host["ReadonlyRootfs"], host["CapDrop"]) == (False, True, ["ALL"])
        assert (host["NanoCpus"] > 0, host["Memory"] > 0) == (True, True)
        assert one["Config"]["User"] == "10001:10001"
        assert not host["PortBindings"]


def fewest_during_an_update() -> int:
    """Update the workers; return the smallest number of well ones seen meanwhile."""
    counts = [len(well("worker"))]

    def is_over() -> bool:
        counts.append(len(well("worker")))
        return update_state("worker") == "completed"

    update("worker")
    assert eventually(is_over, UPDATED_S), update_state("worker")
    return min(counts)


def test_a_machine_that_is_cut_off_costs_no_frame(two_engines: str) -> None:
    """Workers on two machines finish frames; the cable is pulled, the swarm starts the lost worker here, all arrive."""
    (there,), (here,) = well("worker", two_engines).values(), well("worker").values()
    device = begin()
    assert eventually(lambda: took_part(there, {record[3] for record in stored()}), 60)
    plug(False)
    both = settles("worker", 2)
    assert here["Id"] in both
    seen = len(stored())
    assert eventually(lambda: len(stored()) > seen + 100, 60)
    workers = assert_each_once(end(device))
    assert all(took_part(one, workers) for one in (there, *both.values())), workers
