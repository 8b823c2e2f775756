"""Frames whose time has passed are dropped, or answered by the device itself; what remains is bounded by a policy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from edge.freshness import AT_ONCE
from edge.keeping import LATE
from edge.outbox import UNSAVED_FRAMES
from edge.spool import Spool
from headwater.messages import Finished, Frame, Prediction, encode
from tests.edge.samples import BOOT, EARLIER_BOOT, Clock, frame, key, received, result
from tests.edge.test_sender import GO_ON, TIMEOUT_S, Bench, captured_now, expiry_s

EXPIRE_S = 30.0


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    """Make benches that are put away afterwards."""
    made: list[Bench] = []

    def one(**options: float | str | None) -> Bench:
        made.append(Bench(tmp_path / "cam1.sqlite", **{"expire_s": EXPIRE_S, **options}))  # type: ignore[arg-type]
        return made[-1]

    yield one
    for bench in made:
        bench.spool.close()


def answer_of(one: Frame) -> Frame:
    """Return what an exit said of a frame, as the device would send it."""
    said = Finished([Prediction("litter", "dirty", None, 0.6, [0.4, 0.6])], "exit1")
    return msgspec.structs.replace(one, body=said, codec=LATE)


def capture(bench: Bench, *sequences: int, answered: bool = True, size: int = 1000) -> None:
    """Capture frames that are not finished here; of each an exit has said something."""
    for number in sequences:
        one = msgspec.structs.replace(frame(number, size), sent_ns=bench.clock.now_ns(), stages_ns={})
        bench.ledger.captured()
        bench.captured += 1
        bench.sender.offer(one, wait=False, stop=GO_ON, answer=answer_of(one) if answered else None)
        bench.turn()


def test_a_late_frame_is_answered_from_its_exit_instead_of_dropped(make: Callable[..., Bench]) -> None:
    """It is sent as finished there, marked as late, worth delivering for ever, and counted where it was finished."""
    bench = make(late="answer")
    capture(bench, 0)
    bench.turn(EXPIRE_S + 1)
    assert (bench.dropped, bench.ledger.tally["late"]) == ({}, 1)
    bench.turn(3600.0)
    bench.connect()
    (sent,) = bench.link.frames()
    assert isinstance(sent.body, Finished)
    assert (sent.body.exit, sent.codec, sent.split, expiry_s(bench)) == ("exit1", LATE, "conv_a", None)
    payload = result(0, sent_ns=bench.clock.now_ns(), at_exit="exit1")
    bench.callbacks.on_message(received("result", payload))
    bench.turn()
    counts = bench.ledger.counts()
    assert (counts.finished, counts.exits, counts.in_flight) == ({"device": 1, "worker": 0}, {"exit1": 1}, 0)
    assert len(bench.spool) == 0


def test_a_late_answer_takes_its_own_bytes_of_the_spool(make: Callable[..., Bench]) -> None:
    """The activation goes from the disk, and a restart finds the answer, with the frame's age."""
    bench = make(late="answer")
    capture(bench, 0, size=50_000)
    bench.turn(EXPIRE_S + 1)
    bench.turn()
    assert bench.spool.keys() == [key(0)]
    assert 0 < bench.spool.size_bytes < 1000
    bench.spool.close()
    again = make(late="answer")
    again.clock.s = bench.clock.s + 60.0
    again.connect()
    (sent,) = again.link.frames()
    assert isinstance(sent.body, Finished)
    assert again.dropped == {}


def test_where_no_exit_was_computed_a_late_frame_is_dropped(make: Callable[..., Bench]) -> None:
    """There is nothing to answer it with."""
    bench = make(late="answer")
    capture(bench, 0, answered=False)
    bench.turn(EXPIRE_S + 1)
    assert bench.dropped == {"expired": 1}
    assert bench.ledger.tally["late"] == 0


def test_a_frame_that_the_device_has_finished_is_an_answer_already(make: Callable[..., Bench]) -> None:
    """With `answer` it is kept and sent whenever it can be; with `drop` it goes like any other."""
    for late, left in (("answer", [0]), ("drop", [])):
        bench = make(late=late)
        bench.capture(captured_now(bench, 0, finished=True))
        bench.turn(EXPIRE_S + 1)
        bench.turn()
        assert [one.sequence for one in bench.spool.keys()] == left  # noqa: SIM118
        bench.connect()
        assert bench.sent == left
        bench.answer(0)
        bench.spool.close()
        bench.spool.path.unlink(missing_ok=True)


