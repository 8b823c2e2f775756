"""The sender, turned by hand against a link that only remembers: every captured frame ends once, whatever happens."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from edge.delivery import AFTER_RECONNECT_S, Delivery
from edge.keeping import Durable, Full, Late
from edge.ledger import Ledger
from edge.outbox import UNSAVED_BYTES, Outbox
from edge.sender import HAND_OVER_FRAMES, JOURNEYS_EVERY_S, STATUS_EVERY_S, Sender
from edge.spool import Spool
from headwater.errors import HeadwaterError, WireError
from headwater.messages import Frame, Journeys, SettingsApplied, Status, decode, decode_json, encode
from headwater.session import PACKET_OVERHEAD_BYTES, Limits
from tests.edge.samples import (
    DEVICE,
    EARLIER_BOOT,
    TOPICS,
    Clock,
    FakeLink,
    FakeReporter,
    frame,
    key,
    received,
    renamed,
    result,
    sequences,
)
from tests.headwater.test_properties import read

TIMEOUT_S, LONGEST_S = 10.0, 120.0
GO_ON = threading.Event()


class Bench:
    """A sender with all that belongs to it, a clock set by hand, and counts of its own to compare."""

    def __init__(
        self,
        path: Path,
        *,
        limit_bytes: int = 10**7,
        window: int = 8,
        expire_s: float | None = None,
        max_frame_bytes: int = 10**9,
        late: Late = "drop",
        full: Full = "oldest",
        durable: Durable = "process",
    ) -> None:
        self.clock, self.link, self.reporter = Clock(), FakeLink(), FakeReporter()
        self.spool = Spool(path, limit_bytes, durable, self.clock.machine())
        self.ledger = Ledger(recovered=len(self.spool))
        self.delivery = Delivery(TIMEOUT_S, LONGEST_S, lambda: 0.0)
        self.outbox = Outbox(self.spool, self.delivery, self.ledger, full=full)
        self.sender = Sender(
            DEVICE, TOPICS, self.outbox, self.ledger, self.clock, self.reporter,  # type: ignore[arg-type]
            window=window, expire_s=expire_s, max_frame_bytes=max_frame_bytes, late=late, now_s=self.clock,
        )  # fmt: skip
        self.callbacks = self.sender.callbacks()
        self.captured = 0
        self._acked = 0

    def capture(self, *frames: Frame) -> None:
        """Hand frames over, a few at a time."""
        for one in frames:
            self.ledger.captured()
            self.captured += 1
            self.sender.offer(one, wait=False, stop=GO_ON)
            self.sender.turn(self.link)

    def connect(self) -> None:
        """Let the broker accept us."""
        self.link.is_connected = True
        self.callbacks.on_connected()
        self.turn()

    def disconnect(self) -> None:
        """Break the connection."""
        self.link.is_connected = False
        self.callbacks.on_disconnected()
        self.turn()

    def acknowledge(self) -> None:
        """Let the broker acknowledge all that was published and not yet acknowledged."""
        for mid in self.link.mids[self._acked :]:
            self.callbacks.on_published(mid)
        self._acked = len(self.link.mids)
        self.turn()

    def answer(self, sequence: int, *, boot: str = "0123abcd", refused: str | None = None) -> None:
        """Let a worker answer a frame."""
        payload = result(sequence, boot=boot, sent_ns=self.clock.now_ns(), refused=refused)
        self.callbacks.on_message(received("result", payload))
        self.turn()

    def turn(self, after_s: float = 0.0) -> None:
        """Let time pass, and the sender do what is due."""
        self.clock.s += after_s
        self.sender.turn(self.link)
        self.check()

    def check(self) -> None:
        """The books balance: captured + recovered = finished + dropped + in flight."""
        counts = self.ledger.counts()
        assert counts.in_flight == len(self.outbox)
        assert counts.captured == self.captured

    @property
    def sent(self) -> list[int]:
        """Return the numbers of all frames published so far."""
        return sequences(self.link.frames())

    @property
    def dropped(self) -> dict[str, int]:
        """Return what was dropped."""
        return self.ledger.counts().dropped

    def statuses(self) -> list[Status]:
        """Return the statuses published so far."""
        return [decode_json(Status, payload) for payload in self.link.payloads("status")]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    """Make sender benches that are put away afterwards."""
    made: list[Bench] = []

    def one(**options: float | str | None) -> Bench:
        made.append(Bench(tmp_path / "cam1.sqlite", **options))  # type: ignore[arg-type]
        return made[-1]

    yield one
    for bench in made:
        bench.spool.close()


@pytest.fixture
def bench(make: Callable[..., Bench]) -> Bench:
    """A sender that is connected."""
    made = make()
    made.connect()
    return made


def test_frames_wait_on_disk_until_there_is_a_connection(make: Callable[..., Bench]) -> None:
    """Without a broker frames are spooled; with one they go out in their order, each once."""
    bench = make()
    bench.capture(*(frame(n) for n in range(5)))
    assert bench.link.published == []
    assert len(bench.spool) == 5
    bench.connect()
    bench.turn()
    assert bench.sent == [0, 1, 2, 3, 4]


def test_a_frame_travels_as_the_contract_says(bench: Bench) -> None:
    """QoS 1, content type, response topic, frame id as correlation, its spool time, no expiry unless asked for."""
    bench.capture(frame(0))
    number = [topic for topic, *_ in bench.link.published].index("frame")
    assert bench.link.published[number][2:] == (1, False)
    properties = bench.link.properties[number]
    assert properties is not None
    assert read(properties.pack()) == {
        "ContentType": "application/msgpack",
        "ResponseTopic": f"{TOPICS.root}/{DEVICE}/result",
        "CorrelationData": f"{DEVICE}-0123abcd-0".encode().hex(),
    }
    (sent,) = bench.link.frames()
    assert sent.sent_ns == bench.clock.now_ns()
    assert sent.stages_ns == {"capture": 3_000_000, "head": 2_000_000, "spool": 0}


def test_the_time_on_disk_is_the_stage_spool(make: Callable[..., Bench]) -> None:
    """`spool` is the time from the hand-over to the sending, whenever that is."""
    bench = make()
    bench.capture(frame(0))
    bench.turn(90.0)
    bench.connect()
    assert bench.link.frames()[0].stages_ns["spool"] == 90_000_000_000


def test_the_window_bounds_what_is_unconfirmed(make: Callable[..., Bench]) -> None:
    """With a window of two the third frame goes with the first result."""
    bench = make(window=2)
    bench.connect()
    bench.capture(*(frame(n) for n in range(4)))
    assert bench.sent == [0, 1]
    bench.answer(1)
    assert bench.sent == [0, 1, 2]


@pytest.mark.parametrize("receive_maximum", [2, 3, 7])
def test_no_more_is_on_the_wire_than_the_broker_takes(bench: Bench, receive_maximum: int) -> None:
    """A broker's Receive Maximum holds for frames and status together."""
    bench.acknowledge()
    bench.link.limits = Limits(receive_maximum=receive_maximum)
    before = len(bench.link.published)
    bench.capture(*(frame(n) for n in range(8)))
    bench.turn(STATUS_EVERY_S + 0.1)
    assert len(bench.link.published) - before == receive_maximum
    for _ in range(20):
        bench.acknowledge()
        for sequence in range(8):
            bench.answer(sequence)
    assert bench.ledger.counts().in_flight == 0


