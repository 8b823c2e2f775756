"""How many workers are wanted: within limits, without swinging, and with a reason."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_worker.autoscale.decide import Limits, Look, Rule, decide, most_busy, shown_s
from tests.cloud_worker.autoscale.plant import Plant

LIMITS = Limits(1, 8, 0.2, 60.0, 180.0)
waits = st.floats(0.0, 100.0)
shares = st.floats(0.0, 1.0)


@st.composite
def looks(draw: st.DrawFn, at_s: float = 0.0) -> Look:
    """One look at up to 12 workers, of which some do not tell."""
    workers = draw(st.integers(0, 12))
    waits_s = tuple(draw(st.lists(waits, max_size=workers)))
    busy = tuple(draw(st.lists(shares, max_size=len(waits_s))))
    return Look(at_s, workers, waits_s, busy, draw(st.floats(0.0, 5.0)), draw(st.sampled_from(["", "", "away"])))


@st.composite
def histories(draw: st.DrawFn) -> list[Look]:
    """Looks one after the other."""
    gaps_s = draw(st.lists(st.floats(0.5, 120.0), min_size=1, max_size=12))
    return [draw(looks(sum(gaps_s[: n + 1]))) for n in range(len(gaps_s))]


limits = st.builds(
    lambda least, more, target_s, cool_s, settle_s: Limits(least, least + more, target_s, cool_s, settle_s),
    st.integers(1, 4), st.integers(0, 8), st.floats(0.01, 5.0), st.floats(0.0, 300.0), st.floats(0.0, 300.0),
)  # fmt: skip
ago = st.none() | st.floats(0.0, 400.0)


def at(history: list[Look], ago_s: float | None) -> float | None:
    """Return the moment of the last change."""
    return None if ago_s is None else history[-1].at_s - ago_s


@given(histories(), ago, limits)
def test_a_decision_is_within_limits_and_has_a_reason(history: list[Look], ago_s: float | None, asked: Limits) -> None:
    """From --min to --max, at most double and at least half, a sentence, and a rule that fits."""
    found = decide(history, at(history, ago_s), asked)
    now = history[-1].workers
    assert asked.least <= found.wanted <= asked.most
    assert found.workers == now
    assert found.why
    if asked.least <= now <= asked.most:
        assert now / 2 <= found.wanted <= 2 * now
        assert (found.rule == "up") == (found.wanted > now)
        assert (found.rule == "down") == (found.wanted < now)
    else:
        assert found.rule == "bounds"


@given(histories(), ago, limits)
def test_nothing_is_changed_right_after_a_change(history: list[Look], ago_s: float | None, asked: Limits) -> None:
    """But where there are fewer or more than allowed."""
    now = history[-1].workers
    if ago_s is not None and ago_s < asked.cool_down_s and asked.least <= now <= asked.most:
        assert decide(history, at(history, ago_s), asked).wanted == now


@given(st.lists(st.floats(0.91, 1.09), min_size=1, max_size=60), st.integers(1, 8), shares, ago)
def test_noise_around_the_target_changes_nothing(
    noise: list[float], workers: int, busy: float, ago_s: float | None
) -> None:
    """Whatever the workers do with their time, short of having no rest."""
    share = min(busy, 0.94)
    history = [
        Look(5.0 * n, workers, (one * LIMITS.target_s,) * workers, (share,) * workers, 0.05)
        for n, one in enumerate(noise)
    ]
    assert decide(history, at(history, ago_s), LIMITS).wanted == workers


@given(histories(), ago, limits, st.lists(st.floats(0.0, 50.0), min_size=12, max_size=12))
def test_a_longer_wait_never_speaks_for_fewer(
    history: list[Look], ago_s: float | None, asked: Limits, longer: list[float]
) -> None:
    """All else being equal, at every worker or at one."""
    last = history[-1]
    more = replace(last, waits_s=tuple(one + add for one, add in zip(last.waits_s, longer, strict=False)))
    changed_s = at(history, ago_s)
    assert decide(history, changed_s, asked).wanted <= decide([*history[:-1], more], changed_s, asked).wanted


@given(histories(), ago, limits)
def test_fewer_must_have_been_enough_for_long(history: list[Look], ago_s: float | None, asked: Limits) -> None:
    """All the time of --settle, in looks that reach so far back."""
    found = decide(history, at(history, ago_s), asked)
    if found.rule == "down":
        begin_s = history[-1].at_s - asked.settle_s
        assert history[0].at_s <= begin_s
        since = [look for look in history if look.at_s >= begin_s]
        assert all(look.waits_s and not look.trouble for look in since if look.workers > found.wanted)


def rule_of(*history: Look, changed_s: float | None = None, asked: Limits = LIMITS) -> tuple[Rule, int]:
    found = decide(history, changed_s, asked)
    return found.rule, found.wanted


def look(waiting_s: float, workers: int = 2, busy: float = 0.5, at_s: float = 0.0, frame_s: float = 0.1) -> Look:
    return Look(at_s, workers, (waiting_s,) * workers, (busy,) * workers, frame_s)


@pytest.mark.parametrize(
    ("seen", "rule", "wanted"),
    [
        (look(0.3), "up", 3),
        (look(0.5), "up", 4),
        (look(50.0), "up", 4),
        (look(0.21), "steady", 2),
        (look(0.19), "steady", 2),
        (look(0.01, busy=0.97), "up", 3),
        (look(0.01, busy=0.7), "needed", 2),
        (look(0.01, workers=1), "min", 1),
        (look(9.0, workers=8), "max", 8),
        (look(9.0, workers=9), "bounds", 8),
        (look(0.0, workers=0), "bounds", 1),
        (Look(0.0, 2), "silent", 2),
        (replace(look(50.0), trouble="the store is away"), "blocked", 2),
    ],
)
def test_one_look_decides_so(seen: Look, rule: Rule, wanted: int) -> None:
    """Each rule by its plainest case; at once where more are needed."""
    assert rule_of(seen) == (rule, wanted)


def test_a_worker_that_hangs_alone_does_not_start_all_others() -> None:
    """One of four counts four targets, the mean is the target; where all hang, there are twice as many."""
    one = Look(0.0, 4, (900.0, 0.0, 0.0, 0.0), (1.0, 0.1, 0.1, 0.1), 0.1)
    found = decide([one], None, LIMITS)
    assert (found.rule, found.wanted) == ("steady", 4)
    assert "frames wait 0 ms, and 900 s at 1 of 4 workers" in found.why
    assert rule_of(replace(one, waits_s=(900.0,) * 4)) == ("up", 8)


def test_more_are_made_only_when_it_is_so_twice() -> None:
    """A few frames that come together are noticed; the next look decides."""
    calm, over = look(0.01), look(0.6, at_s=5.0)
    assert rule_of(calm, over) == ("noticed", 2)
    assert rule_of(calm, over, replace(over, at_s=10.0)) == ("up", 4)
    assert rule_of(calm, over, replace(calm, at_s=10.0)) == ("needed", 2)


def test_a_queue_that_is_being_emptied_needs_no_more() -> None:
    """Falling from 4 s to 2 s in 20 s it is below 200 ms in 18 s; with no rest at the workers that does not count."""
    falling = [look(4.0, at_s=100.0), look(2.0, at_s=120.0)]
    assert rule_of(*falling) == ("falling", 2)
    assert "below it in 18 s" in decide(falling, None, LIMITS).why
    assert rule_of(falling[0], look(3.9, at_s=120.0)) == ("up", 4)
    assert rule_of(falling[0], look(2.0, at_s=120.0, busy=1.0)) == ("up", 4)
    assert rule_of(*falling, changed_s=110.0) == ("cool-down", 2)
    assert rule_of(*falling, changed_s=110.0, asked=replace(LIMITS, cool_down_s=5.0)) == ("up", 4)


def test_fewer_after_a_while_and_half_at_most() -> None:
    """The largest number wanted within --settle holds, and workers that do not tell count as busy."""
    quiet = [look(0.0, workers=8, busy=0.05, at_s=10.0 * n) for n in range(19)]
    assert rule_of(*quiet) == ("down", 4)
    assert rule_of(*quiet[:-1]) == ("settling", 8)
    assert rule_of(*quiet, changed_s=150.0) == ("cool-down", 8)
    burst = [*quiet[:9], look(0.5, workers=8, at_s=90.0), *quiet[10:]]
    assert rule_of(*burst) == ("needed", 8)
    unheard = [replace(one, busy=one.busy[:2]) for one in quiet]
    assert rule_of(*unheard) == ("needed", 8)


def test_long_frames_need_more_rest() -> None:
    """Short ones leave workers busy for 70 %, those of 2 s that may wait 0.2 s for a sixth: then they wait so."""
    assert most_busy(0.01, 0.2) == 0.7
    assert most_busy(2.0, 0.2) == pytest.approx(1 / 6)
    share = most_busy(0.5, 0.2)
    assert 0.5 * share / (2 * (1 - share)) == pytest.approx(0.2)


def test_durations_are_shown_as_people_write_them() -> None:
    """With as many digits as matter."""
    assert [shown_s(one) for one in (0.0, 0.0354, 0.9996, 1.44, 9.96, 95.2)] == [
        "0 ms", "35 ms", "1.0 s", "1.4 s", "10 s", "95 s",
    ]  # fmt: skip


def step(low: float, high: float, begin_s: float, end_s: float):
    """Return a load that is high for a while."""
    return lambda at_s: high if begin_s <= at_s < end_s else low


@pytest.mark.parametrize("seed", [None, 1, 2, 3])
@pytest.mark.parametrize(("frame_s", "rate_per_s"), [(0.1, 25.0), (0.02, 150.0), (0.4, 4.0)])
def test_a_load_step_settles(seed: int | None, frame_s: float, rate_per_s: float) -> None:
    """Workers come until frames wait less than the target, stay while the load stays, and go when it goes."""
    plant = Plant(step(0.2 / frame_s, rate_per_s, 300.0, 1500.0), frame_s, LIMITS, seed=seed)
    plant.run(2700.0)
    assert plant.changes() == plant.changes(300.0), "steady before"
    up = [one for one in plant.changes() if one[0] < 1500.0 and one[2] > one[1]]
    assert up
    assert up[-1][0] < 700.0, "all are there soon"
    late = [one for at_s, one in plant.decisions if 900.0 < at_s < 1500.0]
    assert not [one for one in late if one.rule == "up"]
    assert rate_per_s * frame_s < late[-1].workers <= 8
    assert plant.decisions[-1][1].workers == 1
    assert plant.decisions[-1][1].rule == "min"
    assert len(plant.changes()) <= 9, plant.changes()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("share", [0.3, 0.6, 0.78])
def test_a_steady_load_makes_no_swings(seed: int, share: float) -> None:
    """At random, with three workers busy for that share: at most two changes, none back and forth."""
    plant = Plant(lambda _: 3 * share / 0.1, 0.1, LIMITS, seed=seed)
    plant.run(2400.0)
    late = plant.changes(900.0)
    assert len(late) <= 2, late
    assert not [1 for one, other in pairwise(late) if one[1] == other[2]]