def test_fresh_frames_go_before_late_answers(make: Callable[..., Bench]) -> None:
    """What can still be computed in time is not held up by what cannot; those behind answers expire all the same."""
    bench = make(late="answer")
    capture(bench, 0, 1)
    bench.turn(20.0)
    capture(bench, 2)
    bench.turn(11.0)
    capture(bench, 3)
    bench.turn(20.0)
    assert bench.ledger.tally["late"] == 3
    bench.connect()
    assert bench.sent == [3, 0, 1, 2]


def test_a_frame_on_its_way_is_answered_late_only_when_no_result_came_in_time(make: Callable[..., Bench]) -> None:
    """The sending in hand may still succeed; a worker that finishes it after all is who finished it."""
    bench = make(late="answer", expire_s=TIMEOUT_S / 2)
    bench.connect()
    capture(bench, 0)
    bench.acknowledge()
    first_ns = bench.clock.now_ns()
    bench.turn(TIMEOUT_S - 0.1)
    assert bench.ledger.tally["late"] == 0
    bench.turn(0.2)
    assert [type(one.body).__name__ for one in bench.link.frames()] == ["Activation", "Finished"]
    bench.callbacks.on_message(received("result", result(0, sent_ns=first_ns)))
    bench.turn()
    assert bench.ledger.counts().finished == {"device": 0, "worker": 1}
    bench.answer(0)
    assert bench.ledger.tally["results_again"] == 1


@pytest.mark.parametrize("step_s", [365 * 86_400.0, -365 * 86_400.0])
def test_a_clock_that_steps_by_a_year_makes_no_frame_late(make: Callable[..., Bench], step_s: float) -> None:
    """Between capture and sending, and between two runs: only time that has passed counts."""
    bench = make()
    bench.capture(frame(0))
    bench.clock.wall_s += step_s
    bench.turn(10.0)
    bench.spool.close()
    again = make()
    again.clock.s, again.clock.wall_s = bench.clock.s, bench.clock.wall_s
    again.turn()
    again.clock.wall_s -= step_s
    again.connect()
    assert (again.sent, again.dropped, expiry_s(again)) == ([0], {}, 20)
    again.turn(EXPIRE_S)
    assert again.dropped == {}  # on its way


def test_a_long_queue_of_late_frames_goes_over_several_turns(make: Callable[..., Bench]) -> None:
    """None of them is sent meanwhile."""
    bench = make(limit_bytes=10**7)
    for number in range(300):
        bench.capture(captured_now(bench, number))
    bench.turn(EXPIRE_S + 1)
    assert 0 < bench.dropped["expired"] < 300
    bench.connect()
    for _ in range(10):
        bench.turn()
    assert (bench.sent, bench.dropped) == ([], {"expired": 300})


def test_with_a_link_they_go_over_several_turns_too(make: Callable[..., Bench]) -> None:
    """One after the other without a pause, and a frame whose time has not passed is sent behind them."""
    bench = make(limit_bytes=10**7)
    for number in range(300):
        bench.capture(captured_now(bench, number))
    bench.clock.s += EXPIRE_S + 1
    bench.connect()
    assert bench.dropped["expired"] == 2 * AT_ONCE
    assert bench.sender._idle_s() == 0.0
    bench.capture(captured_now(bench, 300))
    assert (bench.sent, bench.dropped["expired"]) == ([], 4 * AT_ONCE)
    bench.turn()
    assert (bench.sent, bench.dropped) == ([300], {"expired": 300})
    assert bench.sender._idle_s() > 0.0


def test_frames_of_a_year_ago_are_delivered_where_nothing_expires(tmp_path: Path) -> None:
    """A restart with another boot id, and a clock a year on: they keep their names and their times."""
    clock = Clock()
    before = Spool(tmp_path / "cam1.sqlite", 10**7, "power", clock.machine("start-1"))
    left = [frame(n, boot=EARLIER_BOOT) for n in range(3)]
    before.commit([(key(one.id.sequence, EARLIER_BOOT), encode(one)) for one in left], [])
    before.close()
    bench = Bench(tmp_path / "cam1.sqlite")
    bench.clock.wall_s += 365 * 86_400.0
    bench.connect()
    bench.capture(frame(0))
    sent = [(one.id.boot, one.id.sequence, one.captured_ns) for one in bench.link.frames()]
    assert sent == [(EARLIER_BOOT, n, left[n].captured_ns) for n in range(3)] + [(BOOT, 0, frame(0).captured_ns)]
    bench.spool.close()


@pytest.mark.parametrize(
    ("full", "dropped", "left"),
    [
        ("oldest", {"overflow": 4}, [4, 5, 6, 7]),
        ("newest", {"overflow": 4}, [0, 1, 2, 3]),
        ("thin", {"thinned": 4}, [0, 2, 4, 6]),
    ],
)
def test_what_goes_when_the_spool_is_full_is_a_policy(
    make: Callable[..., Bench], full: str, dropped: dict[str, int], left: list[int]
) -> None:
    """Each frame that goes is counted under its reason; what is left is sent in order."""
    size = len(encode(frame(0, 1000)))
    bench = make(full=full, limit_bytes=4 * size + 10, expire_s=None)
    bench.capture(*(frame(n, 1000) for n in range(8)))
    assert (bench.dropped, [one.sequence for one in bench.spool.keys()]) == (dropped, left)  # noqa: SIM118
    bench.connect()
    assert bench.sent == left