def test_a_result_ends_its_frame_and_is_acknowledged_after_the_commit(bench: Bench) -> None:
    """The result is acknowledged to the broker when the frame has left the disk, not before."""
    bench.capture(frame(0))
    bench.link.ack = lambda message: order.append(("acked", len(bench.spool)))  # type: ignore[method-assign]
    order: list[tuple[str, int]] = []
    bench.answer(0)
    assert order == [("acked", 0)]
    assert bench.ledger.counts().finished == {"device": 0, "worker": 1}


def test_what_the_broker_has_and_nobody_answers_is_sent_again(bench: Bench) -> None:
    """After the time-out the frame goes once more, and after a result of either sending never again."""
    bench.capture(frame(0))
    bench.acknowledge()
    bench.turn(TIMEOUT_S + 0.1)
    assert bench.sent == [0, 0]
    bench.acknowledge()
    bench.answer(0)
    bench.answer(0)
    bench.turn(LONGEST_S * 3)
    assert bench.sent == [0, 0]
    assert bench.ledger.summary()["resent"] == 1
    assert bench.ledger.counts().finished["worker"] == 1


def test_a_slow_link_does_not_make_its_own_queue_longer(bench: Bench) -> None:
    """Frames that the broker has not acknowledged yet are not sent again behind themselves."""
    bench.capture(*(frame(n, 1000) for n in range(6)))
    for _ in range(6):
        bench.turn(TIMEOUT_S)
    assert bench.sent == [0, 1, 2, 3, 4, 5]


