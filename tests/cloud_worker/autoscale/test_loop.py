"""The loop looks, decides, acts and says so; what the engine refuses does not end it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from cloud_worker.autoscale.decide import Decision, Limits, Look
from cloud_worker.autoscale.loop import Scaling
from cloud_worker.autoscale.report import Done, Report, as_json, as_text
from cloud_worker.autoscale.settings import AutoscaleSettings
from cloud_worker.autoscale.template import Container
from cloud_worker.autoscale.waiting import Told
from headwater.errors import EngineError, SettingsError
from tests.cloud_worker.fleet import PaperStop

LIMITS = Limits(1, 4, 0.2, 10.0, 20.0)


class PaperWorkers:
    """Workers that tell what a test says; time goes on by five seconds with every look."""

    project, service = "headwater", "worker"

    def __init__(self, count: int = 1, waiting_s: float = 0.0) -> None:
        self.count, self.waiting_s, self.busy, self.now_s = count, waiting_s, 0.0, 1000.0
        self.ours_made_s: float | None = None
        self.acts: list[tuple[str, int]] = []
        self.fault: EngineError | None = None
        self._sums = Told(0.0, 0.0, 0.0)

    def check(self) -> None:
        self.acts.append(("check", 0))

    def workers(self) -> list[Container]:
        if self.fault:
            raise self.fault
        made_s = self.ours_made_s
        return [
            Container(f"id{n}", f"w{n}", n, "running", made_s or 0.0, made_s is not None and n > 1)
            for n in range(1, self.count + 1)
        ]

    def ask(self, workers: Sequence[Container]) -> Mapping[str, Sequence[Told]]:
        self.now_s += 5.0
        was = self._sums
        self._sums = Told(was.frames + 10, was.waited_s + 10 * self.waiting_s, was.busy_s + 5.0 * self.busy)
        return {one.id: [self._sums] for one in workers}

    def add(self, count: int) -> Done:
        self.acts.append(("add", count))
        self.count += count
        return Done((f"w{self.count}",))

    def remove(self, count: int) -> Done:
        self.acts.append(("remove", count))
        self.count -= count
        return Done((f"w{self.count + 1}",))

    @property
    def changes(self) -> list[tuple[str, int]]:
        return [one for one in self.acts if one[0] != "check"]


def scaling(workers: PaperWorkers, said: list[str], **more) -> Scaling:
    return Scaling(
        workers, LIMITS, said.append, now_s=lambda: workers.now_s, wall_s=lambda: workers.now_s + 9_000, **more
    )


def run(workers: PaperWorkers, looks: int, **more) -> list[str]:
    """Return what is said in so many looks after the first."""
    said: list[str] = []
    scaling(workers, said, **more).run(PaperStop(after=looks + 1), 5.0)
    return said


def test_workers_come_while_frames_wait_and_go_when_they_do_not() -> None:
    """Twice noticed, one more; the cool-down; twice as many; then after --settle half of them, and the last stays."""
    workers, said = PaperWorkers(waiting_s=1.0), []
    loop = scaling(workers, said)
    loop.look()
    for _ in range(8):
        loop.step()
    assert workers.changes == [("add", 1), ("add", 2)]
    workers.waiting_s = 0.0
    for _ in range(12):
        loop.step()
    assert workers.changes == [("add", 1), ("add", 2), ("remove", 2), ("remove", 1)]
    assert "1 -> 2" in said[1]
    assert "made w2" in said[1]
    assert "stopped w3" in next(line for line in said if "4 -> 2" in line)
    assert said[-1].endswith("1 is --min")


def test_a_dry_run_says_all_and_does_nothing() -> None:
    """The engine is only asked."""
    workers = PaperWorkers(waiting_s=1.0)
    said = run(workers, 4, is_dry=True)
    assert workers.changes == []
    assert [line for line in said if "1 -> 2" in line]
    assert said[-1].endswith("would make 1")


def test_people_are_told_what_is_new_programs_everything() -> None:
    """One line for many looks of the same; as JSON a line each, every key in it."""
    assert len(run(PaperWorkers(), 5)) == 1
    lines = [json.loads(line) for line in run(PaperWorkers(waiting_s=1.0), 5, as_json=True)]
    assert len(lines) == 5
    assert [line["rule"] for line in lines] == ["noticed", "up", "cool-down", "cool-down", "up"]
    assert lines[1]["made"] == ["w2"]
    assert all(set(line) == set(lines[0]) for line in lines)
    assert (lines[0]["project"], lines[0]["service"], lines[0]["waiting_s"]) == ("headwater", "worker", 1.0)


def test_once_is_one_decision() -> None:
    """After three looks, one interval apart."""
    workers, said, stop = PaperWorkers(4), [], PaperStop()
    asked = AutoscaleSettings(max=4, once=True).limits()
    Scaling(workers, asked, said.append, now_s=lambda: workers.now_s).run(stop, 5.0, once=True)
    assert stop.waits == [5.0, 5.0]
    assert workers.changes == [("remove", 2)]
    assert len(said) == 1


def test_once_is_enough_for_more_workers() -> None:
    """Frames wait at the two looks that can tell, or the workers have no rest at both."""
    for waiting_s, busy in ((1.0, 0.5), (0.0, 1.0)):
        workers, said = PaperWorkers(2, waiting_s), []
        workers.busy = busy
        asked = AutoscaleSettings(max=4, once=True).limits()
        Scaling(workers, asked, said.append, now_s=lambda workers=workers: workers.now_s).run(
            PaperStop(), 5.0, once=True
        )
        assert workers.changes == [("add", 2 if waiting_s else 1)]
        assert "made w" in said[0]
        assert len(said) == 1


def test_an_engine_that_is_away_for_a_while_is_asked_again() -> None:
    """Said once; decisions go on with what was known before."""
    workers, said = PaperWorkers(), []
    loop = scaling(workers, said)
    loop.look()
    loop.step()
    workers.fault = EngineError("asking for the containers: Connection refused")
    loop.step()
    loop.step()
    workers.fault = None
    loop.step()
    assert ["Connection refused" in line for line in said] == [False, True, False]


def test_nothing_to_scale_at_the_start_is_an_error() -> None:
    """For the command line to say."""
    workers = PaperWorkers()
    workers.fault = EngineError("no such project")
    with pytest.raises(EngineError, match="no such project"):
        run(workers, 1)


def test_a_change_that_fails_is_said_and_tried_again_after_the_cool_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at every look."""
    workers, said = PaperWorkers(waiting_s=1.0), []
    monkeypatch.setattr(workers, "add", lambda count: workers.acts.append(("add", count)) or Done(error="no room"))
    loop = scaling(workers, said)
    loop.look()
    for _ in range(5):
        loop.step()
    assert workers.changes == [("add", 1)] * 2
    assert [line for line in said if "failed: no room" in line]


