"""A result ends its frame once, and tells the times of its journey."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.confirmation import JOURNEYS_IN_A_MESSAGE, KNOWN_WORKERS, Confirmations
from edge.delivery import Delivery
from edge.ledger import Ledger
from edge.outbox import Outbox, SentFrame
from edge.spool import Spool
from headwater.clock import STAGES, Stage
from headwater.messages import Result, encode
from tests.edge.samples import DEVICE, EARLIER_BOOT, NOW_NS, frame, key, offered, result

MS = 1_000_000
BEFORE: dict[Stage, int] = {"capture": 3 * MS, "crop": 1 * MS, "head": 5 * MS, "encode": 2 * MS}
AT_WORKER: dict[Stage, int] = {"inbox": 1 * MS, "decode": 2 * MS, "batch": 0, "tail": 4 * MS, "store": 1 * MS}


class Desk:
    """Confirmations with all that belongs to them."""

    def __init__(self, path: Path) -> None:
        self.spool = Spool(path, 10**8, "process")
        self.ledger = Ledger(recovered=len(self.spool))
        self.outbox = Outbox(self.spool, Delivery(10, 60, lambda: 0), self.ledger)
        self.told: list[tuple[str, str, Result, int]] = []
        self.confirmations = Confirmations(DEVICE, self.outbox, self.ledger, lambda *said: self.told.append(said))

    def send(self, number: int = 1, *, finished: bool = False, spooled_ns: int = NOW_NS) -> None:
        """Capture and send frames."""
        frames = [frame(n, finished=finished) for n in range(number)]
        self.ledger.captured(number)
        self.outbox.commit(offered(*frames), 0.0)
        while (due := self.outbox.next_to_send(0, 10**6)) is not None:
            self.outbox.remember(due[0], SentFrame(spooled_ns, BEFORE, finished, "conv_a", "native"))

    def answer(self, payload: bytes, at_ns: int = NOW_NS) -> None:
        """Take one result."""
        self.confirmations.answered(payload, at_ns, 0.0)
        self.outbox.commit([], 0.0)

    @property
    def ended(self) -> tuple[int, int, dict[str, int]]:
        """Return (finished on the device, finished by workers, dropped)."""
        counts = self.ledger.counts()
        assert counts.in_flight == len(self.outbox)
        return counts.finished["device"], counts.finished["worker"], counts.dropped


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A desk without frames."""
    made = Desk(tmp_path / "cam1.sqlite")
    yield made
    made.spool.close()


def test_a_result_ends_its_frame_once(desk: Desk) -> None:
    """The first result finishes the frame and frees its disk; a second one changes nothing."""
    desk.send()
    desk.answer(result(0))
    desk.answer(result(0, worker="worker-2"))
    assert desk.ended == (0, 1, {})
    assert len(desk.spool) == 0
    assert desk.ledger.summary()["results_again"] == 1


def test_who_finished_is_told_by_the_frame(desk: Desk) -> None:
    """A frame that carried predictions was finished by the device, though a worker answered."""
    desk.send(finished=True)
    desk.answer(result(0))
    assert desk.ended == (1, 0, {})


@pytest.mark.parametrize("finished", [True, False])
def test_what_a_worker_took_is_told_of_what_it_finished(desk: Desk, finished: bool) -> None:
    """Of a frame that travelled unfinished: its split, its codec, and the worker's stages; once."""
    desk.send(finished=finished)
    for _ in range(2):
        desk.answer(result(0, stages_ns=AT_WORKER))
    told = [(split, codec, said.worker, said.stages_ns) for split, codec, said, _ in desk.told]
    assert told == ([] if finished else [("conv_a", "native", "worker-1", AT_WORKER)])


@pytest.mark.parametrize("finished", [True, False])
def test_a_refusal_of_what_travelled_unfinished_is_told(desk: Desk, finished: bool) -> None:
    """Whoever decides where to compute must know that workers do not take it."""
    desk.send(finished=finished)
    desk.answer(result(0, refused="unknown digest"))
    assert [said.refused for _, _, said, _ in desk.told] == ([] if finished else ["unknown digest"])


def test_a_refusal_is_a_counted_drop(desk: Desk) -> None:
    """A frame that a worker will never finish ends as refused, without a journey."""
    desk.send()
    desk.answer(result(0, refused="unknown digest"))
    desk.answer(result(0))
    assert desk.ended == (0, 0, {"refused": 1})
    assert desk.confirmations.journeys() is None
    assert len(desk.spool) == 0


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xc1",
        b"\x80",
        b"{}",
        bytes(2_000_000),
        result(0)[:-3],
        result(0, device="cam2"),
        result(5),
        result(0, boot=EARLIER_BOOT),
    ],
)
def test_what_is_no_result_of_ours_changes_nothing(desk: Desk, payload: bytes) -> None:
    """Garbage, a result cut short, another device's, another frame's and another run's are passed over."""
    desk.send()
    desk.answer(payload)
    assert desk.ended == (0, 0, {})
    assert key(0) in desk.spool


