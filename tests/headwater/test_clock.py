"""The true offset of two clocks always lies within the stated uncertainty."""

from __future__ import annotations

import math
import time
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.clock import DRIFT_PPM, STAGES, ClockOffset, Offset, RoundTrip, StageClock, Stopwatch, one_way_ns

SECOND_NS = 1_000_000_000
offsets = st.integers(-(10**18), 10**18)
delays = st.integers(0, 10 * SECOND_NS)
waits = st.tuples(delays, delays, delays, delays)


def round_trip(start_ns: int, uplink_ns: int, held_ns: int, downlink_ns: int, offset_ns: int) -> RoundTrip:
    """Return the stamps of a journey under a worker's clock that is `offset_ns` ahead."""
    received_ns = start_ns + uplink_ns + offset_ns
    returned_ns = start_ns + uplink_ns + held_ns + downlink_ns
    return RoundTrip(start_ns, received_ns, received_ns + held_ns, returned_ns)


@given(offsets, st.lists(waits, min_size=1, max_size=20), st.integers(1, 8), delays)
def test_the_true_offset_lies_within_the_uncertainty(
    true_ns: int, journeys: list[tuple[int, int, int, int]], keep: int, later_ns: int
) -> None:
    """However asymmetric the ways and however old the trips, the truth is inside; no trip is taken for a step."""
    clock = ClockOffset(keep)
    now_ns = 0
    for pause_ns, uplink_ns, held_ns, downlink_ns in journeys:
        trip = round_trip(now_ns + pause_ns, uplink_ns, held_ns, downlink_ns, true_ns)
        clock.add(trip)
        now_ns = trip.returned_ns
        estimate = clock.estimate(now_ns + later_ns)
        assert estimate is not None
        assert abs(estimate.offset_ns - true_ns) <= estimate.uncertainty_ns
        assert estimate.uncertainty_ns <= (trip.travel_ns + 1) // 2 + math.ceil(
            (now_ns + later_ns - trip.sent_ns) * DRIFT_PPM / 1e6
        )


@given(
    offsets,
    st.fractions(-Fraction(50, 10**6), Fraction(50, 10**6), max_denominator=10**9),
    st.lists(waits, min_size=1, max_size=10),
    delays,
)
def test_drifting_clocks_stay_within_the_uncertainty(
    start_ns: int, drift: Fraction, journeys: list[tuple[int, int, int, int]], later_ns: int
) -> None:
    """A worker's clock that runs up to 50 ppm fast or slow is followed, to the rounding of its stamps."""

    def of_worker(ours_ns: int) -> int:
        return ours_ns + start_ns + math.floor(drift * ours_ns)

    clock, now_ns = ClockOffset(), 0
    for pause_ns, uplink_ns, held_ns, downlink_ns in journeys:
        sent_ns = now_ns + pause_ns
        now_ns = sent_ns + uplink_ns + held_ns + downlink_ns
        clock.add(RoundTrip(sent_ns, of_worker(sent_ns + uplink_ns), of_worker(now_ns - downlink_ns), now_ns))
        estimate = clock.estimate(now_ns + later_ns)
        if estimate is not None:
            truth_ns = of_worker(now_ns + later_ns) - now_ns - later_ns
            assert abs(estimate.offset_ns - truth_ns) <= estimate.uncertainty_ns + 2


def test_the_fastest_trip_is_the_surest() -> None:
    """A slow trip after a fast one changes nothing; the fast one's offset stays."""
    clock = ClockOffset()
    assert clock.estimate(0) is None
    clock.add(round_trip(0, 1_000_000, 0, 1_000_000, 5))
    clock.add(round_trip(SECOND_NS, 900_000_000, 0, 100_000_000, 5))
    estimate = clock.estimate(2 * SECOND_NS)
    assert estimate == Offset(5, 1_000_000 + 100_000)


def test_an_old_trip_loses_trust() -> None:
    """After 1000 s at 50 ppm a fast trip is worth 50 ms less, and a newer slower one takes over."""
    clock = ClockOffset()
    clock.add(round_trip(0, 1_000_000, 0, 1_000_000, 5))
    now_ns = 1000 * SECOND_NS
    assert clock.estimate(now_ns) == Offset(5, 51_000_000)
    clock.add(round_trip(now_ns - 40_000_000, 20_000_000, 0, 20_000_000, 7))
    assert clock.estimate(now_ns) == Offset(7, 20_002_000)


