"""The stack on real swarms: scaled, a worker killed, updates, new passwords, a machine cut off; no frame is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.containers.engine import BUILD_S, ROOT, end, pictures, run
from tests.containers.second_engine import HERE, THERE, cable, copy_image, need_namespaces, plug, remove, second_engine
from tests.containers.stack import (
    begin,
    containers,
    deployed,
    roll_back,
    scale,
    settles,
    stored,
    swarm,
    told,
    update,
    update_state,
    well,
)
from tests.servers import eventually

pytestmark = [pytest.mark.usefixtures("images"), pytest.mark.timeout(BUILD_S + 900)]
SERVICES = {"broker": 1, "store": 1, "visualizer": 1}
UPDATED_S = 300.0
NOW, NEXT = "headwater/worker:test", "headwater/worker:test-next"


@pytest.fixture
def secrets() -> None:
    """Passwords to begin with."""
    run("compose/make-secrets")


@pytest.fixture
def changing() -> Iterator[Path]:
    """The folder of the passwords; it is afterwards as it was."""
    folder = ROOT / "compose/secrets"
    names = ("device_passwords", "worker_password")
    before = {name: (folder / name).read_bytes() for name in names}
    yield folder
    for name, content in before.items():
        rewrite(folder / name, content)


@pytest.fixture
def stack(secrets: None) -> Iterator[Callable[[], None]]:
    """One node: all is up and well, with two workers; the device has not begun. What it yields deploys once more."""
    with swarm(), deployed(**pictures()) as again:
        for service, count in {**SERVICES, "worker": 2}.items():
            settles(service, count)
        yield again


@pytest.fixture
def next_version() -> Iterator[None]:
    """An image of the worker under another tag."""
    run("docker", "tag", NOW, NEXT)
    yield
    run("docker", "rmi", NEXT)


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
        assert eventually(lambda: node_states() == ["Ready", "Ready"], 60), node_states()
        with deployed("../tests/containers/two_engines", **pictures()):
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


def test_no_frame_is_lost_while_workers_come_and_go(stack: Callable[[], None]) -> None:
    """One more, and one killed and replaced: every picture is in the store, once."""
    assert_held_in()
    device = begin()
    scale("worker", 3)
    killed = next(iter(settles("worker", 3)))
    run("docker", "kill", killed)
    after = settles("worker", 3, without=frozenset({killed}))
    seen = len(stored())
    assert eventually(lambda: len(stored()) > seen + 50, 60)
    workers = assert_each_once(end(device))
    assert all(took_part(one, workers) for one in after.values()), workers


def test_no_frame_is_lost_in_an_update_and_on_the_way_back(next_version: None, stack: Callable[[], None]) -> None:
    """All workers get another image, go back, and get a command that fails, which the swarm undoes by itself."""
    device = begin()
    seen = len(stored())
    fewest = fewest_until("completed", lambda: update("worker", "--image", NEXT))
    assert images_of(updated := settles("worker", 2)) == {NEXT}
    fewest = min(fewest, fewest_until("rollback_completed", lambda: roll_back("worker")))
    assert images_of(back := settles("worker", 2, without=frozenset(updated))) == {NOW}
    assert fewest >= 2  # a new one is well before an old one goes
    fewest_until("rollback_completed", lambda: update("worker", "--args", "false"))
    assert images_of(settles("worker", 2)) == {NOW}
    assert len(stored()) > seen + 100  # it was under load
    assert device in well("edge")
    workers = assert_each_once(end(device))
    assert all(took_part(one, workers) for one in (*updated.values(), *back.values())), workers


def test_changed_passwords_come_with_the_next_deploy(stack: Callable[[], None], changing: Path) -> None:
    """A device gets a password and the workers another one; who knew the old ones starts again, and nobody else."""
    before = {service: frozenset(well(service)) for service in (*SERVICES, "worker")}
    run("compose/make-secrets", "newcomer")
    rewrite(changing / "worker_password", b"another one\n")
    stack()
    (broker,) = settles("broker", 1, without=before["broker"])
    settles("store", 1, without=before["store"])
    settles("worker", 2, without=before["worker"])
    assert frozenset(well("visualizer")) == before["visualizer"]
    assert eventually(lambda: update_state("worker") == "completed", UPDATED_S), update_state("worker")
    assert lets_in(broker, "newcomer", password_of("newcomer", changing))
    assert not lets_in(broker, "newcomer", "guessed")
    assert_each_once(end(begin()))


def node_states() -> list[str]:
    """Return how the swarm's nodes are: work is given to those that are ready."""
    return run("docker", "node", "ls", "--format", "{{.Status}}").stdout.split()


def rewrite(file: Path, content: bytes) -> None:
    """Give a secret another content; nobody may write to the file itself."""
    mode = file.stat().st_mode
    file.unlink()
    file.write_bytes(content)
    file.chmod(mode)


def password_of(device: str, folder: Path) -> str:
    """Return what compose/make-secrets gave a device."""
    lines = (folder / "device_passwords").read_text().splitlines()
    return dict(line.split(":") for line in lines if not line.startswith("#"))[device]


def lets_in(broker: str, user: str, password: str) -> bool:
    """Tell whether the broker in a container takes this user's subscription."""
    topic = ["-t", f"headwater/v1/demo/{user}/result", "-E", "-W", "10"]
    command = ["docker", "exec", broker, "mosquitto_sub", "-h", "127.0.0.1", "-u", user, "-P", password, *topic]
    return run(*command, check=False).returncode == 0


def assert_held_in() -> None:
    """As under Compose: no writing into the image, no capability, bounded processor and memory; nothing published.

    So are those that ended at the start, when broker and store were not there yet, and were replaced.
    """
    found = containers()
    assert len([one for one in found if one["State"]["Running"]]) == 5
    for one in found:
        host = one["HostConfig"]
        assert (host["Privileged"], host["ReadonlyRootfs"], host["CapDrop"]) == (False, True, ["ALL"])
        assert (host["NanoCpus"] > 0, host["Memory"] > 0) == (True, True)
        assert one["Config"]["User"] == "10001:10001"
        assert not host["PortBindings"]


def images_of(found: dict[str, dict[str, Any]]) -> set[str]:
    """Return the images that containers were made of."""
    return {one["Config"]["Image"] for one in found.values()}


def fewest_until(state: str, change: Callable[[], None]) -> int:
    """Change the workers and wait for this state of the update; return the fewest that were well meanwhile."""
    counts = [len(well("worker"))]

    def is_over() -> bool:
        counts.append(len(well("worker")))
        return update_state("worker") == state

    change()
    assert eventually(is_over, UPDATED_S), (update_state("worker"), told("worker"))
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
