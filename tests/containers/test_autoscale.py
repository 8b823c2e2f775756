"""Workers come and go with the load, at a real engine: frames wait less than the target again, and none is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from headwater.children import start
from tests.containers.engine import BUILD_S, ROOT, VARIABLES, compose, containers, end, metrics, pictures, run
from tests.containers.test_stream import health, states, stored
from tests.servers import eventually

pytestmark = [pytest.mark.usefixtures("images"), pytest.mark.timeout(BUILD_S + 600)]
FRAMES = 1000
"""The least that are sent. At 20 a second: 50 s of a load for which one worker, at 0.1 s a frame, is too few."""
SLOW = {"OVERLAYS": f"{VARIABLES['OVERLAYS']} ../tests/containers/slow"}
PROJECT = VARIABLES["PROJECT"]
TARGET_S = 0.2
AUTOSCALE = [sys.executable, "-m", "headwater", "autoscale"]
QUICK = [
    "--project",
    PROJECT,
    "--max",
    "4",
    "--target",
    f"{TARGET_S}s",
    "--interval",
    "2s",
    "--cool-down",
    "6s",
    "--settle",
    "10s",
    "--json",
]


@pytest.fixture(scope="module")
def project() -> Iterator[None]:
    """Everything but the device is up and well, with one slow worker."""
    run("compose/make-secrets")
    compose("down", "--volumes", "--timeout", "1", **SLOW)
    try:
        compose("up", "--detach", "--no-build", "broker", "store", "worker", "visualizer", **SLOW)
        assert eventually(lambda: all(health(one) == "healthy" for one in containers()), 90), states()
        yield
    finally:
        compose("down", "--volumes", "--timeout", "1", **SLOW)


@pytest.fixture
def decisions(project: None, tmp_path: Path) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """The autoscaler runs; what it has decided so far."""
    output = tmp_path / "decisions"
    child = start("autoscale", [*AUTOSCALE, *QUICK], log=output, lines=False, folder=ROOT)
    yield lambda: [json.loads(line) for line in output.read_text().split("\n")[:-1]]
    assert child.stop(60) == 0


def autoscale(*flags: str, project: str = PROJECT, **variables: str) -> subprocess.CompletedProcess[str]:
    """Return how the command ended."""
    command = [*AUTOSCALE, "--project", project, *flags]
    return run(*command, check=False, variables={**VARIABLES, **variables})


def workers() -> list[dict[str, Any]]:
    """Return the workers' containers by their numbers."""
    return sorted(
        containers("worker"), key=lambda one: int(one["Config"]["Labels"]["com.docker.compose.container-number"])
    )


def others() -> set[str]:
    """Return the ids of the containers that are no workers, and of the first worker."""
    return {one["Id"] for one in containers()} - {one["Id"] for one in workers()[1:]}


def running(device: dict[str, Any]) -> bool:
    """Tell whether a container runs."""
    return run("docker", "inspect", "--format", "{{.State.Running}}", device["Id"]).stdout.strip() == "true"


def test_what_cannot_be_scaled_is_one_line(project: None) -> None:
    """No such project, no such service, no engine: what there is instead, and status 2."""
    for name, service, words in (
        (PROJECT, "tail", f"no container of a service 'tail' runs in the compose project {PROJECT}, it has broker,"),
        ("nobody", "worker", f"no compose project 'nobody' here, there are: {PROJECT}"),
    ):
        done = autoscale("--service", service, "--once", project=name)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"headwater: error: {words}")
        assert done.stderr.count("\n") == 1
    done = autoscale("--once", DOCKER_HOST="unix:///nowhere/docker.sock")
    assert done.returncode == 2
    assert "no Docker engine answers at unix:///nowhere/docker.sock: No such file or directory" in done.stderr


def test_a_dry_run_makes_nothing(project: None) -> None:
    """It says what it would do: two workers are asked for, one is there."""
    before = {one["Id"] for one in containers()}
    done = autoscale("--min", "2", "--once", "--dry-run", "--interval", "1s")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.rstrip().endswith("1 -> 2  1 worker, fewer than --min 2; would make 1")
    assert {one["Id"] for one in containers()} == before


