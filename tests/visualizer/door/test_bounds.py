"""Sessions and failed attempts: how long, how many, in how much memory."""

from __future__ import annotations

import pytest

from tests.visualizer.door.asking import Now
from visualizer.door import sessions as sessions_module
from visualizer.door import throttle as throttle_module
from visualizer.door.sessions import MOST_OF_ONE, Sessions
from visualizer.door.throttle import ONE_NAME, ONE_NAME_FROM_ONE_PLACE, ONE_PLACE, Throttle, keys


def test_a_session_ends_when_its_time_is_over() -> None:
    """To the second, whatever the browser still sends."""
    now = Now()
    sessions = Sessions(60, now)
    token = sessions.open("camille", "hash")
    now.s += 59.9
    found = sessions.find(token)
    assert found is not None
    assert found.name == "camille"
    now.s += 0.2
    assert sessions.find(token) is None


def test_a_token_is_long_random_and_not_kept() -> None:
    """256 bits each; what is in memory finds no session."""
    sessions = Sessions(60)
    one, other = sessions.open("camille", "hash"), sessions.open("camille", "hash")
    assert one != other
    assert len(one) == 43
    found = sessions.find(one)
    assert found is not None
    assert one not in repr(found) + found.key
    assert sessions.find(found.key) is None


@pytest.mark.parametrize("token", ["", "x", "x" * 43, "x" * 10_000, "\ud800", "é"])
def test_a_made_up_token_finds_nothing(token: str) -> None:
    """Whatever it is."""
    sessions = Sessions(60)
    sessions.open("camille", "hash")
    assert sessions.find(token) is None


def test_a_closed_session_is_gone_and_others_stay() -> None:
    """Signing out ends one browser's."""
    sessions = Sessions(60)
    here, there = sessions.open("camille", "hash"), sessions.open("camille", "hash")
    found = sessions.find(here)
    assert found is not None
    sessions.close(found.key)
    assert sessions.find(here) is None
    assert sessions.find(there) is not None


def test_sessions_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One person's oldest goes first, then the oldest of all; those that have ended are forgotten."""
    now = Now()
    sessions = Sessions(60, now)
    mine = [sessions.open("camille", "hash") for _ in range(MOST_OF_ONE + 2)]
    assert [sessions.find(one) is not None for one in mine[:3]] == [False, False, True]
    monkeypatch.setattr(sessions_module, "MOST_SESSIONS", MOST_OF_ONE + 1)
    for n in range(10):
        sessions.open(f"user{n}", "hash")
    assert sessions.count() == MOST_OF_ONE + 1
    now.s += 61
    sessions.open("sam", "hash")
    assert sessions.count() == 1


def test_five_failures_of_a_name_at_one_place_hold_it_up() -> None:
    """For five minutes since the first; another name, or another place, goes on."""
    now = Now()
    throttle, tried = Throttle(now), keys("camille", "192.0.2.1")
    for _ in range(ONE_NAME_FROM_ONE_PLACE.most):
        assert throttle.begin(tried) == 0
        now.s += 1
    assert throttle.begin(tried) == pytest.approx(ONE_NAME_FROM_ONE_PLACE.span_s - 5)
    assert throttle.begin(keys("sam", "192.0.2.1")) == 0
    assert throttle.begin(keys("camille", "192.0.2.2")) == 0
    now.s += ONE_NAME_FROM_ONE_PLACE.span_s - 5
    assert throttle.begin(tried) == 0
    assert throttle.begin(tried) == pytest.approx(1)


def test_success_forgives() -> None:
    """Who mistypes four times and then knows it begins anew; others of the place are not forgiven with them."""
    throttle, tried = Throttle(Now()), keys("camille", "192.0.2.1")
    for _ in range(3):
        for _ in range(ONE_NAME_FROM_ONE_PLACE.most - 1):
            assert throttle.begin(tried) == 0
        assert throttle.begin(tried) == 0
        throttle.succeeded(tried)
    assert throttle.begin(keys("camille", "192.0.2.1")) == 0


