"""Simulated devices without a network: their schedule, their counts, their latencies."""

import math
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.load import STEP, Latencies, Schedule, Tally


@given(st.lists(st.floats(1e-5, 1000), min_size=1, max_size=300), st.sampled_from([1, 50, 95, 99, 100]))
def test_percentiles_are_within_a_step(values: list[float], percent: float) -> None:
    """As numpy's, by the nearest rank, but for the width of a step."""
    latencies = Latencies()
    for value in values:
        latencies.add(value)
    exact = float(np.percentile(values, percent, method="inverted_cdf"))
    assert exact / STEP <= latencies.percentile_s(percent) <= exact * STEP
    assert latencies.count == len(values)


def test_without_a_pace_all_is_due_at_once() -> None:
    """What holds it back is the room that answers make."""
    assert [Schedule(3).due_s(number) for number in (0, 5, 1000)] == [0.0, 0.0, 0.0]


def test_a_pace_has_room_for_a_second() -> None:
    """And for four frames of each device; without a pace the window is what was asked for."""
    assert [Schedule(*of).window(64) for of in ((3,), (3, 1.0), (50, 1.0), (16, 100.0))] == [64, 64, 200, 1600]


def test_durations_beyond_the_steps_count_as_the_last() -> None:
    """Nothing is left out, nothing fails."""
    latencies = Latencies()
    for value in (0.0, 1e9):
        latencies.add(value)
    assert latencies.count == 2
    assert latencies.percentile_s(100) > 9000
    assert math.isnan(Latencies().percentile_s(50))


@given(st.integers(1, 40), st.floats(0.1, 50))
def test_each_device_keeps_its_pace(devices: int, rate: float) -> None:
    """All take a picture in every period, and each takes the next exactly one period later."""
    schedule = Schedule(devices, rate)
    due = [schedule.due_s(number) for number in range(3 * devices)]
    assert due == sorted(due)
    assert [schedule.place(number) for number in range(devices)] == [(0, device) for device in range(devices)]
    assert all(schedule.number(*schedule.place(number)) == number for number in range(3 * devices))
    assert max(due[:devices]) <= 1 / rate
    for first, second in zip(due, due[devices:], strict=False):
        assert second - first == pytest.approx(1 / rate)


def test_every_frame_ends_in_one_count() -> None:
    """Answered, refused, held back, or still under way; an answer that comes twice counts once."""
    tally = Tally(window=3)
    sent = [tally.begin(number, float(number)) for number in range(4)]
    assert sent == [True, True, True, False]
    tally.end(0, 0.5)
    tally.end(0, 0.6)
    tally.end(1, 2.0, refused="unknown model")
    counts = tally.counts
    assert (counts.captured, counts.answered, counts.refused, counts.held_back) == (4, 1, 1, 1)
    assert (counts.unanswered, counts.answered_again, tally.reason) == (1, 1, "unknown model")
    assert tally.latencies.percentile_s(50) == pytest.approx(0.5, rel=0.02)
    assert not tally.wait_until_answered(0)
    tally.end(2, 3.0)
    assert tally.wait_until_answered(0)


def test_a_frame_without_answer_is_sent_again_after_each_time_out() -> None:
    """Its latency runs from the first time."""
    tally = Tally(window=2)
    tally.begin(7, 0.0)
    assert tally.overdue(9.9, 10) == []
    assert tally.overdue(10.0, 10) == [7]
    assert tally.overdue(15.0, 10) == []
    tally.end(7, 16.0)
    assert tally.counts.sent_again == 1
    assert tally.latencies.percentile_s(50) == pytest.approx(16.0, rel=0.02)


def test_an_answer_makes_room_for_who_waits() -> None:
    """As fast as answers come: the next frame may begin when one has ended."""
    tally = Tally(window=1)
    tally.begin(0, 0.0)
    assert not tally.has_room(0)
    found: list[bool] = []
    waiting = threading.Thread(target=lambda: found.append(tally.has_room(30.0)))
    waiting.start()
    tally.end(0, 1.0)
    waiting.join(30)
    assert found == [True]


def test_the_start_can_be_left_out_of_the_latencies() -> None:
    """Frames of the start are counted, not timed."""
    tally = Tally(window=2)
    tally.begin(0, 0.0)
    tally.end(0, 5.0)
    tally.begin_to_count()
    assert tally.latencies.count == 0
    assert tally.counts.answered == 1
