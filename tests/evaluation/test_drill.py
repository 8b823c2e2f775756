"""Which drills there are, and what is drawn for them."""

from __future__ import annotations

from random import Random

import pytest
import redis

from evaluation import drill_run
from evaluation.drill import DRILLS, Drill, Fault, chosen, drawn, some, stream_s
from evaluation.drill_commands import presentable
from evaluation.drill_faults import HOW
from evaluation.drill_theirs import Theirs
from headwater.address import Address
from headwater.errors import SettingsError

PAIR = Drill("pair", "", (Fault("kill", "device", (1.0, 2.0)), Fault("kill", "broker", (1.0, 2.0))))
ONCE = Drill("once", "", (Fault("half-open", "link", (0.0, 0.0)),), blows=1)


def test_the_faults_of_the_promise_are_all_there() -> None:
    """SIGKILL of five parts alone and in every pair; every deed is one that somebody knows how to do."""
    names = {drill.name for drill in DRILLS}
    assert len(names) == len(DRILLS)
    assert sum(drill.faults[0].deed == "kill" and drill.name.startswith("kill-") for drill in DRILLS) >= 15
    assert {"kill-device", "kill-broker-store", "restart-broker", "forget-broker", "away-store", "full-store"} <= names
    assert {"slow-store", "cut-link", "slow-link", "far-link", "lossy-link", "half-open-link", "full-disk"} <= names
    assert "half-open-worker" in names
    assert {"small-memory", "hang-worker", "hang-kill-worker", "stuck-camera"} <= names
    assert {fault.deed for drill in DRILLS for fault in drill.faults} == set(HOW)


def test_what_is_an_operators_is_never_touched() -> None:
    """What may be run on servers of somebody else's harms devices, workers and links of our own."""
    for_all = [drill for drill in DRILLS if drill.is_for_all]
    assert {part for drill in for_all for part in drill.parts} == {"device", "worker", "workers", "link", "disk"}
    assert not any({"mosquitto", "iotcore", "site"} & drill.needs for drill in for_all)


def test_over_tls_nothing_stands_between(monkeypatch: pytest.MonkeyPatch) -> None:
    """A relay has no certificate of an operator's broker: what needs one, to a device or to a worker, is not run."""
    monkeypatch.setattr(drill_run, "missing", lambda _: "")
    at = {scheme: Address.parse(f"{scheme}://broker.example") for scheme in ("mqtt", "mqtts")}
    servers = {scheme: Theirs(f"{scheme}://broker.example", "", "", address) for scheme, address in at.items()}
    for_all = [drill for drill in DRILLS if drill.is_for_all]
    refused = {drill.name for drill in for_all if "certificate" in drill_run.obstacle(drill, servers["mqtts"])}
    assert {"cut-link", "half-open-link", "half-open-worker"} < refused
    assert refused.isdisjoint({"kill-device", "hang-worker", "stuck-camera"})
    assert not any(drill_run.obstacle(drill, servers["mqtt"]) for drill in for_all)


@pytest.mark.parametrize("drill", DRILLS, ids=lambda drill: drill.name)
def test_every_fault_ends_before_the_next_of_its_part(drill: Drill) -> None:
    """Each beginning has its end, of as long as the fault may last, and no part is hit again before."""
    steps = drawn(drill, 60.0, Random(5))
    begins = {step.number: step for step in steps if step.begins}
    ends = {step.number: step for step in steps if not step.begins}
    assert begins.keys() == ends.keys() != set()
    for number, step in begins.items():
        shortest, longest = step.fault.lasts_s
        assert shortest <= ends[number].at_s - step.at_s <= longest + 1e-9
    for part in drill.parts:
        own = [step for step in steps if step.fault.part == part]
        assert [step.begins for step in own] == [True, False] * (len(own) // 2)


def test_the_same_seed_draws_the_same_moments() -> None:
    """In order, within the stream, and others with another seed."""
    steps = drawn(PAIR, 60.0, Random(1))
    assert steps == drawn(PAIR, 60.0, Random(1))
    assert steps != drawn(PAIR, 60.0, Random(2))
    assert [step.at_s for step in steps] == sorted(step.at_s for step in steps)
    assert all(step.at_s < 62.0 for step in steps if step.begins)
    assert {step.fault.part for step in steps} == {"device", "broker"}


def test_one_blow_falls_at_the_least_and_no_more_than_may() -> None:
    """Also in a short stream, early enough to be seen."""
    assert len(drawn(PAIR, 3.0, Random(3))) == 4
    assert drawn(PAIR, 3.0, Random(3))[0].at_s < 3.0
    assert len(drawn(ONCE, 600.0, Random(3))) == 2


def test_a_storm_draws_what_it_hits() -> None:
    """One to three parts at each blow, every part at some time."""
    storm = next(drill for drill in DRILLS if drill.name == "storm")
    steps = [step for step in drawn(storm, 2000.0, Random(1)) if step.begins]
    assert {step.fault.part for step in steps} == {"device", "worker", "broker", "store", "link"}
    together = [sum(abs(one.at_s - other.at_s) < 1.5 for other in steps) for one in steps]
    assert set(together) == {1, 2, 3}


def test_drills_are_chosen_by_name() -> None:
    """Each once; all without a name."""
    assert chosen([]) == list(DRILLS)
    found = [drill.name for drill in chosen(["kill-store", "cut-link", "kill-store"])]
    assert found == ["kill-store", "cut-link"]


def test_some_are_drawn() -> None:
    """Short ones, each once, the same for the same seed, all where there are no more."""
    found = some(DRILLS, 5, Random(4))
    assert found == some(DRILLS, 5, Random(4))
    assert len({drill.name for drill in found}) == 5
    assert not any(drill.is_long for seed in range(20) for drill in some(DRILLS, 30, Random(seed)))
    assert len(some(DRILLS[:1], 3, Random(1))) == 1


def test_a_name_that_there_is_not_is_one_line() -> None:
    """With the nearest one."""
    with pytest.raises(SettingsError, match=r"got 'kill-brokr', expected one of \d+ names; did you mean kill-broker\?"):
        chosen(["kill-brokr"])


def test_frames_are_shared_by_pace() -> None:
    """So many seconds each, or as many as make the frames asked for, and a little more."""
    assert stream_s(DRILLS, 12.0, None) == 12.0
    seconds = stream_s(DRILLS, 12.0, 100_000)
    assert 100_000 < sum(seconds * drill.way.rate for drill in DRILLS) < 103_000
    assert stream_s([], 12.0, 100) == 12.0


def test_no_password_comes_into_the_table() -> None:
    """The command line stands there, for everybody to read."""
    words = ["--password", "hush", "--password=hush", "--store", "redis://me:hush@store.example", "--username", "me"]
    shown = list(presentable(words))
    assert "hush" not in " ".join(shown)
    assert [shown[0], shown[-2:], len(shown)] == ["--password", ["--username", "me"], len(words)]


def test_a_store_that_goes_away_fails_its_drill_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others go on; why is said."""

    def fails(*_: object, **__: object) -> None:
        raise redis.ConnectionError("gone")

    monkeypatch.setattr(drill_run, "_gone_through", fails)
    outcome = drill_run.go_through(PAIR, 3.0, 1, None, fleet="demo", peer=False, tick=lambda _: None)
    assert (outcome.failed, outcome.is_well) == ("gone", False)
