"""Ages are true whatever happens to the wall clock, and in doubt young."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.machine import CREDIBLE_S, Machine, Stamp, age_s, stamp, this_machine

YEAR_S, DAY_S, HOUR_S = 365 * 86_400.0, 86_400.0, 3600.0
NOW_S = 1.79e9


def machine(up_s: float, wall_s: float = NOW_S, start: str = "b") -> Machine:
    """Return a machine that has run for so long, with its wall clock there."""
    return Machine(start, lambda: up_s, lambda: wall_s)


@pytest.mark.parametrize("step_s", [0.0, YEAR_S, -YEAR_S, -NOW_S, 50 * YEAR_S])
def test_within_one_start_no_step_of_the_clock_is_seen(step_s: float) -> None:
    """A time server, or a battery that has died, moves the wall by a year; ten seconds stay ten seconds."""
    then = stamp(machine(100.0), 0.0)
    assert age_s(then, machine(110.0, NOW_S + step_s)) == 10.0


def test_a_stamp_may_speak_of_a_moment_before() -> None:
    """What was captured a while before it came to the disk is that much older."""
    assert age_s(stamp(machine(100.0), 7.0), machine(103.0)) == 10.0


@pytest.mark.parametrize(
    ("off_s", "up_s", "expected_s"),
    [
        (HOUR_S, 60.0, HOUR_S),
        (20 * DAY_S, 60.0, 20 * DAY_S),
        (YEAR_S, 60.0, 60.0),
        (-YEAR_S, 60.0, 60.0),
        (NOW_S, 60.0, 60.0),
        (30.0, 60.0, 60.0),
        (CREDIBLE_S + 1, 5.0, 5.0),
    ],
)  # fmt: skip
def test_from_one_start_to_the_next_the_wall_holds_within_bounds(off_s: float, up_s: float, expected_s: float) -> None:
    """A clock that stepped by a year, back, or from 1970 tells nothing: at least the time since the start is sure."""
    then = Stamp("a", 5_000.0, NOW_S - off_s)
    assert age_s(then, machine(up_s)) == expected_s


def test_a_moment_that_nobody_noted_is_now() -> None:
    """However long the machine has run: in doubt young."""
    assert age_s(Stamp("", 0.0, 0.0), machine(20 * DAY_S)) == 0.0


def test_where_the_system_names_no_start_the_wall_says_how_long_ago_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that has run for weeks makes no frame of ten seconds ago weeks old when the device starts again."""
    monkeypatch.setattr("edge.machine._START", tmp_path / "no Linux")
    monkeypatch.setattr("edge.machine._up_s", lambda: 20 * DAY_S)
    before, now = this_machine(), this_machine()
    assert before.start != now.start
    assert age_s(stamp(before, 10.0), now) == pytest.approx(10.0, abs=5.0)


def test_this_machine_has_a_start_and_a_clock_that_runs() -> None:
    """The same start for every process; the clock goes forwards."""
    one, other = this_machine(), this_machine()
    assert one.start == other.start
    assert one.up_s() <= other.up_s()
    assert age_s(stamp(one, 0.0), other) < HOUR_S
