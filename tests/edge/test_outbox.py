"""What finds no room or no disk is dropped and counted; everything else waits until it is confirmed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.delivery import Delivery
from edge.ledger import Ledger
from edge.outbox import FRESH_FRAMES, RETRY_S, UNSAVED_BYTES, UNSAVED_FRAMES, Offered, Outbox, SentFrame
from edge.spool import Spool
from headwater.messages import encode
from tests.edge.samples import EARLIER_BOOT, NOW_NS, Clock, frame, key, offered

SIZE = len(encode(frame(0, 1000)))


class Box:
    """An outbox with all that belongs to it, for three frames of 1000 bytes."""

    def __init__(self, path: Path, limit_bytes: int = 3 * SIZE + 10) -> None:
        self.clock = Clock()
        self.spool = Spool(path, limit_bytes, "process", self.clock.machine())
        self.ledger = Ledger(recovered=len(self.spool))
        self.delivery = Delivery(10, 60, lambda: 0)
        self.outbox = Outbox(self.spool, self.delivery, self.ledger)

    def capture(self, *sequences: int, size: int = 1000) -> None:
        """Count frames as captured and commit them."""
        self.ledger.captured(len(sequences))
        self.outbox.commit(offered(*(frame(n, size) for n in sequences)), self.clock.s)

    def send(self, window: int = 100) -> list[int]:
        """Send all that may be sent and return the frames' numbers."""
        out = []
        while (due := self.outbox.next_to_send(self.clock.s, window)) is not None:
            assert due[0] == key(due[1].id.sequence, due[1].id.boot)
            out.append(due[1].id.sequence)
        return out

    def confirm(self, sequence: int) -> bool:
        """Take a result for a frame and return whether it was still waited for."""
        waited_for = self.outbox.confirmed(key(sequence), self.clock.s)
        if waited_for:
            self.ledger.finished("worker")
        return waited_for

    @property
    def dropped(self) -> dict[str, int]:
        """Return what was dropped; the books balance whenever one looks."""
        counts = self.ledger.counts()
        assert counts.in_flight == len(self.outbox) == len(self.delivery)
        return counts.dropped


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    """An outbox with room for three frames."""
    made = Box(tmp_path / "cam1.sqlite")
    yield made
    made.spool.close()


def test_a_full_spool_drops_its_oldest_unsent_frames(box: Box) -> None:
    """New frames push out the oldest ones that were not sent, and each is counted."""
    box.capture(0, 1, 2)
    box.capture(3, 4)
    assert box.dropped == {"overflow": 2}
    assert box.spool.keys() == [key(2), key(3), key(4)]
    assert box.send() == [2, 3, 4]


def test_frames_of_one_commit_push_each_other_out(box: Box) -> None:
    """Five frames at once leave the bound's three, whichever."""
    box.capture(0, 1, 2, 3, 4)
    assert box.dropped == {"overflow": 2}
    assert len(box.spool) == 3


def test_what_is_sent_is_not_pushed_out(box: Box) -> None:
    """Frames whose result may come any moment stay; then the new frame itself is the one dropped."""
    box.capture(0, 1, 2)
    assert box.send() == [0, 1, 2]
    box.capture(3)
    assert box.dropped == {"overflow": 1}
    assert box.confirm(0)
    box.capture(4)
    assert box.dropped == {"overflow": 1}
    assert box.spool.keys() == [key(1), key(2), key(4)]


def test_room_comes_with_the_confirmation_in_the_same_transaction(box: Box) -> None:
    """A confirmed frame leaves the disk as the next one comes, so the bound is used to the full."""
    box.capture(0, 1, 2)
    box.send()
    assert box.confirm(1)
    assert key(1) in box.spool
    box.capture(3)
    assert box.spool.keys() == [key(0), key(2), key(3)]
    assert box.dropped == {}


def test_a_frame_over_the_whole_bound_is_dropped_alone(box: Box) -> None:
    """It does not empty the spool first."""
    box.capture(0, 1)
    box.capture(2, size=5000)
    assert box.dropped == {"too_large": 1}
    assert box.spool.keys() == [key(0), key(1)]


def test_a_frame_is_confirmed_once(box: Box) -> None:
    """The second result of a frame, or one of a frame nobody knows, is not waited for."""
    box.capture(0)
    box.send()
    assert box.confirm(0)
    assert not box.confirm(0)
    assert not box.confirm(9)
    box.outbox.commit([], box.clock.s)
    assert len(box.spool) == 0


