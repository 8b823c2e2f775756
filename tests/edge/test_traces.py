"""What a device tells of a sampled frame: one trace, whose stages add up, however the frame ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.delivery import Delivery
from edge.device import Device
from edge.ledger import Counts, Ledger
from edge.location import open_location
from edge.outbox import FRESH_FRAMES, UNSAVED_FRAMES, Outbox
from edge.plan import Plan
from edge.sender import Sender
from edge.spool import Spool
from edge.traces import Ids, Traces, Tracing
from headwater.messages import Frame, FrameId
from headwater.trace_context import TraceContext, read_traceparent
from headwater.traces import Span
from models.bundle import Bundle
from models.engine import Engine
from tests.edge.samples import (
    BOOT,
    DEVICE,
    EARLIER_BOOT,
    NOW_NS,
    TOPICS,
    Clock,
    FakeLink,
    FakeReporter,
    bundle_folder,
    exit_bundle,
    frame,
    key,
    received,
    result,
)
from tests.edge.test_device import LIMITS, NOWHERE, Pictures
from tests.headwater.test_properties import read
from tests.servers import eventually

MS = 1_000_000
FRAME_IDS = st.builds(
    FrameId, st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,8}", fullmatch=True), st.just(BOOT), st.integers(0, 2**40 - 1)
)


class Told:
    """A collector of paper."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    def __call__(self, spans: Sequence[Span]) -> None:
        self.spans += spans

    def one(self, name: str) -> Span:
        """Return the only span of that name."""
        (found,) = [span for span in self.spans if span.name == name]
        return found

    def below(self, name: str) -> list[Span]:
        """Return the children of the only span of that name, by their beginning."""
        found = [span for span in self.spans if span.parent_id == self.one(name).span_id]
        return sorted(found, key=lambda span: (span.start_ns, span.end_ns))


class Bench:
    """A sender that tells of its frames, with a link and a clock of paper."""

    def __init__(self, path: Path, share: float = 1.0, limit_bytes: int = 10**7, expire_s: float | None = None) -> None:
        self.told, self.clock, self.link = Told(), Clock(), FakeLink(is_connected=True)
        self.spool = Spool(path, limit_bytes, "process", self.clock.machine())
        self.ledger = Ledger(recovered=len(self.spool))
        traces = Traces("demo", DEVICE, self.clock.now_ns, Tracing(self.told, share))
        delivery = Delivery(10.0, 120.0, lambda: 0.0)
        self.outbox = Outbox(self.spool, delivery, self.ledger, traces)
        self.sender = Sender(
            DEVICE, TOPICS, self.outbox, self.ledger, self.clock, FakeReporter(),  # type: ignore[arg-type]
            window=8, expire_s=expire_s, max_frame_bytes=10**9, now_s=self.clock,
        )  # fmt: skip

    def capture(self, *frames: Frame) -> None:
        for one in frames:
            self.ledger.captured()
            self.sender.offer(one, wait=False, stop=threading.Event())
            self.turn()

    def turn(self, after_s: float = 0.0) -> None:
        self.clock.s += after_s
        self.sender.turn(self.link)

    def acknowledge(self) -> None:
        """Let the broker have everything."""
        for mid in self.link.mids:
            self.sender.callbacks().on_published(mid)
        self.turn()

    def answer(self, payload: bytes) -> None:
        self.sender.callbacks().on_message(received("result", payload))
        self.turn()

    def traceparents(self) -> list[TraceContext | None]:
        """Return what travelled with the frames, as a worker reads it."""
        found = []
        for (topic, _, _, _), properties in zip(self.link.published, self.link.properties, strict=True):
            if topic == "frame":
                assert properties is not None
                users = dict(read(properties.pack()).get("UserProperty", []))  # type: ignore[call-overload]
                found.append(read_traceparent(users.get("traceparent")))
        return found


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def one(**options: float) -> Bench:
        made.append(Bench(tmp_path / "cam1.sqlite", **options))  # type: ignore[arg-type]
        return made[-1]

    yield one
    for bench in made:
        bench.spool.close()


def assert_whole(told: Told) -> None:
    """One trace, every parent in it, and every child within its parent's time."""
    by_id = {span.span_id: span for span in told.spans}
    assert len(by_id) == len(told.spans)
    assert len({span.trace_id for span in told.spans}) == 1
    for span in told.spans:
        assert span.start_ns <= span.end_ns
        if span.parent_id is not None:
            parent = by_id[span.parent_id]
            assert parent.start_ns <= span.start_ns
            assert span.end_ns <= parent.end_ns
    assert [span.name for span in told.spans if span.parent_id is None] == ["frame"]