def test_after_a_reconnect_only_what_the_broker_may_have_lost_is_sent_again(bench: Bench) -> None:
    """paho itself sends again what was not acknowledged, and its acknowledgement then starts the time-out."""
    bench.capture(frame(0))
    bench.acknowledge()
    bench.capture(frame(1))
    bench.disconnect()
    bench.turn(1)
    bench.connect()
    bench.turn(AFTER_RECONNECT_S + 0.1)
    assert bench.sent == [0, 1, 0]
    bench.acknowledge()
    bench.turn(TIMEOUT_S + 0.1)
    assert bench.sent == [0, 1, 0, 1]


def test_late_results_count_while_the_frame_waits_to_be_sent_again(bench: Bench) -> None:
    """A worker that answers after the time-out and during an outage still finishes its frame."""
    bench.capture(frame(0))
    bench.acknowledge()
    bench.disconnect()
    bench.turn(TIMEOUT_S + 0.1)
    bench.answer(0)
    bench.connect()
    bench.turn(LONGEST_S)
    assert bench.sent == [0]
    assert bench.ledger.counts().finished["worker"] == 1


def test_frames_over_the_brokers_limit_are_dropped_and_the_others_go(bench: Bench) -> None:
    """`too_large` is counted, and nothing waits behind such a frame."""
    bench.link.limits = Limits(packet_bytes=PACKET_OVERHEAD_BYTES + 2000)
    bench.capture(frame(0, 5000), frame(1, 100))
    assert bench.dropped == {"too_large": 1}
    assert bench.sent == [1]
    assert bench.spool.keys() == [key(1)]


def test_frames_over_what_workers_take_are_dropped_and_the_others_go(make: Callable[..., Bench]) -> None:
    """A broker would take them and drop them before the worker, without a word, time and again."""
    bench = make(max_frame_bytes=2000)
    bench.connect()
    bench.capture(frame(0, 5000), frame(1, 100))
    assert bench.dropped == {"too_large": 1}
    assert bench.sent == [1]
    assert bench.spool.keys() == [key(1)]


def test_status_and_journeys_over_the_brokers_limit_end_nothing(bench: Bench) -> None:
    """A broker that takes only tiny messages gets no status; the sender goes on."""
    bench.capture(frame(0))
    bench.answer(0)
    bench.link.limits = Limits(packet_bytes=PACKET_OVERHEAD_BYTES + 10)
    bench.turn(STATUS_EVERY_S * 2)
    bench.callbacks.on_message(received("settings", b"{}"))
    bench.turn()
    bench.link.limits = Limits()
    bench.capture(frame(1))
    assert bench.sent == [0, 1]