def test_a_full_disk_is_counted_and_the_device_goes_on(box: Box, caplog: pytest.LogCaptureFixture) -> None:
    """The last new frames wait in memory, those before end as `disk`, with one error for all; space brings all back."""
    box.capture(0)
    pages = box.spool._db.execute("PRAGMA page_count").fetchone()[0]
    box.spool._db.execute(f"PRAGMA max_page_count = {pages}")
    box.spool.limit_bytes = 10**7
    with caplog.at_level(logging.ERROR):
        for number in range(1, UNSAVED_FRAMES + 4):
            box.capture(number, size=60_000)
    assert box.dropped == {"disk": 3}
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "spool failed" in caplog.text
    box.spool._db.execute("PRAGMA max_page_count = 100000")
    box.clock.s += RETRY_S
    box.capture(99, size=60_000)
    assert box.send() == [0, *range(4, UNSAVED_FRAMES + 4), 99]
    assert len(box.spool) == UNSAVED_FRAMES + 2
    assert box.dropped == {"disk": 3}


def test_a_confirmation_that_cannot_be_written_is_tried_again(box: Box) -> None:
    """A frame confirmed while the disk refuses leaves the spool as soon as it can, and is counted once."""
    box.capture(0, 1)
    box.send()
    box.spool._db.execute("PRAGMA query_only = 1")
    assert box.confirm(0)
    box.outbox.commit([], box.clock.s)
    assert key(0) in box.spool
    box.spool._db.execute("PRAGMA query_only = 0")
    box.clock.s += RETRY_S
    box.outbox.commit([], box.clock.s)
    assert box.spool.keys() == [key(1)]
    assert box.dropped == {}


def test_frames_that_were_not_kept_in_memory_come_from_the_disk(tmp_path: Path) -> None:
    """A long queue does not live in memory, and what is read back is what went in."""
    box = Box(tmp_path / "cam1.sqlite", 10**6)
    numbers = list(range(FRESH_FRAMES + 5))
    box.capture(*numbers)
    assert len(box.outbox._fresh) == FRESH_FRAMES
    sent = [box.outbox.next_to_send(0, 100) for _ in numbers]
    assert [encode(due[1]) for due in sent if due] == [encode(frame(n, 1000)) for n in numbers]
    assert not box.outbox._fresh
    box.spool.close()


def test_nothing_is_remembered_of_frames_that_are_gone(box: Box) -> None:
    """Memory of a frame goes with it, whether it was confirmed, overflowed after a time-out, or given up."""
    for number in range(0, 30, 3):
        box.capture(number, number + 1, number + 2)
        for sequence in box.send():
            box.outbox.remember(key(sequence), SentFrame(NOW_NS, {}, False, "image", "png"))
        box.delivery.again(1e9)
        box.confirm(number + 1)
    left = box.spool.keys()
    for one in left:
        box.outbox.drop(one, "expired")
    box.outbox.commit([], box.clock.s)
    assert not box.outbox._remembered
    assert not box.outbox._fresh
    assert (len(box.spool), len(box.outbox)) == (0, 0)


def test_a_frame_is_sent_for_the_first_time_once(box: Box) -> None:
    """Bytes per frame count the first sending of a run, not those after it."""
    box.capture(0)
    seen = SentFrame(NOW_NS, {}, True, "device", "none")
    assert box.outbox.remember(key(0), seen)
    assert not box.outbox.remember(key(0), seen)
    assert box.outbox.remembered(key(0)) == seen
    assert box.outbox.remembered(key(1)) is None


def test_frames_of_an_earlier_run_come_first_with_their_own_names(tmp_path: Path) -> None:
    """What an earlier run left is delivered as it was captured, before anything new."""
    before = Spool(tmp_path / "cam1.sqlite", 10**6)
    before.commit([(key(7, EARLIER_BOOT), encode(frame(7, boot=EARLIER_BOOT)))], [])
    before.close()
    box = Box(tmp_path / "cam1.sqlite", 10**6)
    box.capture(0)
    assert box.ledger.counts().recovered == 1
    due = box.outbox.next_to_send(0, 10)
    assert due is not None
    assert encode(due[1]) == encode(frame(7, boot=EARLIER_BOOT))
    assert box.send() == [0]
    assert box.dropped == {}
    box.spool.close()