def test_a_finished_frame_is_one_trace_whose_stages_add_up(make: Callable[..., Bench]) -> None:
    """Capture to result, in order, without a gap; the way there and back lies within the sending."""
    bench, ahead_ns = make(), 3_600_000 * MS
    bench.link.is_connected = False
    bench.capture(frame(0))
    bench.link.is_connected = True
    bench.turn(after_s=0.007)
    bench.clock.s += 0.020
    sent_ns = NOW_NS + 7 * MS
    received_ns, replied_ns = sent_ns + 4 * MS + ahead_ns, sent_ns + 14 * MS + ahead_ns
    bench.answer(result(0, sent_ns=sent_ns, received_ns=received_ns, replied_ns=replied_ns, stages_ns={"tail": 9 * MS}))
    assert_whole(bench.told)
    whole, parts = bench.told.one("frame"), bench.told.below("frame")
    assert (whole.start_ns, whole.end_ns) == (NOW_NS - 5 * MS, NOW_NS + 27 * MS)
    assert [(span.name, span.end_ns - span.start_ns) for span in parts] == [
        ("capture", 3 * MS), ("head", 2 * MS), ("spool", 7 * MS), ("send", 20 * MS),
    ]  # fmt: skip
    assert all(one.end_ns == following.start_ns for one, following in pairwise(parts))
    uplink, downlink = bench.told.below("send")
    assert (uplink.name, uplink.start_ns, downlink.name, downlink.end_ns) == (
        "uplink", sent_ns, "downlink", NOW_NS + 27 * MS,
    )  # fmt: skip
    assert uplink.end_ns - uplink.start_ns + downlink.end_ns - downlink.start_ns == 10 * MS
    assert bench.told.one("send").kind == "producer"
    message = bench.link.payloads("frame")[0]
    assert whole.facts == {
        "headwater.frame.id": f"cam1-{BOOT}-0",
        "headwater.fleet": "demo",
        "headwater.device": "cam1",
        "headwater.bundle": "tiny",
        "headwater.digest": "ab" * 32,
        "headwater.split": "conv_a",
        "headwater.codec": "uint8",
        "headwater.bytes": len(message),
        "headwater.attempts": 1,
        "headwater.outcome": "finished",
        "headwater.worker": "worker-1",
        "headwater.clock.offset_ns": ahead_ns - MS,  # half of what the two ways differ by cannot be seen
        "headwater.clock.uncertainty_ns": pytest.approx(5 * MS, rel=0.01),
    }


def test_a_worker_is_told_where_its_spans_belong(make: Callable[..., Bench]) -> None:
    """The traceparent names the trace and the span of the sending, which is told once the result is there."""
    bench = make()
    bench.capture(frame(0))
    (context,) = bench.traceparents()
    bench.answer(result(0))
    sent = bench.told.one("send")
    assert context == TraceContext(sent.trace_id, sent.span_id, is_sampled=True)


def test_a_frame_that_is_not_sampled_says_so_and_is_not_told(make: Callable[..., Bench]) -> None:
    """Flag 00: whoever takes it does not decide anew."""
    bench = make(share=0.0)
    bench.capture(frame(0))
    bench.answer(result(0))
    bench.capture(frame(1))
    bench.answer(result(1, refused="unknown digest"))
    assert [context and context.is_sampled for context in bench.traceparents()] == [False, False]
    assert bench.told.spans == []


def test_without_a_collector_nothing_travels(tmp_path: Path) -> None:
    """Not a byte more than before."""
    bench = Bench(tmp_path / "cam1.sqlite")
    bench.outbox.traces = Traces.off()
    bench.capture(frame(0))
    assert bench.traceparents() == [None]
    bench.spool.close()


def test_a_frame_sent_again_stays_in_its_trace(make: Callable[..., Bench]) -> None:
    """The second sending has the same traceparent, is counted, and ends the time in the spool."""
    bench = make()
    bench.capture(frame(0))
    bench.acknowledge()
    bench.turn(after_s=13)
    first, second = bench.traceparents()
    assert first == second
    bench.clock.s += 0.020
    bench.answer(result(0, sent_ns=NOW_NS + 13_000 * MS))
    assert_whole(bench.told)
    assert bench.told.one("frame").facts["headwater.attempts"] == 2
    spool = bench.told.one("spool")
    assert spool.end_ns - spool.start_ns == 13_000 * MS


