"""Only containers of the service are touched, and what the engine refuses is one line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading

import pytest

from cloud_worker.autoscale import engine as module
from cloud_worker.autoscale.engine import Engine
from cloud_worker.autoscale.report import Done
from cloud_worker.autoscale.template import OURS
from headwater.errors import EngineError
from tests.cloud_worker.autoscale.containers import IMAGE, PaperApi


def engine(api: PaperApi, project: str = "headwater", service: str = "worker") -> Engine:
    return Engine(project, service, api)


def test_more_workers_are_made_connected_and_started() -> None:
    """Under the next numbers; each in all its networks before it starts."""
    api = PaperApi(workers=2)
    assert engine(api).add(2) == Done(("headwater_worker_3", "headwater_worker_4"))
    assert [one[0] for one in api.told] == ["create", "connect", "start"] * 2
    assert api.told[1][2:] == ("headwater_records", {"aliases": ["worker"], "driver_opt": None})
    assert [one.number for one in engine(api).workers()] == [1, 2, 3, 4]
    assert [one.is_ours for one in engine(api).workers()] == [False, False, True, True]


def test_the_highest_numbers_are_stopped_first_and_one_always_stays() -> None:
    """With the time that the compose file gives them; nothing else is stopped or removed."""
    api = PaperApi(workers=4)
    assert engine(api).remove(2) == Done(("headwater_worker_4", "headwater_worker_3"))
    assert sorted(one[1:] for one in api.told if one[0] == "stop") == [(f"{n:064d}", 20) for n in (3, 4)]
    assert api.names() == ["headwater_store_1", "headwater_worker_1", "headwater_worker_2"]
    assert engine(api).remove(9) == Done(("headwater_worker_2",))
    assert api.names() == ["headwater_store_1", "headwater_worker_1"]


def test_what_we_made_and_has_ended_is_cleared_away_before_more_are_made() -> None:
    """Left behind by a run that was killed, or stopped by somebody; those of Compose stay."""
    api = PaperApi()
    api.kept += [
        api.entry("worker", 2, "2" * 64, "exited"),
        api.entry("worker", 3, "3" * 64, "exited", **{OURS: "made"}),
        api.entry("worker", 4, "4" * 64, "created", **{OURS: "made"}),
    ]
    assert engine(api).add(1) == Done(("headwater_worker_5",))
    assert [one[1][:1] for one in api.told if one[0] == "remove"] == ["3", "4"]
    assert api.names()[1:] == ["headwater_worker_1", "headwater_worker_2", "headwater_worker_5"]


def test_a_container_of_compose_is_the_model() -> None:
    """Also where one of ours has a lower number."""
    api = PaperApi(workers=2)
    api.kept[1]["Labels"][OURS] = "made"
    engine(api).add(1)
    assert api.told[0][2]["Labels"]["com.docker.compose.container-number"] == "3"
    assert api.inspected == [f"{2:064d}"]


def test_the_image_is_the_same_even_when_its_name_is_another_s() -> None:
    """Rebuilt, or taken away: the container's own image by its id."""
    api = PaperApi()
    engine(api).add(1)
    api.images["headwater/worker:0.1.0"] = "sha256:other"
    engine(api).add(1)
    api.images.clear()
    engine(api).add(1)
    made = [one[2]["Image"] for one in api.told if one[0] == "create"]
    assert made == ["headwater/worker:0.1.0", IMAGE, IMAGE]


def test_a_container_that_cannot_start_is_taken_away() -> None:
    """And the engine's words are in the error."""
    api = PaperApi()
    api.failing = {"start": "port is already allocated"}
    assert engine(api).add(1) == Done((), "making a container: port is already allocated")
    assert api.told[-1] == ("remove", f"{2:064d}", True)
    assert api.names() == ["headwater_store_1", "headwater_worker_1"]


def test_what_was_made_before_one_fails_is_told() -> None:
    """The second of three: the first stays, and the third is not tried."""
    api = PaperApi()
    api.failing, api.failing_at = {"start": "no room"}, f"{3:064d}"
    assert engine(api).add(3) == Done(("headwater_worker_2",), "making a container: no room")
    assert api.names() == ["headwater_store_1", "headwater_worker_1", "headwater_worker_2"]