def test_after_the_outage_a_thinned_stream_is_whole_again(make: Callable[..., Bench]) -> None:
    """Once everything was sent no frame is left out any more."""
    size = len(encode(frame(0, 1000)))
    bench = make(full="thin", limit_bytes=4 * size + 10, expire_s=None)
    bench.capture(*(frame(n, 1000) for n in range(8)))
    bench.connect()
    for number in (0, 2, 4, 6):
        bench.answer(number)
    bench.capture(*(frame(n, 1000) for n in (9, 10, 11)))
    assert bench.sent == [0, 2, 4, 6, 9, 10, 11]


def test_while_the_disk_takes_nothing_frames_go_from_memory(make: Callable[..., Bench]) -> None:
    """With a link none is lost; when the disk is back, what has no answer yet is written."""
    bench = make(expire_s=None)
    bench.connect()
    bench.spool._db.execute("PRAGMA query_only = 1")
    for number in range(100):
        bench.capture(frame(number))
        bench.acknowledge()
        if number < 97:
            bench.answer(number)
    assert (bench.dropped, bench.ledger.counts().finished["worker"], len(bench.spool)) == ({}, 97, 0)
    bench.spool._db.execute("PRAGMA query_only = 0")
    bench.turn(1.1)
    assert bench.spool.keys() == [key(97), key(98), key(99)]


@pytest.mark.parametrize("saved", [0, 1])
def test_a_disk_that_is_back_is_noticed_without_a_frame(make: Callable[..., Bench], saved: int) -> None:
    """All were answered from memory, and one on the disk perhaps; nothing comes, and the device is well again."""
    bench = make(expire_s=None)
    bench.connect()
    bench.capture(*(frame(n) for n in range(saved)))
    bench.spool._db.execute("PRAGMA query_only = 1")
    bench.capture(frame(5))
    for number in (*range(saved), 5):
        bench.answer(number)
    bench.turn(2.0)
    assert bench.outbox.is_failing
    assert bench.spool.failing_s() == 2.0
    bench.spool._db.execute("PRAGMA query_only = 0")
    for _ in range(saved + 1):
        bench.turn(1.1)
    assert (bench.outbox.is_failing, bench.spool.failing_s(), len(bench.spool)) == (False, None, 0)


def test_without_link_and_disk_the_last_frames_wait_in_memory(make: Callable[..., Bench]) -> None:
    """Within a bound, the oldest go; what never came to the disk is dropped at the end, for no start will find it."""
    bench = make(expire_s=None)
    bench.spool._db.execute("PRAGMA query_only = 1")
    bench.capture(*(frame(n) for n in range(UNSAVED_FRAMES + 10)))
    assert bench.dropped == {"disk": 10}
    assert bench.ledger.counts().in_flight == UNSAVED_FRAMES
    bench.sender.finish(0)
    bench.sender.run(bench.link)
    assert bench.dropped == {"disk": UNSAVED_FRAMES + 10}
    assert bench.ledger.counts().in_flight == 0


def test_what_is_in_memory_only_ends_with_the_process(make: Callable[..., Bench]) -> None:
    """With --durable off nothing is left in flight: it is dropped, and said so."""
    bench = make(expire_s=None, durable="off")
    bench.capture(*(frame(n) for n in range(5)))
    bench.sender.finish(0)
    bench.sender.run(bench.link)
    assert (bench.dropped, bench.ledger.counts().in_flight) == ({"stopped": 5}, 0)


def test_frames_of_one_turn_are_one_transaction(make: Callable[..., Bench]) -> None:
    """What the head handed over while the disk was busy shares the next fsync, with what was confirmed."""
    bench = make(expire_s=None, durable="power")
    bench.connect()
    bench.capture(frame(0))
    said: list[str] = []
    bench.spool._db.set_trace_callback(said.append)
    for number in range(1, 8):
        bench.ledger.captured()
        bench.captured += 1
        bench.sender.offer(frame(number), wait=False, stop=GO_ON)
    bench.callbacks.on_message(received("result", result(0)))
    bench.turn()
    assert [text for text in said if text in ("BEGIN", "COMMIT")] == ["BEGIN", "COMMIT"]
    assert sum(text.startswith("INSERT") for text in said) == 7
    assert sum(text.startswith("DELETE") for text in said) == 1
