"""One device without a network: its settings, its books and its ends."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge.checks import check_settings
from edge.commands import EdgeSettings, build_device
from edge.control import Running
from edge.device import Device
from edge.head import Head, Hopeless, exit_of
from edge.keeping import LATE, Keeping, Late
from edge.location import open_location
from edge.plan import Bounds, Plan
from edge.sameness import Sameness
from edge.sources import Capture, Source, WhenFull
from edge.spool import Spool
from headwater.clock import Offset, Stopwatch
from headwater.errors import HeadwaterError, SettingsError, SourceError
from headwater.messages import Clock, Finished, Frame, Prediction, SettingsApplied, decode
from headwater.session import Address
from models.engine import Engine
from models.errors import RunError
from tests.edge.samples import DEVICE, TOPICS, exit_bundle, tiny_bundle
from tests.servers import eventually

NOWHERE = Address.parse("mqtt://127.0.0.1:9")
LIMITS = Bounds(frames=None, window=8, timeout_s=10, expire_s=None, frame_bytes=10**8, drain_s=0)


class Pictures:
    """A source of so many pictures that then ends as told."""

    def __init__(self, number: int, error: Exception | None = None, when_full: WhenFull = WhenFull.WAIT) -> None:
        self._number, self._error = number, error
        self.when_full, self.description, self.skipped, self.closed = when_full, "pictures", 0, False
        self.release = threading.Event()

    def captures(self, stop: threading.Event) -> Iterator[Capture]:
        """Yield the pictures."""
        for number in range(self._number):
            yield Capture(np.full((8, 8, 3), number % 256, np.uint8), time.time_ns(), 1000, name=f"{number}.png")
        if self._error is not None:
            self.release.wait(10)
            raise self._error

    def close(self) -> None:
        """Remember."""
        self.closed = True


def device(
    folder: Path, source: Source, *, plan: Plan | None = None, limits: Bounds = LIMITS, spool_bytes: int = 10**7
) -> Device:
    """Return a device with the tiny bundle."""
    bundle = tiny_bundle(folder / "tiny")
    spool = Spool(folder / "cam1.sqlite", spool_bytes)
    plan = plan or Plan("add", "auto", "all")
    engine = Engine(bundle.model_path)
    return Device(DEVICE, TOPICS, bundle, engine, plan, source, open_location("1,2"), spool, limits)


@pytest.fixture
def idle(tmp_path: Path) -> Iterator[Device]:
    """A device that does not run."""
    made = device(tmp_path, Pictures(0))
    yield made
    made._spool.close()


def applied(one: Device, payload: bytes) -> SettingsApplied:
    """Return the device's answer to an operator's message."""
    answer = one.apply(payload)
    assert answer is not None
    return answer


def now(one: Device) -> tuple[str, str, str]:
    """Return split, codec and report as the next frame has them."""
    status = one.status(None)
    return status.split, status.codec, one._control.plan.report


def test_settings_change_what_they_name(idle: Device) -> None:
    """What is left out stays as it is; the answer says what holds now."""
    answer = applied(idle, b'{"version":1,"split":"conv_c"}')
    assert (answer.split, answer.codec, answer.report, answer.refused) == ("conv_c", "auto", "all", None)
    answer = applied(idle, b'{"version":1,"codec":"uint8+zstd","report":"positive"}')
    assert (answer.split, answer.codec, answer.report, answer.refused) == ("conv_c", "uint8+zstd", "positive", None)
    assert now(idle) == ("conv_c", "uint8+zstd", "positive")


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b'{"version":1,"split":"conv_b","report":"positive"}', "split: got 'conv_b'"),
        (b'{"version":1,"split":"image","codec":"uint8"}', "codec: got 'uint8', with split image"),
        (b'{"version":1,"codec":"png"}', "codec: 'png' is for pictures"),
        (b'{"version":1,"split":"device","codec":"nonsense"}', "codec: got 'nonsense'"),
        (b'{"version":1,"codec":""}', "codec: got ''"),
        (b'{"version":1,"split":""}', "split: got ''"),
        (b'{"version":1,"split":"device","drop":{"exit1":{"litter":1}}}', "drop: got exit 'exit1', expected none"),
        (b'{"version":1,"report":"some"}', "report"),
        (b'{"version":1,"spilt":"image"}', "spilt"),
        (b'{"version":2,"split":"image"}', "version 2"),
        (b'{"split":"image"}', "version"),
        (b"split=image", "malformed|JSON"),
        (b"\xff\xfe", "B:"),
        (b'{"version":1,"split":"' + b"x" * 20_000 + b'"}', "over the limit"),
    ],
)
def test_settings_are_taken_whole_or_not_at_all(idle: Device, payload: bytes, reason: str) -> None:
    """One wrong value refuses the message, says why, and leaves everything as it was."""
    answer = applied(idle, payload)
    assert answer.refused is not None
    assert len(answer.refused) <= 1024
    assert re.search(reason, answer.refused)
    assert (answer.split, answer.codec, answer.report) == ("add", "auto", "all")
    assert now(idle) == ("add", "native+zstd", "all")


def test_a_codec_that_does_not_fit_the_new_split_gives_way_to_the_lossless_one(tmp_path: Path) -> None:
    """Changing only the split never fails for the codec of the old one."""
    one = device(tmp_path, Pictures(0), plan=Plan("image", "jpeg:50", "all"))
    assert now(one)[:2] == ("image", "jpeg:50")
    assert applied(one, b'{"version":1,"split":"add"}').codec == "auto"
    assert applied(one, b'{"version":1,"codec":"float16"}').codec == "float16"
    assert applied(one, b'{"version":1,"split":"device"}').refused is None
    assert now(one)[:2] == ("device", "none")
    assert applied(one, b'{"version":1,"split":"image"}').codec == "auto"
    assert now(one)[:2] == ("image", "png")
    one._spool.close()


def test_an_empty_message_asks_for_nothing(idle: Device) -> None:
    """Clearing the retained settings changes nothing and is not answered."""
    assert idle.apply(b"") is None
    assert now(idle) == ("add", "native+zstd", "all")


def test_the_status_says_what_the_books_and_the_kernel_say(idle: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unknown before anything has happened."""
    monkeypatch.setattr("edge.standing.temperature_c", lambda: None)
    new = idle.status(None)
    assert (new.resent, new.clock, new.temperature_c, new.last_finished_ns) == (0, None, None, None)
    monkeypatch.setattr("edge.standing.temperature_c", lambda: 61.5)
    before_ns = time.time_ns()
    idle.ledger.clock = Offset(-3_250_000, 950_000)
    idle.ledger.resent(2)
    idle.ledger.finished("worker")
    status = idle.status(None)
    assert (status.resent, status.clock, status.temperature_c) == (2, Clock(-3.25, 0.95), 61.5)
    assert status.last_finished_ns is not None
    assert before_ns <= status.last_finished_ns <= time.time_ns()