def test_a_load_step_brings_workers_and_its_end_takes_them(
    decisions: Callable[[], list[dict[str, Any]]], project: None
) -> None:
    """More than one worker while it lasts, frames then wait less than the target; one at the end; each frame once."""
    kept = others()
    assert eventually(decisions, 30), "the autoscaler says nothing"
    compose("up", "--detach", "--no-build", "--no-deps", "edge", **pictures(), **SLOW)
    (device,) = containers("edge")

    def below_again() -> bool:
        made = [one for one in decisions() if one["workers"] and one["workers"] > 1]
        return bool(made) and made[-1]["waiting_s"] is not None and made[-1]["waiting_s"] < TARGET_S

    assert eventually(below_again, 120), decisions()
    assert running(device), "the device ended before it was told to"
    assert max(one["waiting_s"] for one in decisions() if one["waiting_s"] is not None) > TARGET_S
    assert_alike(workers())
    assert "worker_2" in compose("ps", **SLOW).replace("-", "_")
    assert eventually(lambda: metrics("edge")["headwater_edge_frames_captured_total"] >= FRAMES, 120), states()
    summary = end(device["Id"])
    assert eventually(lambda: decisions()[-1]["rule"] == "min", 120), decisions()
    assert [one["Config"]["Labels"]["com.docker.compose.container-number"] for one in workers()] == ["1"]
    assert others() - {device["Id"]} == kept
    assert_each_frame_once(summary)
    assert [one["error"] for one in decisions() if one["error"]] == []


def assert_alike(found: list[dict[str, Any]]) -> None:
    """Hold that the workers that were made are what Compose made, but for number, name, label and host name."""
    first, *made = found
    assert made
    ours = {"com.docker.compose.container-number", "headwater.autoscale"}
    for one in made:
        assert {key: value for key, value in one["HostConfig"].items() if value != first["HostConfig"][key]} == {}
        differing = {key for key, value in one["Config"].items() if value != first["Config"][key]}
        assert differing == {"Hostname", "Labels"}
        labels, others = one["Config"]["Labels"], first["Config"]["Labels"]
        assert {key for key, value in labels.items() if others.get(key) != value} == ours
        assert set(one["NetworkSettings"]["Networks"]) == set(first["NetworkSettings"]["Networks"])
        for known in one["NetworkSettings"]["Networks"].values():
            assert set(known["Aliases"]) - {one["Id"][:12], one["Name"].removeprefix("/")} == {"worker"}
        assert one["Image"] == first["Image"]
    assert eventually(lambda: all(health(one) == "healthy" for one in workers()), 60), states()


def assert_each_frame_once(summary: dict[str, Any]) -> None:
    """Hold that each frame got its answer and is in the store once, and that several workers did them."""
    assert summary["captured"] >= FRAMES
    assert (summary["in_flight"], sum(summary["dropped"].values())) == (0, 0), summary
    assert summary["finished"] == {"device": 0, "worker": summary["captured"]}
    records = stored(**SLOW)
    assert set(Counter(tuple(record[:3]) for record in records).values()) == {1}
    assert len(records) == summary["captured"]
    assert len({record[3] for record in records}) >= 2


def test_a_worker_that_falls_silent_brings_another(
    decisions: Callable[[], list[dict[str, Any]]], project: None
) -> None:
    """Frozen, it tells nothing and finishes nothing: that counts as waiting, and there is a second worker."""
    assert eventually(decisions, 30), "the autoscaler says nothing"
    (worker,) = workers()
    run("docker", "pause", worker["Id"])
    try:
        ups = eventually(lambda: [one for one in decisions() if one["rule"] == "up"], 60)
        assert ups, decisions()
        assert (ups[0]["workers"], ups[0]["wanted"], len(ups[0]["made"])) == (1, 2, 1), ups
        assert ups[0]["waiting_s"] > 10
        assert {f"/{name}" for name in ups[0]["made"]} < {one["Name"] for one in workers()}
    finally:
        run("docker", "unpause", worker["Id"])
    assert eventually(lambda: decisions()[-1]["rule"] == "min", 120), decisions()
    assert [one["Id"] for one in workers()] == [worker["Id"]]


def test_a_new_start_knows_what_was_made_and_down_takes_it(project: None) -> None:
    """Two more that --min asks for are let be by the next run, for they are new; Compose takes them as its own."""
    done = autoscale("--min", "3", "--once", "--interval", "1s")
    assert done.returncode == 0, done.stderr
    assert eventually(lambda: [health(one) for one in workers()] == ["healthy"] * 3, 60), states()
    again = autoscale("--once", "--max", "4", "--interval", "2s", "--cool-down", "60min", "--json")
    said = json.loads(again.stdout)
    assert (said["rule"], said["workers"], said["wanted"]) == ("cool-down", 3, 3), said
    compose("down", "--volumes", "--timeout", "5", **SLOW)
    assert containers() == []