def test_what_was_stopped_beside_one_that_fails_is_told() -> None:
    """The others are stopped all the same; without an engine none is."""
    api = PaperApi(workers=4)
    api.failing, api.failing_at = {"stop": "did not exit"}, f"{3:064d}"
    assert engine(api).remove(3) == Done(
        ("headwater_worker_4", "headwater_worker_2"), "stopping a container: did not exit"
    )
    assert api.names() == ["headwater_store_1", "headwater_worker_1", "headwater_worker_3"]
    api.failing = {"containers": ""}
    assert engine(api).remove(1) == Done((), "asking for the containers: Connection refused")


def test_a_worker_that_freezes_while_it_is_asked_tells_nothing() -> None:
    """The deadline is outside; it is not asked again before it has answered, and then is."""
    api = PaperApi(workers=2)
    api.frozen = threading.Event()
    found = Engine("headwater", "worker", api, answer_within_s=1.0)
    silent = {one.id: () for one in found.workers()}
    before = set(threading.enumerate())
    assert found.ask(found.workers()) == silent
    held = set(threading.enumerate()) - before
    assert len(held) == 2
    assert all(one.daemon for one in held), "the end of the program would wait for them"
    assert found.ask(found.workers()) == silent
    assert len(api.told) == 2
    api.frozen.set()
    for one in held:
        one.join(10)
    found.ask(found.workers())
    assert len(api.told) == 4


def test_the_machine_s_cores_are_the_engine_s() -> None:
    """None where it does not say."""
    api = PaperApi()
    assert engine(api).cores() == 2
    api.cores = 0
    assert engine(api).cores() is None


def test_a_worker_that_cannot_be_asked_tells_nothing() -> None:
    """Paused, restarting, without Python: the others are asked all the same."""
    api = PaperApi(workers=2)
    found = engine(api)
    assert found.ask(found.workers()) == {one.id: () for one in found.workers()}
    api.failing = {"exec": "container is paused"}
    assert set(found.ask(found.workers()).values()) == {()}


@pytest.mark.parametrize(
    ("project", "service", "words"),
    [
        (
            "headwater",
            "tail",
            "no container of a service 'tail' runs in the compose project headwater, it has store, worker",
        ),
        ("other", "worker", "no compose project 'other' here, there are: headwater; give --project"),
    ],
)
def test_a_project_or_service_that_is_not_there_names_those_that_are(project: str, service: str, words: str) -> None:
    """At the start, one line."""
    for step in (Engine.check, Engine.workers):
        with pytest.raises(EngineError, match=re.escape(words)):
            step(engine(PaperApi(), project, service))


def test_a_service_that_is_stopped_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot be scaled from nothing."""
    api = PaperApi()
    api.kept[1]["State"] = "exited"
    with pytest.raises(EngineError, match="no container of a service 'worker' runs"):
        engine(api).workers()


def test_a_service_that_cannot_be_there_twice_is_refused_at_the_start() -> None:
    """Before anything is looked at."""
    api = PaperApi()
    api.kept[1]["Names"] = ["/tail"]
    with pytest.raises(EngineError, match="service worker of project headwater cannot be scaled: its container_name"):
        engine(api).check()


def test_an_engine_that_goes_away_is_one_line() -> None:
    """With the system's own words."""
    api = PaperApi()
    api.failing = {"containers": ""}
    with pytest.raises(EngineError, match="asking for the containers: Connection refused"):
        engine(api).workers()


@pytest.mark.parametrize(
    ("host", "reason"), [("unix:///nowhere/docker.sock", "No such file or directory"), ("nonsense://x", "")]
)
def test_no_engine_is_one_line(host: str, reason: str) -> None:
    """Where it was looked for, why it is not there, what to do; status 2."""
    done = subprocess.run(
        [sys.executable, "-m", "headwater", "autoscale", "--once"], env={**os.environ, "DOCKER_HOST": host},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"headwater: error: no Docker engine answers at {host}: {reason}")
    assert done.stderr.endswith("; start it, or give its DOCKER_HOST\n")
    assert done.stderr.count("\n") == 1


def test_no_permission_says_what_the_permission_means(monkeypatch: pytest.MonkeyPatch) -> None:
    """The group of the socket is as much as root."""

    def refuse() -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(module.docker, "from_env", refuse)
    with pytest.raises(EngineError, match=r"no permission to use the Docker engine.*as much as root"):
        Engine("headwater", "worker")


def test_the_connection_is_closed() -> None:
    """With the block."""
    api = PaperApi()
    with engine(api):
        pass
    assert api.told == [("close",)]