def test_frames_past_their_time_are_dropped_and_the_fresh_ones_go(make: Callable[..., Bench]) -> None:
    """With --expire an old frame is not sent, and a sent one tells the broker how long it is worth keeping."""
    bench = make(expire_s=30.0)
    bench.capture(frame(0))
    bench.turn(20.0)
    bench.capture(captured_now(bench, 1))
    bench.turn(11.0)
    assert bench.dropped == {"expired": 1}
    bench.connect()
    assert bench.sent == [1]
    assert expiry_s(bench) == 19
    bench.capture(captured_now(bench, 2))
    assert (bench.sent, expiry_s(bench)) == ([1, 2], 30)


def captured_now(bench: Bench, sequence: int, **options: bool) -> Frame:
    """Return a frame that is captured at this moment of the bench's clock."""
    return msgspec.structs.replace(frame(sequence, **options), sent_ns=bench.clock.now_ns(), stages_ns={})


def expiry_s(bench: Bench) -> object:
    """Return what the broker was told of the last frame."""
    number = max(n for n, (topic, *_) in enumerate(bench.link.published) if topic == "frame")
    properties = bench.link.properties[number]
    assert properties is not None
    return read(properties.pack()).get("MessageExpiryInterval")


def test_a_frame_that_every_worker_would_refuse_is_not_offered(bench: Bench) -> None:
    """What does not pass the worker's own checks is an error here, instead of being sent for ever."""
    with pytest.raises(WireError):
        bench.sender.offer(renamed(frame(0), "x" * 300), wait=False, stop=GO_ON)
    bench.turn()
    assert bench.sent == []


def test_what_else_the_broker_shall_keep_is_said_on_each_connection(bench: Bench) -> None:
    """It may have forgotten; there is nothing to say where nobody has asked for it."""
    assert {topic for topic, *_ in bench.link.published} == {"status"}
    bench.sender.greeting = lambda: {"elsewhere": b"hello"}
    bench.disconnect()
    bench.connect()
    bench.disconnect()
    bench.connect()
    said = [entry for entry in bench.link.published if entry[0] == "elsewhere"]
    assert said == [("elsewhere", b"hello", 1, True)] * 2


def test_settings_that_come_with_the_connection_have_the_last_word(bench: Bench) -> None:
    """What held before is not published over the answer to them."""
    bench.sender.greeting = lambda: {TOPICS.of_device(DEVICE, "settings/applied"): b"before"}
    bench.disconnect()
    bench.link.is_connected = True
    bench.callbacks.on_connected()
    bench.callbacks.on_message(received("settings", b'{"version":1,"split":"image"}', mid=7))
    bench.turn()
    bench.turn()
    (answer,) = bench.link.payloads("settings/applied")
    assert decode_json(SettingsApplied, answer).split == "image"


def test_settings_are_answered_and_shown(bench: Bench) -> None:
    """An operator's message gets a retained answer at once, and the status follows; an empty one asks for nothing."""
    before = len(bench.statuses())
    bench.callbacks.on_message(received("settings", b'{"version":1,"split":"image"}', mid=7))
    bench.turn()
    topic, payload, qos, retain = next(entry for entry in bench.link.published if entry[0] == "settings/applied")
    assert decode_json(SettingsApplied, payload).split == "image"
    assert (topic, qos, retain) == ("settings/applied", 1, True)
    assert [message.mid for message in bench.link.acked] == [7]
    assert len(bench.statuses()) == before + 1
    bench.callbacks.on_message(received("settings", b"", mid=8))
    bench.turn()
    assert bench.link.payloads("settings/applied") == [payload]


def test_the_status_is_told_at_each_connect_and_as_a_heartbeat(bench: Bench) -> None:
    """Retained, at once after connecting, then every few seconds."""
    assert [(topic, retain) for topic, _, _, retain in bench.link.published] == [("status", True)]
    bench.turn(STATUS_EVERY_S - 0.1)
    assert len(bench.statuses()) == 1
    bench.turn(0.2)
    assert len(bench.statuses()) == 2
    bench.disconnect()
    bench.turn(60)
    assert len(bench.statuses()) == 2
    bench.connect()
    assert len(bench.statuses()) == 3