@pytest.mark.parametrize("step_ns", [-3600 * SECOND_NS, 3600 * SECOND_NS, 50_000_000])
def test_a_clock_that_was_set_is_noticed_at_once(step_ns: int) -> None:
    """After a step of the worker's clock the first trip counts and the earlier ones are forgotten."""
    clock = ClockOffset()
    for number in range(10):
        clock.add(round_trip(number * SECOND_NS, 1_000_000, 0, 1_000_000, 0))
    stepped = round_trip(20 * SECOND_NS, 10_000_000, 5, 10_000_000, step_ns)
    clock.add(stepped)
    assert clock.estimate(stepped.returned_ns) == Offset(step_ns, 10_000_000 + 1001)


def test_a_trip_of_negative_time_is_no_trip() -> None:
    """A worker that held a frame longer than the whole trip took has set its clock: nothing is known then."""
    clock = ClockOffset()
    impossible = RoundTrip(0, 0, 5 * SECOND_NS, SECOND_NS)
    clock.add(impossible)
    assert clock.estimate(SECOND_NS) is None
    clock.add(round_trip(0, 1_000_000, 0, 1_000_000, 0))
    clock.add(impossible)
    assert clock.estimate(SECOND_NS) is None


def test_only_the_last_trips_are_kept() -> None:
    """The oldest trip leaves when there is no room."""
    clock = ClockOffset(keep=2)
    clock.add(round_trip(0, 10, 0, 10, 0))
    for start_ns in (1000, 2000):
        clock.add(round_trip(start_ns, 100, 0, 100, 0))
    estimate = clock.estimate(2000)
    assert estimate is not None
    assert estimate.uncertainty_ns == 100


@given(*[st.integers(-(2**62), 2**62)] * 4, st.integers(-(2**62), 2**62))
def test_one_way_times_add_up_to_the_travel(a: int, b: int, c: int, d: int, offset_ns: int) -> None:
    """Whatever a worker writes into its stamps, uplink and downlink are not negative and sum to the travel time."""
    trip = RoundTrip(a, b, c, d)
    uplink_ns, downlink_ns = one_way_ns(trip, Offset(offset_ns, 0))
    assert uplink_ns >= 0
    assert downlink_ns >= 0
    assert uplink_ns + downlink_ns == max(0, trip.travel_ns)


@given(offsets, delays, delays, delays)
def test_one_way_times_are_right_under_the_true_offset(true_ns: int, uplink: int, held: int, downlink: int) -> None:
    """With the true offset the split of the travel time is exact."""
    assert one_way_ns(round_trip(7, uplink, held, downlink, true_ns), Offset(true_ns, 0)) == (uplink, downlink)


@given(st.lists(st.tuples(*[st.integers(-(2**62), 2**62)] * 4), max_size=5), st.integers(-(2**62), 2**62))
def test_any_stamps_are_survived(stamps: list[tuple[int, int, int, int]], now_ns: int) -> None:
    """The four numbers come from the network: none of them breaks the estimate."""
    clock = ClockOffset()
    for four in stamps:
        clock.add(RoundTrip(*four))
    estimate = clock.estimate(now_ns)
    assert estimate is None or estimate.uncertainty_ns >= 0


def test_the_stage_clock_ignores_steps_of_the_wall(monkeypatch: pytest.MonkeyPatch) -> None:
    """After its start only the monotonic clock moves it."""
    monkeypatch.setattr(time, "monotonic_ns", lambda: 1500)
    clock = StageClock(wall_ns=10**18, monotonic_ns=1000)
    monkeypatch.setattr(time, "time_ns", lambda: 5)
    assert clock.now_ns() == 10**18 + 500


def test_laps_add_up_to_the_time_that_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each lap ends a stage and begins the next; a stage that comes twice is summed."""
    now: Any = iter([0, 5, 7, 17])
    monkeypatch.setattr(time, "monotonic_ns", lambda: next(now))
    watch = Stopwatch({"capture": 1})
    for stage in (STAGES[1], STAGES[2], STAGES[1]):
        watch.lap(stage)
    assert watch.stages_ns == {"capture": 1, "crop": 15, "head": 2}


def test_stages_are_named_in_the_order_of_the_journey() -> None:
    """A frame walks through twelve stages, left to right."""
    assert " ".join(STAGES) == "capture crop head encode spool uplink inbox decode batch tail store downlink"


def test_a_worker_that_replied_before_it_received_took_no_time() -> None:
    """Stamps of 146 years' difference make no journey longer than what passed here: its readers would refuse it."""
    trip = RoundTrip(0, 2**62, -(2**62), 1000)
    assert trip.travel_ns == 1000
    assert sum(one_way_ns(trip, Offset(trip.offset_ns, 0))) == 1000
    assert RoundTrip(0, -(2**62), 2**62, 1000).travel_ns < 0
