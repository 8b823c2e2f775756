"""The inbox is bounded by itself, and batches keep their deadlines."""

from __future__ import annotations

import threading

import pytest

from cloud_worker.inbox import Batch, Delivery, Inbox, Receiver, grouped, next_batch
from headwater.metrics import Counters
from headwater.session import Received
from tests.cloud_worker.fleet import TOPICS, deliver, run_in_thread


class PaperInbox:
    """Gives what it was told to give, each time some nanoseconds later."""

    def __init__(self, *gives: tuple[int, int]) -> None:
        self.ns = 0
        self.asked: list[tuple[int, float]] = []
        self._gives = list(gives)

    def now_ns(self) -> int:
        return self.ns

    def take(self, max_size: int, wait_s: float) -> list[Delivery]:
        self.asked.append((max_size, wait_s))
        after_ns, count = self._gives.pop(0) if self._gives else (round(wait_s * 1e9), 0)
        self.ns += after_ns
        return [deliver(b"x") for _ in range(min(count, max_size))]

    def batch(self, max_size: int, max_wait_s: float) -> list[Delivery]:
        return self.released(max_size, max_wait_s).deliveries

    def released(self, max_size: int, max_wait_s: float) -> Batch:
        return next_batch(self, max_size, max_wait_s, idle_s=1.0, now_ns=self.now_ns)


def test_a_batch_without_wait_takes_what_is_there() -> None:
    """With a wait of 0 the inbox is asked once."""
    inbox = PaperInbox((5, 3))
    assert len(inbox.batch(8, 0.0)) == 3
    assert inbox.asked == [(8, 1.0)]


def test_one_deadline_holds_for_the_rest_of_a_batch() -> None:
    """The time to wait shrinks with each message, counted from the first."""
    inbox = PaperInbox((1_000_000_000, 1), (30_000_000, 1), (50_000_000, 1))
    batch = inbox.batch(8, 0.1)
    assert len(batch) == 3
    assert inbox.asked == [(8, 1.0), (7, 0.1), (6, 0.07), (5, 0.02)]
    assert [delivery.taken_ns for delivery in batch] == [1_000_000_000, 1_030_000_000, 1_080_000_000]


def test_a_full_batch_does_not_wait() -> None:
    """Once there are enough messages the deadline is not waited for."""
    inbox = PaperInbox((0, 2), (0, 2))
    assert len(inbox.batch(4, 10.0)) == 4
    assert len(inbox.asked) == 2


def test_no_message_is_an_empty_batch() -> None:
    """An idle inbox gives [] after the idle time, so that a stop is seen."""
    inbox = PaperInbox()
    assert inbox.batch(8, 0.1) == []
    assert inbox.asked == [(8, 1.0)]


@pytest.mark.parametrize(
    ("gives", "max_wait_s", "release"),
    [
        ([], 0.1, "idle"),
        ([(0, 4)], 0.0, "full"),
        ([(0, 2), (0, 2)], 0.1, "full"),
        ([(0, 3)], 0.1, "waited"),
        ([(0, 3)], 0.0, "emptied"),
    ],
)
def test_a_batch_says_why_it_was_released(gives: list[tuple[int, int]], max_wait_s: float, release: str) -> None:
    """No message, as many as there may be, a wait that was over, or an inbox that was empty and no wait wanted."""
    assert PaperInbox(*gives).released(4, max_wait_s).release == release


def test_what_waits_is_known() -> None:
    """How many, how many bytes, and since when the oldest waits; of an empty inbox nothing waits."""
    inbox = Inbox(4, 100)
    assert inbox.waiting() == (0, 0, None)
    for received_ns, payload in ((7, b"abc"), (9, b"d")):
        delivery = deliver(payload)
        delivery.received_ns = received_ns
        inbox.put(delivery)
    assert inbox.waiting() == (2, 4, 7)
    inbox.take(1, 0)
    assert inbox.waiting() == (1, 1, 9)


def test_groups_keep_the_order_of_arrival() -> None:
    """Items of one key stand together, groups in the order of their first."""
    assert grouped(["b1", "a1", "b2", "c1", "a2"], lambda item: item[0]) == [["b1", "b2"], ["a1", "a2"], ["c1"]]


def test_the_inbox_is_bounded_in_messages_and_bytes() -> None:
    """What is over either bound is not taken in, and room comes back with each message taken out."""
    inbox = Inbox(max_messages=2, max_bytes=10)
    assert inbox.put(deliver(b"123456"))
    assert not inbox.put(deliver(b"12345"))
    assert inbox.put(deliver(b"1234"))
    assert not inbox.put(deliver(b""))
    assert not inbox.has_room
    assert [d.message.payload for d in inbox.take(1, 0)] == [b"123456"]
    assert inbox.put(deliver(b"123456"))
    assert len(inbox.take(8, 0)) == 2
    assert inbox.has_room
    assert inbox.take(8, 0.001) == []


def test_a_waiting_worker_wakes_with_the_first_message() -> None:
    """A message that comes in ends the wait at once."""
    inbox, taken = Inbox(8, 100), threading.Event()

    def wait() -> None:
        assert len(inbox.take(8, 30)) == 1
        taken.set()

    thread = run_in_thread(wait)
    inbox.put(deliver(b"x"))
    assert taken.wait(5)
    thread.join()


class PaperAck:
    """Keeps what was acknowledged."""

    def __init__(self) -> None:
        self.acked: list[Received] = []


def test_a_full_inbox_acknowledges_drops_and_counts() -> None:
    """The broker forgets what there is no room for, and the loss is said once for each outage."""
    ack, counters, frames = PaperAck(), Counters(), Inbox(2, 100)
    receiver = Receiver(frames, Inbox(1, 100), counters, lambda: 7, ack.acked.append)
    for payload in (b"1", b"2", b"3", b"4"):
        receiver.on_message(deliver(payload).message)
    assert [message.payload for message in ack.acked] == [b"3", b"4"]
    assert counters["inbox_full"] == 2
    assert [d.received_ns for d in frames.take(8, 0)] == [7, 7]


def test_the_outage_of_an_inbox_is_logged_once(caplog) -> None:
    """One line when it is full, one when there is room again."""
    frames = Inbox(2, 100)
    receiver = Receiver(frames, Inbox(1, 100), Counters(), lambda: 7, lambda _: None)
    with caplog.at_level("INFO"):
        for _ in range(2):
            for _ in range(5):
                receiver.on_message(deliver(b"x").message)
            frames.take(8, 0)
            receiver.on_message(deliver(b"x").message)
            frames.take(8, 0)
    said = [record.getMessage() for record in caplog.records]
    assert [line.split(",")[0].split(" messages")[0] for line in said] == ["inbox full", "inbox has room again"] * 2


def test_journeys_have_an_inbox_of_their_own() -> None:
    """Journeys never take the room of frames; what is too much of them is dropped and counted, not acknowledged."""
    ack, counters, frames, journeys = PaperAck(), Counters(), Inbox(2, 100), Inbox(1, 100)
    receiver = Receiver(frames, journeys, counters, lambda: 7, ack.acked.append)
    for _ in range(3):
        receiver.on_message(deliver(b"j", kind="journey").message)
    assert counters.snapshot() == {"journeys_dropped": 2}
    assert ack.acked == []
    assert frames.take(8, 0) == []
    assert journeys.take(8, 0)[0].message.topic == TOPICS.of_device("cam1", "journey")