def test_a_frame_of_an_earlier_start_stays_in_its_trace(tmp_path: Path) -> None:
    """Its ids follow from its own id, whoever sends it."""
    first = Bench(tmp_path / "cam1.sqlite")
    first.capture(frame(0, boot=EARLIER_BOOT))
    first.spool.close()
    second = Bench(tmp_path / "cam1.sqlite")
    second.turn(after_s=60)
    assert second.traceparents() == first.traceparents()
    second.answer(result(0, boot=EARLIER_BOOT, sent_ns=NOW_NS + 60_000 * MS))
    assert_whole(second.told)
    assert second.told.one("frame").trace_id == Ids.of("demo", FrameId(DEVICE, EARLIER_BOOT, 0)).trace
    second.spool.close()


def test_a_refused_frame_is_an_error(make: Callable[..., Bench]) -> None:
    """With the worker's reason."""
    bench = make()
    bench.capture(frame(0))
    bench.answer(result(0, refused="unknown digest"))
    assert_whole(bench.told)
    assert bench.told.one("frame").error == "unknown digest"
    assert bench.told.one("frame").facts["headwater.outcome"] == "refused"


def test_a_frame_that_expired_tells_of_its_wait(make: Callable[..., Bench]) -> None:
    """It was never sent, so there is no sending."""
    bench = make(expire_s=1.0)
    bench.link.is_connected = False
    bench.capture(frame(1))
    bench.turn(2.0)
    assert_whole(bench.told)
    whole = bench.told.one("frame")
    assert (whole.error, whole.facts["headwater.frame.id"]) == ("expired", f"cam1-{BOOT}-1")
    assert "send" not in {span.name for span in bench.told.spans}
    assert "headwater.bytes" not in whole.facts


@pytest.mark.parametrize("frames", [4, FRESH_FRAMES + 4])
def test_a_frame_that_found_no_room_is_told_from_the_disk_too(make: Callable[..., Bench], frames: int) -> None:
    """The oldest go, whether they are still in memory or not; each is a trace with its reason."""
    size = 60_000
    bench = make(limit_bytes=frames * size)
    bench.link.is_connected = False
    bench.capture(*(frame(n, size) for n in range(frames)))
    dropped = bench.ledger.counts().dropped["overflow"]
    assert dropped >= 1
    found = [span for span in bench.told.spans if span.parent_id is None]
    assert [span.facts["headwater.frame.id"] for span in found] == [f"cam1-{BOOT}-{n}" for n in range(dropped)]
    assert {span.error for span in found} == {"overflow"}


def test_an_outbox_whose_disk_fails_tells_of_its_frames(make: Callable[..., Bench]) -> None:
    """What could not be written is told from memory."""
    bench = make()
    bench.link.is_connected = False
    bench.spool._db.execute("PRAGMA query_only = 1")
    bench.capture(*(frame(n) for n in range(UNSAVED_FRAMES + 1)))
    assert bench.told.one("frame").error == "disk"


def test_stamps_of_a_clock_that_was_ahead_make_no_span_end_before_it_began(tmp_path: Path) -> None:
    """An earlier start's clock was an hour ahead; the frame is dropped now."""
    bench = Bench(tmp_path / "cam1.sqlite")
    bench.clock.s -= 3600
    bench.link.is_connected = False
    bench.capture(frame(0))
    bench.outbox.drop(key(0), "overflow")
    assert_whole(bench.told)
    bench.spool.close()


def test_an_answer_whose_stamps_do_not_fit_is_told_without_ways(tmp_path: Path) -> None:
    """The clock was set back over a restart: the frame has ended all the same, and nothing is known of the clocks."""
    before = Bench(tmp_path / "cam1.sqlite")
    before.link.is_connected = False
    before.capture(frame(0))
    before.spool.close()
    bench = Bench(tmp_path / "cam1.sqlite")
    bench.clock.s -= 3600
    bench.turn()
    bench.answer(result(0, sent_ns=bench.clock.now_ns()))
    assert_whole(bench.told)
    whole = bench.told.one("frame")
    assert (whole.error, whole.facts["headwater.outcome"]) == (None, "finished")
    assert not any("clock" in name for name in whole.facts)
    assert bench.told.below("send") == []
    bench.spool.close()