def test_journeys_go_together_once_a_second(bench: Bench) -> None:
    """What several results told is one message of QoS 0."""
    bench.capture(*(frame(n) for n in range(4)))
    for sequence in range(4):
        bench.answer(sequence)
    bench.turn(JOURNEYS_EVERY_S + 0.1)
    messages = [decode(Journeys, payload, 10**6) for payload in bench.link.payloads("journey")]
    assert sorted(entry.sequence for message in messages for entry in message.entries) == [0, 1, 2, 3]
    assert len(messages) <= 2
    assert {qos for topic, _, qos, _ in bench.link.published if topic == "journey"} == {0}


def test_the_link_is_measured_on_messages_that_travel_alone(bench: Bench) -> None:
    """The status tells the round trip, a large frame after it the bandwidth; frames in a row tell nothing."""
    bench.clock.s += 0.02
    bench.acknowledge()
    bench.capture(frame(0, 60_000))
    bench.clock.s += 0.02 + 0.48
    bench.acknowledge()
    bench.capture(frame(1, 60_000), frame(2, 60_000))
    bench.answer(1)
    bench.turn(STATUS_EVERY_S)
    link = bench.statuses()[-1].link
    assert link is not None
    assert link.round_trip_ms == pytest.approx(20)
    assert link.bandwidth_bits_per_s == pytest.approx(1_000_000, rel=0.01)


def test_a_reconnect_does_not_count_as_a_slow_message(bench: Bench) -> None:
    """The acknowledgement of a message sent before an outage says nothing of the link."""
    bench.disconnect()
    bench.turn(300)
    bench.connect()
    bench.acknowledge()
    bench.turn(STATUS_EVERY_S + 0.1)
    assert bench.statuses()[-1].link is None


def test_finishing_waits_for_every_result_then_says_offline(bench: Bench) -> None:
    """Without a deadline the thread ends with the last confirmation; the last status is offline."""
    bench.capture(frame(0), frame(1))
    bench.answer(0)
    bench.sender.finish(float("inf"))
    bench.callbacks.on_message(received("result", result(1)))
    bench.sender.run(bench.link)
    assert bench.ledger.counts().finished["worker"] == 2
    assert [status.online for status in bench.statuses()][-1] is False
    assert bench.link.payloads("journey")
    bench.sender.check()


def test_past_the_deadline_what_was_handed_over_is_on_the_disk(make: Callable[..., Bench]) -> None:
    """A stop without patience leaves every frame in the spool for the next start."""
    bench = make()
    for n in range(HAND_OVER_FRAMES):
        bench.ledger.captured()
        bench.sender.offer(frame(n), wait=False, stop=GO_ON)
    bench.sender.finish(0)
    bench.sender.run(bench.link)
    assert bench.spool.keys() == [key(n) for n in range(HAND_OVER_FRAMES)]
    assert bench.ledger.counts().in_flight == HAND_OVER_FRAMES


def test_frames_of_an_earlier_run_are_delivered_with_their_own_times(tmp_path: Path) -> None:
    """What a crash left goes first, as it was captured, and ends as recovered."""
    before = Spool(tmp_path / "cam1.sqlite", 10**7)
    left = frame(41, boot=EARLIER_BOOT, age_s=86_400)
    before.commit([(key(41, EARLIER_BOOT), encode(left))], [])
    before.close()
    bench = Bench(tmp_path / "cam1.sqlite")
    bench.connect()
    bench.capture(frame(0))
    first, second = bench.link.frames()
    assert (first.id, first.captured_ns) == (left.id, left.captured_ns)
    assert second.id.sequence == 0
    bench.answer(41, boot=EARLIER_BOOT)
    bench.answer(0)
    counts = bench.ledger.counts()
    assert (counts.recovered, counts.captured, counts.finished["worker"], counts.in_flight) == (1, 1, 2, 0)
    bench.spool.close()