@pytest.mark.parametrize("finished", [True, False])
def test_a_result_for_an_earlier_run_ends_the_frame_it_left(tmp_path: Path, finished: bool) -> None:
    """A late answer to what an earlier run sent counts for the recovered frame, and tells no journey."""
    before = Spool(tmp_path / "cam1.sqlite", 10**6)
    left = frame(3, boot=EARLIER_BOOT, finished=finished)
    before.commit([(key(3, EARLIER_BOOT), encode(left))], [])
    before.close()
    desk = Desk(tmp_path / "cam1.sqlite")
    desk.answer(result(3, boot=EARLIER_BOOT))
    assert desk.ended == ((1, 0, {}) if finished else (0, 1, {}))
    assert desk.confirmations.journeys() is None
    desk.spool.close()


def test_stages_and_both_ways_add_up_to_the_total(desk: Desk) -> None:
    """With asymmetric ways and a worker's clock far ahead, all stages together are the time from capture to result."""
    ahead_ns, uplink_ns, downlink_ns, spool_ns = 3_600_000 * MS, 30 * MS, 4 * MS, 7 * MS
    at_worker_ns = sum(AT_WORKER.values())
    sent_ns = NOW_NS + spool_ns
    desk.send()
    desk.answer(
        result(
            0,
            sent_ns=sent_ns,
            received_ns=sent_ns + uplink_ns + ahead_ns,
            replied_ns=sent_ns + uplink_ns + at_worker_ns + ahead_ns,
            stages_ns=AT_WORKER,
        ),
        sent_ns + uplink_ns + at_worker_ns + downlink_ns,
    )
    told = desk.confirmations.journeys()
    assert told is not None
    (journey,) = told.entries
    total_ns = sum(BEFORE.values()) + spool_ns + uplink_ns + at_worker_ns + downlink_ns
    stages_ns = [BEFORE, AT_WORKER, {"spool": spool_ns, "way": journey.uplink_ns + journey.downlink_ns}]
    assert journey.total_ns == total_ns
    assert sum(sum(part.values()) for part in stages_ns) == total_ns
    # NTP cannot see the asymmetry, but it knows how wrong it may be: half of both ways.
    assert abs(journey.uplink_ns - uplink_ns) <= journey.uncertainty_ns
    assert journey.uncertainty_ns == pytest.approx((uplink_ns + downlink_ns) / 2, rel=0.01)
    assert desk.confirmations.journeys() is None
    summary = desk.ledger.summary()["stages_ms"]
    assert set(summary) == {*STAGES, "total"}
    assert summary["total"]["p50"] == total_ns / MS
    assert sum(summary[stage]["p50"] for stage in STAGES) == pytest.approx(total_ns / MS, abs=0.005)


def test_a_frame_sent_twice_counts_no_time_twice(desk: Desk) -> None:
    """Whichever sending was answered, its spool time ends at that sending, and the total is from capture to result."""
    sent_ns, at_ns = NOW_NS + 10_000 * MS, NOW_NS + 10_050 * MS
    desk.send()
    desk.answer(result(0, sent_ns=sent_ns, received_ns=sent_ns + 20 * MS, replied_ns=sent_ns + 30 * MS), at_ns)
    told = desk.confirmations.journeys()
    assert told is not None
    assert told.entries[0].total_ns == sum(BEFORE.values()) + 10_050 * MS


def test_clocks_that_contradict_themselves_do_no_harm(desk: Desk) -> None:
    """A worker that replied before it received, or long after we heard of it, still confirms its frames."""
    desk.send(3)
    desk.answer(result(0, received_ns=NOW_NS + 10**15, replied_ns=NOW_NS - 10**15), NOW_NS + MS)
    desk.answer(result(1, received_ns=NOW_NS - 2**60, replied_ns=NOW_NS + 2**60), NOW_NS + MS)
    desk.answer(result(2, sent_ns=NOW_NS + 10**12), NOW_NS)
    assert desk.ended == (0, 3, {})
    told = desk.confirmations.journeys()
    for journey in told.entries if told else []:
        assert min(journey.uplink_ns, journey.downlink_ns, journey.uncertainty_ns, journey.total_ns) >= 0


def test_journeys_and_workers_are_remembered_within_bounds(desk: Desk) -> None:
    """While nobody fetches journeys only so many are kept, and of so many workers at most a clock."""
    number = JOURNEYS_IN_A_MESSAGE + 50
    desk.send(number)
    for n in range(number):
        desk.answer(result(n, worker=f"worker-{n}"))
    told = desk.confirmations.journeys()
    assert told is not None
    assert len(told.entries) == JOURNEYS_IN_A_MESSAGE
    assert len(desk.confirmations._offsets) == KNOWN_WORKERS
    assert desk.ended == (0, number, {})


@pytest.mark.parametrize("sent_ns", [-(2**62), NOW_NS - 1, NOW_NS + 10 * MS, 2**62])
def test_stamps_that_this_device_never_gave_end_the_frame_and_tell_nothing(desk: Desk, sent_ns: int) -> None:
    """A result whose sending lies before the spool or in the future spoils neither clock nor journeys."""
    desk.send()
    desk.answer(result(0, sent_ns=sent_ns), NOW_NS + 5 * MS)
    assert desk.ended == (0, 1, {})
    assert desk.confirmations.journeys() is None
