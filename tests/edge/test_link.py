"""The link as its own traffic shows it."""

from __future__ import annotations

import pytest

from edge.link import GATHERED_BYTES, SMALL_BYTES, LinkEstimate
from edge.wire import Wire
from planning.live import SMOOTHING

LARGE_BYTES = 100_000


def test_nothing_is_known_before_the_first_measurement() -> None:
    """Without traffic there is no guess."""
    assert LinkEstimate().link() is None


def test_small_messages_tell_the_round_trip_and_large_ones_the_bandwidth() -> None:
    """What a large message takes beyond the round trip is its transfer."""
    estimate = LinkEstimate()
    estimate.acknowledged(SMALL_BYTES, 0.0, 0.05, ahead_bytes=0)
    link = estimate.link()
    assert link is not None
    assert (link.round_trip_ms, link.bandwidth_bits_per_s) == (50.0, None)
    estimate.acknowledged(LARGE_BYTES, 0.0, 0.05 + 0.4, ahead_bytes=0)
    link = estimate.link()
    assert link is not None
    assert link.bandwidth_bits_per_s == pytest.approx(LARGE_BYTES * 8 / 0.4)


def test_the_first_message_tells_the_round_trip_whatever_its_size() -> None:
    """A device that sends only large frames has a round trip too; it is an upper bound."""
    estimate = LinkEstimate()
    estimate.acknowledged(LARGE_BYTES, 0.0, 0.5, ahead_bytes=0)
    link = estimate.link()
    assert link is not None
    assert (link.round_trip_ms, link.bandwidth_bits_per_s) == (500.0, None)


def test_a_large_message_faster_than_the_round_trip_lowers_it() -> None:
    """No measurement gives a bandwidth without end or below nothing."""
    estimate = LinkEstimate()
    estimate.acknowledged(100, 0.0, 1.0, ahead_bytes=0)
    for number in range(100):
        estimate.acknowledged(LARGE_BYTES, number, number + 0.1, ahead_bytes=0)
    link = estimate.link()
    assert link is not None
    assert 100 <= link.round_trip_ms < 110
    assert link.bandwidth_bits_per_s is None or link.bandwidth_bits_per_s > 0


def test_measurements_are_smoothed() -> None:
    """One odd measurement moves the estimate by its weight."""
    estimate = LinkEstimate()
    estimate.acknowledged(100, 0.0, 0.1, ahead_bytes=0)
    estimate.acknowledged(100, 0.0, 1.1, ahead_bytes=0)
    link = estimate.link()
    assert link is not None
    assert link.round_trip_ms == pytest.approx(1e3 * (0.1 + SMOOTHING))


def test_a_busy_link_shows_its_pace_between_acknowledgements() -> None:
    """Messages that queue wait longer and longer; the link takes 80 ms for each of 20 kB all the same: 2 Mbit/s."""
    estimate, took_s = LinkEstimate(), 20_000 * 8 / 2e6
    estimate.acknowledged(100, 0.0, 0.04, ahead_bytes=0)
    for number in range(1, 30):
        estimate.acknowledged(
            20_000, 1 + 0.05 * number, 1.1 + took_s * number, ahead_bytes=0 if number == 1 else 20_000
        )
    link = estimate.link()
    assert link is not None
    assert link.bandwidth_bits_per_s == pytest.approx(2e6, rel=0.05)
    assert link.round_trip_ms == pytest.approx(40)


def test_short_messages_one_after_the_other_are_no_slow_link() -> None:
    """400 bytes every 20 ms on a round trip of 40 ms: two are on the way at any time, none waits for another."""
    estimate = LinkEstimate()
    estimate.acknowledged(400, 0.0, 0.04, ahead_bytes=0)
    for number in range(1, 200):
        estimate.acknowledged(400, 0.02 * number, 0.02 * number + 0.041, ahead_bytes=800)
    link = estimate.link()
    assert link is not None
    assert link.bandwidth_bits_per_s is None


def test_messages_that_follow_closely_tell_by_their_own_time() -> None:
    """20 kB every 50 ms at 8 Mbit/s and a round trip of 40 ms: 60 ms each, and none waits."""
    estimate = LinkEstimate()
    estimate.acknowledged(400, 0.0, 0.04, ahead_bytes=0)
    for number in range(1, 20):
        estimate.acknowledged(20_000, 0.05 * number, 0.05 * number + 0.06, ahead_bytes=20_000)
    link = estimate.link()
    assert link is not None
    assert link.bandwidth_bits_per_s == pytest.approx(8e6)


def test_an_outage_is_no_slow_link() -> None:
    """The time until the first acknowledgement after it is not counted, however much was gathered before."""
    estimate = LinkEstimate()
    estimate.acknowledged(400, 0.0, 0.01, ahead_bytes=0)
    estimate.acknowledged(GATHERED_BYTES // 2, 1.0, 1.1, ahead_bytes=20_000)
    estimate.interrupted()
    estimate.acknowledged(GATHERED_BYTES, 1.0, 100.0, ahead_bytes=20_000)
    link = estimate.link()
    assert link is not None
    assert link.bandwidth_bits_per_s is None


@pytest.mark.parametrize("size_bytes", [500, 8_500])
def test_a_round_trip_that_grows_over_the_pictures_is_no_slow_link(size_bytes: int) -> None:
    """Ten frames a second, a status now and then, 50 Mbit/s, and 150 ms instead of 30: far, not slow; and near again.

    Long messages that are always on the way could as well be slow as far, up to twice the round trip.
    """
    wire, acknowledged = Wire(4_000_000, 0.0), list[tuple[float, int]]()
    for number in range(1800):
        now_s, round_trip_s = number / 10, 0.15 if 300 <= number < 1200 else 0.03
        for due_s, mid in sorted(one for one in acknowledged if one[0] <= now_s):
            wire.acknowledged(mid, due_s)
        acknowledged = [one for one in acknowledged if one[0] > now_s]
        for mid, size in ((2 * number, size_bytes), *(((2 * number + 1, 700),) if number % 50 == 0 else ())):
            wire.put(mid, None, size, now_s)
            acknowledged.append((now_s + round_trip_s + size * 8 / 50e6, mid))
        if number in (290, 1190, 1790):
            link = wire.link()
            assert link is not None
            if size_bytes < 1_000 or round_trip_s < 0.1:
                assert link.round_trip_ms == pytest.approx(round_trip_s * 1e3, rel=0.2)
                assert link.bandwidth_bits_per_s is None or link.bandwidth_bits_per_s > 3e6
            else:
                assert 75 < link.round_trip_ms < 150


def test_a_full_wire_is_a_busy_link() -> None:
    """Where each message is sent when one is acknowledged, both are as far apart; that more waits tells."""
    estimate, took_s = LinkEstimate(), 20_000 * 8 / 2e6
    estimate.acknowledged(100, 0.0, 0.04, ahead_bytes=0)
    for number in range(10, 40):
        at_s = number * took_s
        estimate.acknowledged(20_000, at_s - 8 * took_s, at_s, ahead_bytes=20_000, more_waits=True)
    link = estimate.link()
    assert link is not None
    assert link.bandwidth_bits_per_s == pytest.approx(2e6, rel=0.05)