class Broken(FakeLink):
    """A session with a fault of its own."""

    def publish(self, *_: object, **__: object) -> int:
        raise ZeroDivisionError


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_fault_of_the_thread_is_an_error_for_the_head_instead_of_a_wait_for_ever(make: Callable[..., Bench]) -> None:
    """When the sender's thread has died, handing over ends with one line, full queue or full spool."""
    bench = make(limit_bytes=2_000)
    bench.sender.check()
    thread = threading.Thread(target=bench.sender.run, args=(Broken(is_connected=True),))
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    for n in range(HAND_OVER_FRAMES):
        bench.sender.offer(frame(n, 10), wait=False, stop=GO_ON)
    with pytest.raises(HeadwaterError, match="sender stopped by a fault of its own"):
        bench.sender.offer(frame(98, 10), wait=False, stop=GO_ON)
    with pytest.raises(HeadwaterError, match="sender stopped by a fault of its own"):
        bench.sender.offer(frame(99, 1500), wait=True, stop=GO_ON)
    with pytest.raises(HeadwaterError):
        bench.sender.check()


def test_a_file_waits_for_room_and_goes_on_with_the_first_result(make: Callable[..., Bench]) -> None:
    """With `wait` nothing is ever pushed out: the head waits until a confirmation makes room."""
    bench = make(limit_bytes=3_000)
    bench.connect()
    for n in range(2):
        bench.sender.offer(frame(n, 1000), wait=True, stop=GO_ON)
        bench.sender.turn(bench.link)
    over = threading.Event()

    def head() -> None:
        bench.sender.offer(frame(2, 1000), wait=True, stop=GO_ON)
        over.set()

    thread = threading.Thread(target=head, daemon=True)
    thread.start()
    bench.sender.turn(bench.link, 0.05)
    assert not over.is_set()
    bench.callbacks.on_message(received("result", result(0)))
    bench.sender.turn(bench.link)
    assert over.wait(10)
    bench.sender.turn(bench.link)
    assert bench.spool.keys() == [key(1), key(2)]
    assert bench.dropped == {}


def test_told_to_stop_while_waiting_for_room_drops_that_frame_only(make: Callable[..., Bench]) -> None:
    """What is in the spool stays; the frame that found no room is counted as `stopped`."""
    bench = make(limit_bytes=3_000)
    stop = threading.Event()
    for n in range(2):
        bench.sender.offer(frame(n, 1000), wait=True, stop=stop)
        bench.sender.turn(bench.link)
    stop.set()
    bench.sender.offer(frame(2, 1000), wait=True, stop=stop)
    bench.sender.turn(bench.link)
    assert bench.dropped == {"stopped": 1}
    assert bench.spool.keys() == [key(0), key(1)]


def offer_all(bench: Bench, *frames: Frame, answer: Frame | None = None) -> None:
    """Hand a file's frames over at once, before the thread looks; those that would have to wait end as `stopped`."""
    stop = threading.Event()
    stop.set()
    for one in frames:
        bench.ledger.captured()
        bench.captured += 1
        bench.sender.offer(one, wait=True, stop=stop, answer=answer)


def test_a_file_waits_for_room_for_answers_too(make: Callable[..., Bench]) -> None:
    """What is sent in a frame's place when its time has passed takes of the bound, on the disk and on its way there."""
    size = len(encode(frame(0, 1000)))
    bench = make(limit_bytes=4 * size)
    offer_all(bench, *(frame(n, 1000) for n in range(3)), answer=frame(0, 600))
    assert bench.dropped == {"stopped": 1}
    bench.turn()
    offer_all(bench, frame(3, 1000), answer=frame(3, 600))
    bench.turn()
    assert bench.dropped == {"stopped": 2}
    assert bench.spool.keys() == [key(0), key(1)]
    assert bench.sender._offered_bytes == 0