def test_one_place_that_tries_many_names_is_held_up() -> None:
    """Also where it has all of a subnet of IPv6, and whichever way an IPv4 address is written."""
    for place in (lambda n: f"2001:db8::{n:x}", lambda n: ("192.0.2.1", "::ffff:192.0.2.1")[n % 2]):
        throttle = Throttle(Now())
        waits = [throttle.begin(keys(f"user{n}", place(n))) for n in range(ONE_PLACE.most + 1)]
        assert waits[:-1] == [0] * ONE_PLACE.most
        assert waits[-1] == pytest.approx(ONE_PLACE.span_s)


def test_one_name_that_is_tried_from_many_places_is_held_up() -> None:
    """A hundred guesses an hour, from however many machines."""
    throttle = Throttle(Now())
    waits = [throttle.begin(keys("camille", f"198.51.{n}.1")) for n in range(ONE_NAME.most + 1)]
    assert waits[:-1] == [0] * ONE_NAME.most
    assert waits[-1] == pytest.approx(ONE_NAME.span_s)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest names and places are forgotten first."""
    monkeypatch.setattr(throttle_module, "MOST_KEYS", 30)
    throttle = Throttle(Now())
    for n in range(200):
        throttle.begin(keys(f"user{n}", f"10.0.{n}.1"))
    assert throttle.count() == 30


def test_a_flood_of_names_frees_nobody_who_is_held_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where memory is full, those are forgotten first that hold nobody up; also those whose time is over."""
    monkeypatch.setattr(throttle_module, "MOST_KEYS", 30)
    now = Now()
    throttle = Throttle(now)
    one, flood = keys("camille", "192.0.2.1"), [keys(f"user{n}", f"10.0.{n}.1") for n in range(200)]
    while throttle.begin(one) == 0:
        pass
    for tried in flood:
        now.s += 0.01
        assert throttle.begin(tried) == 0
    assert throttle.begin(one) == pytest.approx(ONE_NAME_FROM_ONE_PLACE.span_s - 2)
    assert throttle.count() == 30
    now.s += ONE_NAME_FROM_ONE_PLACE.span_s
    for tried in flood:
        throttle.begin(tried)
    assert throttle.begin(one) == 0
    assert throttle.count() == 30


def test_where_all_are_held_up_memory_is_bounded_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest goes then."""
    monkeypatch.setattr(throttle_module, "MOST_KEYS", 1)
    throttle = Throttle(Now())
    bounds = [[(ONE_NAME_FROM_ONE_PLACE, name)] for name in ("camille", "sam")]
    for tried in bounds:
        for _ in range(ONE_NAME_FROM_ONE_PLACE.most):
            assert throttle.begin(tried) == 0
    assert [throttle.begin(tried) > 0 for tried in reversed(bounds)] == [True, False]
    assert throttle.count() == 1


def test_two_places_keep_a_name_out_and_one_does_not() -> None:
    """The price of a bound for a name from everywhere."""
    for places, is_out in ((1, False), (2, True)):
        now = Now()
        throttle = Throttle(now)
        for _ in range(12):
            for place in range(places):
                while throttle.begin(keys("camille", f"198.51.100.{place}")) == 0:
                    pass
            now.s += ONE_NAME_FROM_ONE_PLACE.span_s
        now.s -= ONE_NAME_FROM_ONE_PLACE.span_s
        assert (throttle.begin(keys("camille", "192.0.2.1")) > 0) is is_out


def test_a_try_that_was_none_does_not_count_and_forgives_nothing() -> None:
    """Neither is somebody nearer to being held up by it, nor further from it."""
    throttle, tried = Throttle(Now()), keys("camille", "192.0.2.1")
    for n in range(ONE_NAME_FROM_ONE_PLACE.most):
        assert throttle.begin(tried) == 0
        throttle.was_none(tried)
        assert throttle.count() == (0 if n == 0 else 3)
        assert throttle.begin(tried) == 0
    assert throttle.begin(tried) > 0
