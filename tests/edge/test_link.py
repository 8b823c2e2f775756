"""The link as its own traffic shows it."""

from __future__ import annotations

import pytest

from edge.link import SMALL_BYTES, SMOOTHING, LinkEstimate

LARGE_BYTES = 100_000


def test_nothing_is_known_before_the_first_measurement() -> None:
    """Without traffic there is no guess."""
    assert LinkEstimate().link() is None


def test_small_messages_tell_the_round_trip_and_large_ones_the_bandwidth() -> None:
    """What a large message takes beyond the round trip is its transfer."""
    estimate = LinkEstimate()
    estimate.acknowledged(SMALL_BYTES, 0.05)
    link = estimate.link()
    assert link is not None
    assert (link.round_trip_ms, link.bandwidth_bits_per_s) == (50.0, None)
    estimate.acknowledged(LARGE_BYTES, 0.05 + 0.4)
    link = estimate.link()
    assert link is not None
    assert link.bandwidth_bits_per_s == pytest.approx(LARGE_BYTES * 8 / 0.4)


def test_the_first_message_tells_the_round_trip_whatever_its_size() -> None:
    """A device that sends only large frames has a round trip too; it is an upper bound."""
    estimate = LinkEstimate()
    estimate.acknowledged(LARGE_BYTES, 0.5)
    link = estimate.link()
    assert link is not None
    assert (link.round_trip_ms, link.bandwidth_bits_per_s) == (500.0, None)


def test_a_large_message_faster_than_the_round_trip_lowers_it() -> None:
    """No measurement gives a bandwidth without end or below nothing."""
    estimate = LinkEstimate()
    estimate.acknowledged(100, 1.0)
    for _ in range(100):
        estimate.acknowledged(LARGE_BYTES, 0.1)
    link = estimate.link()
    assert link is not None
    assert 100 <= link.round_trip_ms < 110
    assert link.bandwidth_bits_per_s is None or link.bandwidth_bits_per_s > 0


def test_measurements_are_smoothed() -> None:
    """One odd measurement moves the estimate by its weight."""
    estimate = LinkEstimate()
    estimate.acknowledged(100, 0.1)
    estimate.acknowledged(100, 1.1)
    link = estimate.link()
    assert link is not None
    assert link.round_trip_ms == pytest.approx(1e3 * (0.1 + SMOOTHING))