def test_a_spooled_frame_that_cannot_be_read_is_dropped(tmp_path: Path) -> None:
    """Bytes that are no frame of ours end as `disk`, and the next frame is sent."""
    before = Spool(tmp_path / "cam1.sqlite", 10**6)
    before.commit([(key(0, EARLIER_BOOT), b"\xc1 nonsense")], [])
    before.close()
    box = Box(tmp_path / "cam1.sqlite", 10**6)
    box.capture(1)
    assert box.send() == [1]
    assert box.dropped == {"disk": 1}
    box.outbox.commit([], box.clock.s)
    assert box.spool.keys() == [key(1)]
    box.spool.close()


def test_what_a_damaged_spool_lost_is_dropped_unless_it_is_at_hand(tmp_path: Path) -> None:
    """A frame on its way may still be answered, and one in memory be sent; only the others are gone."""
    box = Box(tmp_path / "cam1.sqlite", 10**6)
    box.capture(*range(FRESH_FRAMES + 3))
    assert box.send(window=2) == [0, 1]
    lost = box.spool.keys()
    box.spool.commit([], lost)
    box.spool._lost = lost
    box.outbox.commit([], box.clock.s)
    assert box.dropped == {"disk": 3}
    assert box.confirm(0)
    assert box.send(window=100) == list(range(2, FRESH_FRAMES))
    box.clock.s += 1
    box.outbox.end(box.clock.s)
    assert box.dropped == {"disk": 3 + FRESH_FRAMES - 1}  # what was in memory only, at the end
    box.spool.close()


def answered(box: Box) -> None:
    """Let a frame on the disk be answered in its place, and the disk take nothing from now on."""
    one = Offered(frame(0), encode(frame(0)), encode(frame(0, finished=True)), 0.0)
    box.ledger.captured()
    box.spool.limit_bytes = 10**7
    box.outbox.commit([one], box.clock.s)
    box.spool._db.execute("PRAGMA query_only = 1")
    assert box.outbox.answer_in_place(key(0), box.clock.s) is not None


def test_an_answer_that_cannot_be_written_costs_no_frame_at_the_end(box: Box) -> None:
    """What it was to replace is still on the disk, where the next start finds it: it is in flight."""
    answered(box)
    box.outbox.end(box.clock.s)
    assert (box.dropped, box.ledger.counts().in_flight) == ({}, 1)
    assert box.spool.read(key(0)) == encode(frame(0))


def test_answers_give_way_to_frames_where_memory_is_full(box: Box) -> None:
    """They can be had again from the disk."""
    answered(box)
    box.capture(*range(1, UNSAVED_FRAMES + 1), size=100)
    assert box.dropped == {}
    assert box.outbox.answer_in_place(key(0), box.clock.s) is not None
    box.spool._db.execute("PRAGMA query_only = 0")
    box.clock.s += RETRY_S
    box.outbox.commit([], box.clock.s)
    assert box.spool.read(key(0)) == encode(frame(0, finished=True))
    assert len(box.spool) == UNSAVED_FRAMES + 1


def test_a_file_s_frames_wait_while_the_disk_takes_nothing(box: Box) -> None:
    """Before memory is full of them; a disk that works again takes all."""
    box.spool._db.execute("PRAGMA query_only = 1")
    box.spool.limit_bytes = 10**7
    assert not box.outbox.is_stuck
    box.capture(*range(UNSAVED_FRAMES // 2))
    assert (box.outbox.is_failing, box.outbox.is_stuck) == (True, True)
    box.spool._db.execute("PRAGMA query_only = 0")
    box.clock.s += RETRY_S
    box.outbox.commit([], box.clock.s)
    assert (box.outbox.is_failing, box.outbox.is_stuck, len(box.spool)) == (False, False, UNSAVED_FRAMES // 2)


def test_a_file_s_large_frames_wait_sooner(box: Box) -> None:
    """Memory is bounded in bytes, too."""
    box.spool._db.execute("PRAGMA query_only = 1")
    box.spool.limit_bytes = 10**8
    box.capture(0, size=UNSAVED_BYTES // 4)
    assert (box.outbox.is_failing, box.outbox.is_stuck) == (True, False)
    box.capture(1, size=UNSAVED_BYTES // 4)
    assert (box.outbox.is_failing, box.outbox.is_stuck) == (True, True)


def test_one_frame_over_the_bound_of_memory_is_held(box: Box) -> None:
    """A disk that takes nothing for a moment loses it only to the next one."""
    box.spool._db.execute("PRAGMA query_only = 1")
    box.spool.limit_bytes = 10**8
    box.capture(0, size=UNSAVED_BYTES + 1)
    assert (box.dropped, box.outbox.is_stuck) == ({}, True)
    box.capture(1)
    assert (box.dropped, box.send()) == ({"disk": 1}, [1])
