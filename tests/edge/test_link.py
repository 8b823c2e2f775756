"""The link as its own traffic shows it."""

from __future__ import annotations

import pytest

from edge.link import GATHERED_BYTES, SMALL_BYTES, LinkEstimate
from planning.live import SMOOTHING

LARGE_BYTES = 100_000


def test_nothing_is_known_before_the_first_measurement() -> None:
    """Without traffic there is no guess."""
    assert LinkEstimate().link() is None


def test_small_messages_tell_the_round_trip_and_large_ones_the_bandwidth() -> None:
    """What a large message takes beyond the round trip is its transfer."""
    estimate = LinkEstimate()
    estimate.acknowledged(SMALL_BYTES, 0.0, 0.05, alone=True)
    link = estimate.link()
    assert link is not None
    assert (link.round_trip_ms, link.bandwidth_bits_per_s) == (50.0, None)
    estimate.acknowledged(LARGE_BYTES, 0.0, 0.05 + 0.4, alone=True)
    link = estimate.link()
    assert link is not None
    assert link.bandwidth_bits_per_s == pytest.approx(LARGE_BYTES * 8 / 0.4)


def test_the_first_message_tells_the_round_trip_whatever_its_size() -> None:
    """A device that sends only large frames has a round trip too; it is an upper bound."""
    estimate = LinkEstimate()
    estimate.acknowledged(LARGE_BYTES, 0.0, 0.5, alone=True)
    link = estimate.link()
    assert link is not None
    assert (link.round_trip_ms, link.bandwidth_bits_per_s) == (500.0, None)


def test_a_large_message_faster_than_the_round_trip_lowers_it() -> None:
    """No measurement gives a bandwidth without end or below nothing."""
    estimate = LinkEstimate()
    estimate.acknowledged(100, 0.0, 1.0, alone=True)
    for number in range(100):
        estimate.acknowledged(LARGE_BYTES, number, number + 0.1, alone=True)
    link = estimate.link()
    assert link is not None
    assert 100 <= link.round_trip_ms < 110
    assert link.bandwidth_bits_per_s is None or link.bandwidth_bits_per_s > 0


def test_measurements_are_smoothed() -> None:
    """One odd measurement moves the estimate by its weight."""
    estimate = LinkEstimate()
    estimate.acknowledged(100, 0.0, 0.1, alone=True)
    estimate.acknowledged(100, 0.0, 1.1, alone=True)
    link = estimate.link()
    assert link is not None
    assert link.round_trip_ms == pytest.approx(1e3 * (0.1 + SMOOTHING))


def test_a_busy_link_shows_its_pace_between_acknowledgements() -> None:
    """Messages that queue wait longer and longer; the link takes 80 ms for each of 20 kB all the same: 2 Mbit/s."""
    estimate, took_s = LinkEstimate(), 20_000 * 8 / 2e6
    estimate.acknowledged(100, 0.0, 0.04, alone=True)
    for number in range(1, 30):
        estimate.acknowledged(20_000, 1 + 0.05 * number, 1.1 + took_s * number, alone=number == 1)
    link = estimate.link()
    assert link is not None
    assert link.bandwidth_bits_per_s == pytest.approx(2e6, rel=0.05)
    assert link.round_trip_ms == pytest.approx(40)


def test_short_messages_one_after_the_other_are_no_slow_link() -> None:
    """400 bytes every 20 ms on a round trip of 40 ms: two are on the way at any time, none waits for another."""
    estimate = LinkEstimate()
    estimate.acknowledged(400, 0.0, 0.04, alone=True)
    for number in range(1, 200):
        estimate.acknowledged(400, 0.02 * number, 0.02 * number + 0.041, alone=False)
    link = estimate.link()
    assert link is not None
    assert link.bandwidth_bits_per_s is None


def test_messages_that_follow_closely_tell_by_their_own_time() -> None:
    """20 kB every 50 ms at 8 Mbit/s and a round trip of 40 ms: 60 ms each, and none waits."""
    estimate = LinkEstimate()
    estimate.acknowledged(400, 0.0, 0.04, alone=True)
    for number in range(1, 20):
        estimate.acknowledged(20_000, 0.05 * number, 0.05 * number + 0.06, alone=False)
    link = estimate.link()
    assert link is not None
    assert link.bandwidth_bits_per_s == pytest.approx(8e6)


def test_an_outage_is_no_slow_link() -> None:
    """The time until the first acknowledgement after it is not counted, however much was gathered before."""
    estimate = LinkEstimate()
    estimate.acknowledged(400, 0.0, 0.01, alone=True)
    estimate.acknowledged(GATHERED_BYTES // 2, 1.0, 1.1, alone=False)
    estimate.interrupted()
    estimate.acknowledged(GATHERED_BYTES, 1.0, 100.0, alone=False)
    link = estimate.link()
    assert link is not None
    assert link.bandwidth_bits_per_s is None