def test_thresholds_of_exits_change_while_it_runs(tmp_path: Path) -> None:
    """A new threshold holds from the next frame on; an exit or task that there is not changes nothing."""
    bundle, picture = exit_bundle(tmp_path / "early", 0.0), np.zeros((8, 8, 3), np.uint8)
    engine = Engine(bundle.model_path, outputs=bundle.finals)
    spool = Spool(tmp_path / "cam1.sqlite", 10**7)
    plan = Plan("conv_b", "auto", "all")
    one = Device(DEVICE, TOPICS, bundle, engine, plan, Pictures(0), open_location("1,2"), spool, LIMITS)
    assert exit_of(one._control.head.run(picture, Stopwatch())) is None
    answer = applied(one, b'{"version":1,"thresholds":{"exit1":{"litter":99}}}')
    assert (answer.thresholds, answer.refused) == ({"exit1": {"litter": 99.0}}, None)
    assert exit_of(one._control.head.run(picture, Stopwatch())) == "exit1"
    assert applied(one, b'{"version":1,"split":"device"}').thresholds == {"exit1": {"litter": 99.0}}
    for wrong, words in (
        (b'{"exit2":{"litter":0}}', "got exit 'exit2', expected one of exit1"),
        (b'{"exit1":{"age":0}}', "got task at exit exit1 'age', expected one of litter"),
    ):
        answer = applied(one, b'{"version":1,"split":"conv_a","thresholds":' + wrong + b"}")
        assert words in str(answer.refused)
        assert (answer.split, answer.thresholds) == ("device", {"exit1": {"litter": 99.0}})
    spool.close()