def test_a_frame_that_the_disk_lost_is_looked_for_once(
    make: Callable[..., Bench], caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is known of it: nobody is told, and the log says once that it cannot be read."""
    bench = make()
    bench.link.is_connected = False
    bench.capture(frame(0))
    bench.outbox._fresh.clear()
    bench.spool._db.execute("UPDATE frames SET message = x'00'")
    bench.link.is_connected = True
    bench.turn()
    assert bench.ledger.counts().dropped == {"disk": 1}
    assert caplog.text.count("spooled frame unreadable") == 1
    assert bench.told.spans == []


def test_odd_stamps_of_a_worker_stay_within_the_sending(make: Callable[..., Bench]) -> None:
    """One that replied long before it received: every way is cut to the time that there was."""
    bench = make()
    bench.capture(frame(0))
    bench.clock.s += 0.020
    bench.answer(result(0, received_ns=2**60, replied_ns=-(2**60)))
    assert_whole(bench.told)


@given(FRAME_IDS, st.text(max_size=8))
def test_ids_are_well_formed_and_a_frame_s_own(frame_id: FrameId, fleet: str) -> None:
    """W3C's lengths; another fleet, another trace."""
    ids = Ids.of(fleet, frame_id)
    assert read_traceparent(str(TraceContext(ids.trace, ids.send, is_sampled=True)))
    assert read_traceparent(str(TraceContext(ids.trace, ids.frame, is_sampled=True)))
    assert len({ids.frame, ids.send}) == 2
    assert Ids.of(fleet, frame_id) == ids != Ids.of(f"{fleet}2", frame_id)


@given(FRAME_IDS, st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_has_all_that_a_smaller_one_has(frame_id: FrameId, one: float, other: float) -> None:
    """None at 0, all at 1."""
    ids = Ids.of("demo", frame_id)
    small, large = sorted((one, other))
    assert ids.is_sampled(small) <= ids.is_sampled(large)
    assert (ids.is_sampled(0), ids.is_sampled(1)) == (False, True)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_the_share_is_the_share(share: float) -> None:
    """Of 20,000 frames of one device, within five standard deviations."""
    number = 20_000
    found = sum(Ids.of("demo", FrameId(DEVICE, BOOT, n)).is_sampled(share) for n in range(number))
    assert abs(found - share * number) < 5 * (number * share * (1 - share)) ** 0.5


def run(folder: Path, bundle: Bundle, plan: Plan) -> tuple[Told, Counts]:
    """Return what a device that reaches no broker tells of some pictures, and its books."""
    told, spool, stop = Told(), Spool(folder / "cam1.sqlite", 10**7), threading.Event()
    engine = Engine(bundle.model_path, outputs=bundle.finals)
    one = Device(
        DEVICE, TOPICS, bundle, engine, plan, Pictures(20), open_location("1,2"), spool, LIMITS,
        tracing=Tracing(told, 1.0),
    )  # fmt: skip
    stopping = threading.Thread(
        target=lambda: (eventually(lambda: one.ledger.counts().captured == 20, 30), stop.set())
    )  # fmt: skip
    stopping.start()
    one.run(NOWHERE, stop, lambda: None)
    stopping.join()
    return told, one.ledger.counts()


def test_a_hopeless_frame_ends_with_its_head(tmp_path: Path) -> None:
    """No error: it was given up as it should be; the exit is named."""
    told, counts = run(tmp_path, exit_bundle(tmp_path / "early", 0.0, drop=0.0), Plan("device", "auto", "all"))
    frames = [span for span in told.spans if span.parent_id is None]
    assert counts.dropped == {"hopeless": len(frames)}
    assert [(one.facts["headwater.outcome"], one.facts["headwater.exit"], one.error) for one in frames] == [
        ("hopeless", "exit1", None)
    ] * 20
    for one in frames:
        parts = [span for span in told.spans if span.parent_id == one.span_id]
        assert [span.name for span in parts] == ["capture", "crop", "head", "encode"]
        assert (parts[0].start_ns, parts[-1].end_ns) == (one.start_ns, one.end_ns)


def test_a_frame_that_is_not_reported_ends_on_the_device(tmp_path: Path) -> None:
    """With --report positive, what shows nothing is told all the same; what waits for its result is not yet."""
    bundle = Bundle.load(bundle_folder(tmp_path / "tiny", positive="unsure"))
    told, counts = run(tmp_path, bundle, Plan("device", "auto", "positive"))
    frames = [span for span in told.spans if span.parent_id is None]
    assert counts.unreported > 0
    assert [one.facts["headwater.outcome"] for one in frames] == ["unreported"] * counts.unreported