def test_what_a_change_has_done_is_said_with_what_it_has_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of three stopped: their names and the error, and the number that is then there is no surprise."""
    workers, said = PaperWorkers(4), []
    monkeypatch.setattr(workers, "remove", lambda _: setattr(workers, "count", 3) or Done(("w4",), "did not exit"))
    loop = Scaling(workers, replace(LIMITS, settle_s=0.0), said.append, now_s=lambda: workers.now_s, as_json=True)
    loop.look()
    loop.step()
    workers.now_s += 1.0
    loop.step()
    first, second = map(json.loads, said)
    assert (first["wanted"], first["stopped"], first["error"]) == (2, ["w4"], "did not exit")
    assert (second["workers"], second["rule"]) == (3, "cool-down")
    assert "over in 9.0 s" in second["why"], "the change counts as somebody else's, of that look"


def test_a_change_by_somebody_else_is_let_settle() -> None:
    """As one of ours: the cool-down begins."""
    workers, said = PaperWorkers(2, waiting_s=1.0), []
    loop = scaling(workers, said)
    loop.look()
    workers.count = 1
    loop.step()
    assert "--cool-down is over in 10 s" in said[0]
    assert workers.changes == []


def test_a_new_run_knows_when_the_last_one_made_a_worker() -> None:
    """By the age of the newest of ours: the cool-down goes on."""
    workers = PaperWorkers(2, waiting_s=1.0)
    workers.ours_made_s = workers.now_s + 9_000 - 1.0
    said = run(workers, 1)
    assert "--cool-down is over in" in said[0]
    workers = PaperWorkers(2, waiting_s=1.0)
    workers.ours_made_s = workers.now_s - 500.0
    run(workers, 2)
    assert workers.changes == [("add", 2)]


def test_a_report_is_one_line() -> None:
    """For people and for programs, also where there is no decision."""
    look = Look(5.0, 1, (0.9,), (0.97,), 0.1)
    report = Report(0.0, look, Decision(1, 2, "up", "frames wait 900 ms"), made=("w2",))
    assert as_text(report)[8:] == "  1 -> 2  frames wait 900 ms; made w2"
    assert as_text(replace(report, made=(), is_dry=True))[8:] == "  1 -> 2  frames wait 900 ms; would make 1"
    said = json.loads(as_json(report, "p", "s"))
    assert (said["time"], said["workers"], said["wanted"], said["rule"]) == (
        "1970-01-01T00:00:00.000+00:00",
        1,
        2,
        "up",
    )
    assert (said["waiting_s"], said["busy"], said["made"], said["error"]) == (0.9, 0.97, ["w2"], None)
    away = Report(0.0, error="no engine")
    assert as_text(away)[8:] == "  ?       no engine"
    assert json.loads(as_json(away, "p", "s"))["wanted"] is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"min": 0}, "--min, --max: got 0 and 8"),
        ({"min": 9, "max": 8}, "--min, --max: got 9 and 8"),
        ({"max": 1001}, "1 <= min <= max <= 1000"),
        ({"target": "fast"}, "--target: got 'fast', expected"),
        ({"target": "0ms"}, "--target: got 0ms, expected at least 0.001s"),
        ({"cool_down": "60"}, "--cool-down: got '60', expected"),
        ({"settle": "-1s"}, "--settle: got '-1s'"),
    ],
)
def test_wrong_settings_are_refused(change: dict[str, object], words: str) -> None:
    """With the flag, what it got and what it takes."""
    with pytest.raises(SettingsError) as refused:
        AutoscaleSettings(**change).limits()  # type: ignore[arg-type]
    assert words in str(refused.value)
    with pytest.raises(SettingsError, match="--interval: got 100ms, expected at least 1s"):
        _ = AutoscaleSettings(interval="100ms").interval_s


def test_settings_become_limits() -> None:
    """In seconds; --once waits for nothing to settle."""
    asked = AutoscaleSettings(min=2, max=5, target="150ms", cool_down="1min", settle="90s")
    assert asked.limits() == Limits(2, 5, pytest.approx(0.15), 60.0, 90.0)
    assert replace(asked, once=True).limits().settle_s == 0.0
    assert AutoscaleSettings().interval_s == 5.0


@pytest.mark.parametrize(
    ("least", "most", "cores", "expected"),
    [(1, None, 2, 2), (1, None, 64, 8), (1, None, None, 8), (3, None, 2, 3), (9, None, 4, 9), (1, 6, 2, 6)],
)
def test_without_max_there_are_no_more_workers_than_cores(
    least: int, most: int | None, cores: int | None, expected: int
) -> None:
    """Nor more than eight; never fewer than --min; as many as are asked for."""
    assert AutoscaleSettings(min=least, max=most).limits(cores).most == expected