def test_what_is_given_up_at_an_exit_changes_while_it_runs(tmp_path: Path) -> None:
    """A new drop threshold holds from the next frame on beside the others, and may be one that none falls under."""
    bundle, picture = exit_bundle(tmp_path / "early", 0.0), np.zeros((8, 8, 3), np.uint8)
    engine, spool = Engine(bundle.model_path, outputs=bundle.finals), Spool(tmp_path / "cam1.sqlite", 10**7)
    plan = Plan("conv_b", "auto", "all")
    one = Device(DEVICE, TOPICS, bundle, engine, plan, Pictures(0), open_location("1,2"), spool, LIMITS)
    assert applied(one, b'{"version":1,"report":"all"}').drop == {}
    assert not isinstance(one._control.head.run(picture, Stopwatch()), Hopeless)
    answer = applied(one, b'{"version":1,"drop":{"exit1":{"litter":0}}}')
    assert (answer.drop, answer.refused) == ({"exit1": {"litter": 0.0}}, None)
    assert one._control.head.run(picture, Stopwatch()) == Hopeless("exit1")
    assert applied(one, b'{"version":1,"thresholds":{"exit1":{"litter":99}}}').drop == {"exit1": {"litter": 0.0}}
    assert exit_of(one._control.head.run(picture, Stopwatch())) == "exit1"
    applied(one, b'{"version":1,"thresholds":{"exit1":{"litter":0}},"drop":{"exit1":{"litter":99}}}')
    assert not isinstance(one._control.head.run(picture, Stopwatch()), Hopeless)
    refused = applied(one, b'{"version":1,"drop":{"exit1":{"age":0}}}').refused
    assert "drop: got task at exit exit1 'age', expected one of litter" in str(refused)
    spool.close()


def test_a_model_without_exits_has_no_thresholds(idle: Device) -> None:
    """The refusal says so."""
    answer = applied(idle, b'{"version":1,"thresholds":{"exit1":{"litter":0.5}}}')
    assert "expected none, the model has no exits" in str(answer.refused)


def test_hopeless_frames_are_dropped_and_counted(tmp_path: Path) -> None:
    """What an exit gives up is captured, dropped as hopeless, and not sent."""
    bundle = exit_bundle(tmp_path / "early", 0.0, drop=0.0)
    engine, spool = Engine(bundle.model_path, outputs=bundle.finals), Spool(tmp_path / "cam1.sqlite", 10**7)
    plan = Plan("device", "auto", "all")
    one = Device(DEVICE, TOPICS, bundle, engine, plan, Pictures(4), open_location("1,2"), spool, LIMITS)
    summary = one.run(NOWHERE, threading.Event(), lambda: None)
    assert (summary["captured"], summary["dropped"], summary["in_flight"]) == (4, {"hopeless": 4}, 0)


