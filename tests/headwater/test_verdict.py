"""How a process is, said in one form for all."""

from __future__ import annotations

import json

import pytest

from headwater.errors import SettingsError
from headwater.verdict import Verdict, check_unwell_after, since_s, too_long


def test_a_verdict_is_the_sum_of_its_reasons() -> None:
    """None is well and 200, one is unwell and 503; the JSON says all of it."""
    well = Verdict("worker", "w1", (), 0.12345, 9.0, {"received": 3}, {"connected": True})
    assert (well.is_well, well.http_status) == (True, 200)
    assert json.loads(well.as_json()) == {
        "status": "well", "alive": True, "part": "worker", "name": "w1", "reasons": [],
        "last_finished_s_ago": 0.123, "up_s": 9.0,
        "counts": {"received": 3}, "connected": True,
    }  # fmt: skip
    unwell = Verdict("worker", "w1", ("the store is away",), None, 9.0)
    assert unwell.http_status == 503
    found = json.loads(unwell.as_json())
    assert (found["status"], found["reasons"], found["last_finished_s_ago"]) == ("unwell", ["the store is away"], None)


def test_who_waits_for_others_is_alive() -> None:
    """Unwell it is all the same; a restart would mend only what is its own."""
    hangs = Verdict("worker", "w1", ("one frame has been in hand for 31 s",), None, 9.0)
    waits = Verdict("worker", "w1", ("the store has taken nothing for 31 s",), None, 9.0, waits_for_others=True)
    assert [(one.is_well, one.is_alive) for one in (hangs, waits)] == [(False, False), (False, True)]
    assert json.loads(waits.as_json())["alive"] is True


def test_only_what_took_longer_than_it_may_is_a_reason() -> None:
    """At the limit it is none, nor where nothing is under way; the sentence has both times."""
    assert too_long("one frame has been in hand", None, 30) == too_long("one frame has been in hand", 30.0, 30) == []
    assert too_long("one frame has been in hand", 31.2, 30) == [
        "one frame has been in hand for 31 s, expected at most 30 s"
    ]


def test_a_moment_in_the_future_was_just_now() -> None:
    """Threads read their clocks one after the other: no time is less than 0."""
    assert (since_s(5.0, 7.5), since_s(7.5, 7.0), since_s(None, 7.0)) == (2.5, 0.0, None)


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf"), 1e9])
def test_limits_that_make_no_sense_are_refused(seconds: float) -> None:
    """In one line with the flag."""
    with pytest.raises(SettingsError, match="--unwell-after: got"):
        check_unwell_after(seconds)
    check_unwell_after(0.5)
