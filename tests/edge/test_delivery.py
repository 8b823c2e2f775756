"""The order of sending, the window, the time-outs, and that no frame is ever in two states or in none."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge.delivery import AFTER_RECONNECT_S, Delivery
from edge.spool import Key
from tests.edge.samples import key

TIMEOUT_S, LONGEST_S = 10.0, 60.0


def steady() -> Delivery:
    """Return a delivery without jitter."""
    return Delivery(TIMEOUT_S, LONGEST_S, lambda: 0.0)


def sent(delivery: Delivery, number: int = 1, now_s: float = 0.0) -> list[Key]:
    """Send that many frames and return their keys."""
    found = [delivery.next(now_s, number) for _ in range(number)]
    return [one for one in found if one is not None]


def test_frames_leave_in_their_order_and_no_more_than_the_window() -> None:
    """The window bounds what is sent and not answered; an answer lets the next one go."""
    delivery = steady()
    delivery.add(map(key, range(5)))
    assert [delivery.next(0, 2) for _ in range(3)] == [key(0), key(1), None]
    assert delivery.drop(key(0))
    assert [delivery.next(0, 2) for _ in range(2)] == [key(2), None]
    assert (len(delivery), delivery.unconfirmed, delivery.waiting) == (4, 2, 2)


def test_a_time_out_runs_from_the_brokers_acknowledgement() -> None:
    """What still stands in the queue of a slow link is not sent again; what the broker has is, after the time-out."""
    delivery = steady()
    delivery.add([key(0)])
    sent(delivery)
    assert delivery.again(LONGEST_S - 0.1) == []
    delivery.acknowledged(key(0), 50)
    assert delivery.next_due_s() == 50 + TIMEOUT_S
    assert delivery.again(50 + TIMEOUT_S) == [key(0)]


def test_what_no_acknowledgement_ever_comes_for_is_sent_again_in_the_end() -> None:
    """The longest time-out holds for a frame that the broker never acknowledged."""
    delivery = steady()
    delivery.add([key(0)])
    sent(delivery)
    assert delivery.again(LONGEST_S) == [key(0)]


def test_a_second_acknowledgement_moves_nothing() -> None:
    """Only the first acknowledgement of a sending counts, and one of a frame that is gone does nothing."""
    delivery = steady()
    delivery.add([key(0)])
    sent(delivery)
    delivery.acknowledged(key(0), 1)
    delivery.acknowledged(key(0), 9)
    delivery.acknowledged(key(7), 9)
    assert delivery.next_due_s() == 1 + TIMEOUT_S


@pytest.mark.parametrize(("attempts", "patience_s"), [(1, 10), (2, 20), (3, 40), (4, 60), (5, 60), (3000, 60)])
def test_time_outs_double_up_to_the_longest(attempts: int, patience_s: float) -> None:
    """Each attempt waits twice as long as the one before; thousands of them later still no longer than the longest."""
    delivery = steady()
    delivery.add([key(0)])
    for _ in range(attempts - 1):
        sent(delivery)
        delivery.again(1e9)
    sent(delivery)
    delivery.acknowledged(key(0), 100)
    assert delivery.next_due_s() == 100 + patience_s


@pytest.mark.parametrize("jitter", [0.0, 0.5, 0.999])
def test_jitter_stretches_by_up_to_a_quarter(jitter: float) -> None:
    """A fleet does not resend in step, and nobody resends early."""
    delivery = Delivery(TIMEOUT_S, LONGEST_S, lambda: jitter)
    delivery.add([key(0)])
    sent(delivery)
    delivery.acknowledged(key(0), 0)
    assert delivery.next_due_s() == pytest.approx(TIMEOUT_S * (1 + jitter / 4))


def test_late_frames_go_to_the_front_in_their_order() -> None:
    """What is sent again goes before what was never sent, the oldest first."""
    delivery = steady()
    delivery.add(map(key, range(4)))
    for one in sent(delivery, 2):
        delivery.acknowledged(one, 0)
    assert delivery.again(TIMEOUT_S) == [key(0), key(1)]
    assert delivery.oldest_waiting() == key(0)
    assert sent(delivery, 2) == [key(0), key(1)]
    assert delivery.answered(key(0), TIMEOUT_S, 0.1)
    assert sent(delivery, 2) == [key(2)]


def test_an_answer_while_waiting_to_be_sent_again_counts() -> None:
    """A late result still ends its frame; a second one does not."""
    delivery = steady()
    delivery.add(map(key, range(2)))
    delivery.acknowledged(sent(delivery)[0], 0)
    delivery.again(TIMEOUT_S)
    assert delivery.drop(key(0))
    assert not delivery.drop(key(0))
    assert sent(delivery, 2) == [key(1)]


def test_what_is_put_off_goes_when_nothing_else_is_to_be_sent() -> None:
    """Also after its own time-out; it is counted among those that wait."""
    delivery = steady()
    delivery.add(map(key, range(3)))
    delivery.put_off(key(0))
    delivery.put_off(key(9))
    assert (delivery.waiting, delivery.front(), delivery.all_waiting()) == (3, key(1), [key(1), key(2), key(0)])
    assert sent(delivery, 3) == [key(1), key(2), key(0)]
    delivery.acknowledged(key(0), 0)
    delivery.add([key(3)])
    assert delivery.again(TIMEOUT_S) == [key(0)]
    assert (delivery.front(), delivery.oldest_waiting()) == (key(3), key(3))
    assert delivery.drop(key(0))
    assert delivery.keys() == [key(1), key(2), key(3)]


def test_after_a_reconnect_what_the_broker_had_is_soon_sent_again() -> None:
    """A broker that came back may have lost what it had; what it never had paho itself sends again."""
    delivery = steady()
    delivery.add(map(key, range(2)))
    sent(delivery, 2)
    delivery.acknowledged(key(0), 0)
    delivery.reconnected(1)
    assert delivery.again(1 + AFTER_RECONNECT_S) == [key(0)]


def test_a_reconnect_makes_no_time_out_longer() -> None:
    """A frame that is due before the moment of grace has passed stays due then."""
    delivery = steady()
    delivery.add([key(0)])
    delivery.acknowledged(sent(delivery)[0], 0)
    delivery.reconnected(TIMEOUT_S - 0.5)
    assert delivery.next_due_s() == TIMEOUT_S


def test_nothing_to_do_is_said_so() -> None:
    """An empty delivery has nothing to send, no time-out and no oldest frame."""
    delivery = steady()
    assert delivery.next(0, 10) is None
    assert delivery.next_due_s() is None
    assert delivery.oldest_waiting() is None
    assert delivery.again(1e9) == []


class Frames(RuleBasedStateMachine):
    """Any order of events leaves each frame waiting, or sent, or gone."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s, self.count = 0.0, 0
        self.delivery = Delivery(TIMEOUT_S, LONGEST_S, lambda: 0.3)
        self.waiting: list[Key] = []
        self.sent: list[Key] = []
        self.gone: list[Key] = []

    @rule(number=st.integers(1, 4))
    def captured(self, number: int) -> None:
        fresh = [key(self.count + n) for n in range(number)]
        self.count += number
        self.delivery.add(fresh)
        self.waiting += fresh

    @rule(window=st.integers(1, 4))
    def next_one(self, window: int) -> None:
        room = self.delivery.window(window)
        assert 1 <= room <= window
        expected = self.waiting[0] if self.waiting and len(self.sent) < room else None
        assert self.delivery.next(self.now_s, window) == expected
        if expected:
            self.sent.append(self.waiting.pop(0))

    @precondition(lambda self: self.count)
    @rule(data=st.data())
    def answered(self, data: st.DataObject) -> None:
        one = key(data.draw(st.integers(0, self.count - 1)))
        assert self.delivery.answered(one, self.now_s, 0.1) == (one not in self.gone)
        for state in (self.waiting, self.sent):
            if one in state:
                state.remove(one)
                self.gone.append(one)

    @precondition(lambda self: self.count)
    @rule(data=st.data())
    def acknowledged(self, data: st.DataObject) -> None:
        self.delivery.acknowledged(key(data.draw(st.integers(0, self.count - 1))), self.now_s)

    @rule(seconds=st.floats(0, 100))
    def time_passes(self, seconds: float) -> None:
        self.now_s += seconds
        late = self.delivery.again(self.now_s)
        assert late == [one for one in self.sent if one in late]
        self.sent = [one for one in self.sent if one not in late]
        self.waiting = late + self.waiting
        due_s = self.delivery.next_due_s()
        assert due_s is None or due_s > self.now_s

    @rule()
    def reconnected(self) -> None:
        self.delivery.reconnected(self.now_s)

    @invariant()
    def each_is_in_one_state(self) -> None:
        assert self.delivery.waiting == len(self.waiting)
        assert self.delivery.unconfirmed == len(self.sent)
        assert len(self.waiting) + len(self.sent) + len(self.gone) == self.count
        assert self.delivery.oldest_waiting() == (self.waiting[0] if self.waiting else None)


TestFrames = Frames.TestCase