def test_a_part_that_cannot_be_made_is_refused(idle: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    """What LiteRT or the graph refuses is an answer, not the end of the device."""

    def refuse(_first: object, _last: object) -> None:
        raise RunError("the part", "no memory", "pick another split")

    monkeypatch.setattr(idle._control._engine, "part", refuse)
    answer = applied(idle, b'{"version":1,"split":"conv_c"}')
    assert answer.refused is not None
    assert "no memory" in answer.refused
    assert now(idle)[0] == "add"


def test_told_to_stop_without_a_broker_everything_stays_in_the_spool(tmp_path: Path) -> None:
    """A stop ends the run in the drain time; what is captured is on disk and in flight."""
    source, stop = Pictures(5), threading.Event()
    one = device(tmp_path, source)
    done: list[dict[str, object]] = []
    thread = threading.Thread(target=lambda: done.append(one.run(NOWHERE, stop, lambda: None)))
    thread.start()
    assert eventually(lambda: one.ledger.counts().captured == 5)
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    assert source.closed
    assert [done[0][name] for name in ("captured", "in_flight", "dropped")] == [5, 5, {}]
    spool = Spool(tmp_path / "cam1.sqlite", 10**7)
    assert len(spool) == 5
    spool.close()


def test_a_source_that_fails_between_two_pictures_is_an_error(tmp_path: Path) -> None:
    """Its line is not lost when the loop is busy, and the frames before it are kept."""
    source = Pictures(3, SourceError("camera: unplugged"))
    stop = threading.Event()
    one = device(tmp_path, source)
    caught: list[HeadwaterError] = []

    def run() -> None:
        try:
            one.run(NOWHERE, stop, lambda: None)
        except HeadwaterError as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert eventually(lambda: one.ledger.counts().captured == 3)
    source.release.set()
    assert eventually(lambda: one._progress.failure is not None)
    stop.set()
    thread.join(10)
    assert [str(error) for error in caught] == ["camera: unplugged"]
    spool = Spool(tmp_path / "cam1.sqlite", 10**7)
    assert len(spool) == 3
    spool.close()


def test_only_positive_frames_are_sent_when_asked(tmp_path: Path) -> None:
    """With `--report positive` the others end as finished on the device, unreported, and never reach the spool."""
    one = device(tmp_path, Pictures(20), plan=Plan("device", "auto", "positive"))
    stop = threading.Event()
    thread = threading.Thread(target=one.run, args=(NOWHERE, stop, lambda: None))
    thread.start()
    assert eventually(lambda: one.ledger.counts().captured == 20)
    stop.set()
    thread.join(10)
    counts = one.ledger.counts()
    spool = Spool(tmp_path / "cam1.sqlite", 10**7)
    assert counts.unreported == counts.finished["device"] == 20 - len(spool)
    assert counts.in_flight == len(spool)
    spool.close()


def test_a_picture_that_no_worker_would_take_is_dropped_and_counted(tmp_path: Path) -> None:
    """Not a number in a prediction is never sent: a worker would refuse it again and again."""
    one = device(tmp_path, Pictures(2), plan=Plan("device", "auto", "all"))
    nonsense = Finished([Prediction("litter", "dirty", None, float("nan"), [])])
    one._control._now = Running(one._control.plan, Head("device", "none", lambda picture, watch: nonsense))
    one.run(NOWHERE, threading.Event(), lambda: None)
    assert one.ledger.counts().dropped == {"unencodable": 2}
    assert one.ledger.counts().in_flight == 0


def test_as_many_frames_as_asked_for_and_no_more(tmp_path: Path) -> None:
    """`--frames` counts the pictures that were worked on; what a camera dropped meanwhile is captured and stale."""
    limits = Bounds(frames=3, window=8, timeout_s=10, expire_s=None, frame_bytes=10**8, drain_s=0)
    source = Pictures(10**12, when_full=WhenFull.DROP_OLDEST)
    one = device(tmp_path, source, limits=limits)
    stop = threading.Event()
    thread = threading.Thread(target=one.run, args=(NOWHERE, stop, lambda: None))
    thread.start()
    assert eventually(lambda: one.status(None).in_flight == 3 and source.closed)
    stop.set()
    thread.join(10)
    counts = one.ledger.counts()
    assert counts.in_flight == 3
    assert counts.captured == 3 + counts.dropped.get("stale", 0)


def test_a_camera_goes_on_without_a_broker(tmp_path: Path) -> None:
    """Capture never stops: a full spool drops its oldest frames and counts them, and the bound holds."""
    limits = Bounds(frames=200, window=8, timeout_s=10, expire_s=None, frame_bytes=10**8, drain_s=0)
    source = Pictures(10**12, when_full=WhenFull.DROP_OLDEST)
    one = device(tmp_path, source, limits=limits, spool_bytes=20_000)
    stop = threading.Event()
    thread = threading.Thread(target=one.run, args=(NOWHERE, stop, lambda: None))
    thread.start()
    assert eventually(lambda: source.closed, 30)
    stop.set()
    thread.join(10)
    counts = one.ledger.counts()
    spool = Spool(tmp_path / "cam1.sqlite", 20_000)
    assert counts.captured - counts.dropped.get("stale", 0) == 200
    assert counts.dropped["overflow"] == 200 - len(spool)
    assert [key.sequence for key in spool.keys()] == list(range(200 - len(spool), 200))  # noqa: SIM118  not a dict
    assert 10_000 < spool.size_bytes <= 20_000
    spool.close()


def test_a_caller_that_goes_away_at_ready_leaves_no_thread(tmp_path: Path) -> None:
    """A closed stdout ends the run as an error, without the sender's thread living on."""
    one = device(tmp_path, Pictures(0), limits=LIMITS)

    def gone() -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        one.run(NOWHERE, threading.Event(), gone)
    assert "sender" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize(("late", "expire_s", "is_kept"), [("answer", 60.0, True), ("drop", 60.0, False)])
def test_what_an_exit_said_waits_beside_the_frame(tmp_path: Path, late: Late, expire_s: float, is_kept: bool) -> None:
    """With `--late answer` the spool holds a frame's own answer, from the deepest exit, marked as late."""
    bundle = exit_bundle(tmp_path / "early", 0.0)
    engine, spool = Engine(bundle.model_path, outputs=bundle.finals), Spool(tmp_path / "cam1.sqlite", 10**7)
    limits = replace(LIMITS, expire_s=expire_s, keeping=Keeping(late=late))
    plan, source, stop = Plan("conv_b", "auto", "all"), Pictures(2), threading.Event()
    one = Device(DEVICE, TOPICS, bundle, engine, plan, source, open_location("1,2"), spool, limits)
    thread = threading.Thread(target=one.run, args=(NOWHERE, stop, lambda: None))
    thread.start()
    assert eventually(lambda: one.status(None).in_flight == 2 and source.closed)
    stop.set()
    thread.join(10)
    spool = Spool(tmp_path / "cam1.sqlite", 10**7)
    (first, _), message = spool.keys(), None
    answer = spool.answer(first)
    assert (answer is not None) == is_kept
    if answer is not None:
        message, said = spool.read(first), decode(Frame, answer, 10**6)
        assert isinstance(said.body, Finished)
        assert (said.body.exit, said.codec, said.id.sequence, said.split) == ("exit1", LATE, 0, "conv_b")
        assert message is not None
        assert decode(Frame, message, 10**6).captured_ns == said.captured_ns
    spool.close()


def test_frames_lost_with_a_damaged_spool_are_in_the_books(tmp_path: Path) -> None:
    """Known to have been there, recovered, and dropped for the disk."""
    spool = Spool(tmp_path / "cam1.sqlite", 10**7)
    spool.lost_before = 3
    bundle = tiny_bundle(tmp_path / "tiny")
    plan, engine = Plan("add", "auto", "all"), Engine(bundle.model_path)
    one = Device(DEVICE, TOPICS, bundle, engine, plan, Pictures(0), open_location("1,2"), spool, LIMITS)
    counts = one.ledger.counts()
    assert (counts.recovered, counts.dropped, counts.in_flight) == (3, {"disk": 3}, 0)
    spool.close()


def test_the_status_s_last_capture_stays_once_a_camera_is_stale(tmp_path: Path) -> None:
    """From then on it is there as one that gives no picture; until then each counts."""
    one = device(tmp_path, Pictures(0), limits=replace(LIMITS, keeping=Keeping(stale_after=5.0)))
    picture, now = np.zeros((8, 8, 3), np.uint8), [100.0]
    one._progress.sameness = Sameness(lambda: now[0])
    for second in range(12):
        now[0] = 100.0 + second
        one._progress.sameness.saw(picture)
        one._frame(Capture(picture, 1000 + second, 0), threading.Event())
        one._sender._hand_over.release()
    assert one.status(None).last_captured_ns == 1005
    assert one.ledger.counts().captured == 12
    one._spool.close()


@pytest.mark.parametrize(
    ("keeping", "expire", "words"),
    [
        (Keeping(stale_after=-1.0), None, "stale-after: got -1.0, expected 0"),
        (Keeping(stale_after=float("nan")), None, "stale-after"),
        (Keeping(late="answer"), None, "no frame is ever late without --expire; add --expire SECONDS"),
    ],
)
def test_settings_that_cannot_hold_are_refused(keeping: Keeping, expire: float | None, words: str) -> None:
    """With what to do."""
    with pytest.raises(SettingsError, match=words):
        check_settings(EdgeSettings(source="pattern:", keeping=keeping, expire=expire))


def test_settings_of_the_spool_reach_it(tmp_path: Path) -> None:
    """`--durable`, and its default: what was captured outlives a power cut."""
    bundle = tiny_bundle(tmp_path / "tiny")
    for keeping, durable in ((Keeping(), "power"), (Keeping(durable="off"), "off")):
        settings = EdgeSettings(source="pattern:", bundle=str(bundle.folder), spool=tmp_path, keeping=keeping)
        one = build_device(settings)
        assert one._spool.durable == durable
        one._spool.close()
