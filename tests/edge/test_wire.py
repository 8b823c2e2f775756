"""Since when a link, or those behind it, have said nothing that they should have said."""

from __future__ import annotations

import pytest

from edge.wire import Wire


def listened(wire: Wire, now_s: float, *, connected: bool = True, unanswered: int = 0) -> float | None:
    """Return since when nothing comes back."""
    wire.listen(connected=connected, unanswered=unanswered, message_bytes=1_000, now_s=now_s)
    return wire.seen().silent_s


def test_a_device_that_was_never_connected_is_without_a_link_since_its_start() -> None:
    """The link counts as lost from the first moment until there is a connection."""
    wire = Wire(4_000_000, 5.0)
    assert listened(wire, 8.0, connected=False) == 5.0
    assert listened(wire, 9.0) is None
    assert listened(wire, 12.0, connected=False) == 12.0


def test_an_idle_link_is_no_silent_one() -> None:
    """Nothing was sent, nothing is missed."""
    assert listened(Wire(4_000_000, 0.0), 1000.0) is None


def test_a_message_without_an_acknowledgement_counts_from_the_last_one() -> None:
    """A slow link that goes on acknowledging is not silent, however long its queue."""
    wire = Wire(4_000_000, 0.0)
    for mid in range(3):
        wire.put(mid, None, 20_000, 10.0)
    assert listened(wire, 11.0) == 10.0
    wire.acknowledged(0, 14.0)
    assert listened(wire, 15.0) == 14.0
    wire.reconnected(20.0)
    assert listened(wire, 21.0) == 20.0
    for mid in (1, 2):
        wire.acknowledged(mid, 22.0)
    assert listened(wire, 30.0) is None


def test_frames_that_no_worker_answers_are_silence_too() -> None:
    """The broker takes everything, and nothing comes back: counted from when the first was sent, or the last answer."""
    wire = Wire(4_000_000, 0.0)
    assert listened(wire, 10.0, unanswered=1) == 10.0
    assert listened(wire, 13.0, unanswered=7) == 10.0
    wire.answered()
    assert listened(wire, 14.0, unanswered=6) == 14.0
    assert listened(wire, 15.0, unanswered=0) is None


@pytest.mark.parametrize(("most", "allowed"), [(4_000_000, 1_000), (500, 500)])
def test_the_longest_message_is_what_broker_and_workers_both_take(most: int, allowed: int) -> None:
    """The smaller of the two."""
    wire = Wire(most, 0.0)
    listened(wire, 1.0)
    assert wire.seen().message_bytes == allowed