def test_a_file_waits_for_room_behind_what_the_disk_has_not_taken_yet(make: Callable[..., Bench]) -> None:
    """What is in memory is as much of the bound as what is on the disk."""
    bench = make(limit_bytes=3 * len(encode(frame(0, 1000))))
    bench.spool._db.execute("PRAGMA query_only = 1")
    for number in range(5):
        offer_all(bench, frame(number, 1000))
        bench.turn()
    assert (bench.dropped, bench.spool.size_bytes) == ({"stopped": 2}, 0)
    bench.spool._db.execute("PRAGMA query_only = 0")
    bench.turn(1.1)
    assert bench.spool.keys() == [key(n) for n in range(3)]


def test_a_file_runs_no_further_ahead_of_the_disk_than_memory_holds(make: Callable[..., Bench]) -> None:
    """A disk that takes nothing from one moment to the next loses none of a file's frames, however large they are."""
    bench = make(limit_bytes=10**8)
    bench.spool._db.execute("PRAGMA query_only = 1")
    offer_all(bench, *(frame(n, UNSAVED_BYTES // 5) for n in range(HAND_OVER_FRAMES)))
    bench.turn()
    assert bench.dropped == {"stopped": HAND_OVER_FRAMES - 4}
    assert len(bench.outbox) == 4
    offer_all(bench, frame(50, 10))
    bench.turn()
    assert bench.dropped == {"stopped": HAND_OVER_FRAMES - 3}
    bench.spool._db.execute("PRAGMA query_only = 0")
    bench.turn(1.1)
    offer_all(bench, frame(51, 2 * UNSAVED_BYTES))
    bench.turn()
    assert bench.spool.keys() == [key(n) for n in (0, 1, 2, 3, 51)]


class Streams(RuleBasedStateMachine):
    """Any order of captures, acknowledgements, results and outages ends with every frame finished exactly once."""

    folder: Path
    benches = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).benches += 1
        self.bench = Bench(self.folder / f"{self.benches}.sqlite", limit_bytes=4_000, window=3)
        self.answered: set[int] = set()

    @rule(size=st.integers(1, 1500))
    def captured(self, size: int) -> None:
        self.bench.capture(frame(self.bench.captured, size))

    @rule()
    def connected(self) -> None:
        self.bench.connect()

    @rule()
    def disconnected(self) -> None:
        self.bench.disconnect()

    @precondition(lambda self: self.bench.link.is_connected)
    @rule()
    def acknowledged(self) -> None:
        self.bench.acknowledge()

    @precondition(lambda self: self.bench.sent)
    @rule(data=st.data())
    def result(self, data: st.DataObject) -> None:
        self.bench.answer(data.draw(st.sampled_from(sorted(set(self.bench.sent)))))

    @rule(seconds=st.floats(0, 200))
    def time_passes(self, seconds: float) -> None:
        self.bench.turn(seconds)

    @invariant()
    def the_books_balance(self) -> None:
        self.bench.check()
        assert self.bench.spool.size_bytes <= self.bench.spool.limit_bytes
        assert set(self.bench.outbox._remembered) | set(self.bench.outbox._fresh) <= set(self.bench.spool.keys())

    def teardown(self) -> None:
        bench = self.bench
        if not bench.link.is_connected:
            bench.connect()
        for _ in range(3 * bench.captured + 3):
            bench.acknowledge()
            for sequence in sorted(set(bench.sent)):
                bench.answer(sequence)
            bench.turn(1)
        counts = bench.ledger.counts()
        bench.spool.close()
        assert counts.in_flight == 0
        assert sum(counts.finished.values()) + counts.dropped.get("overflow", 0) == bench.captured
        assert len(bench.outbox._remembered) == len(bench.spool) == 0


def test_any_stream_ends_with_every_frame_counted_once(tmp_path: Path) -> None:
    """Random streams over a small spool: finished + overflowed = captured, and nothing is left on disk or in memory."""
    machine = type("Stream", (Streams,), {"folder": tmp_path})
    run_state_machine_as_test(machine, settings=settings(max_examples=40, stateful_step_count=30))
    assert machine.benches >= 40
