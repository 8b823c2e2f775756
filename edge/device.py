"""The device's loop: capture, head, hand over. It never waits for the network; a file waits for room in the spool."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from msgspec.structs import replace

from edge.capturing import Capturing
from edge.connection import connection
from edge.control import Control
from edge.delivery import Delivery
from edge.head import Body, Dropped, Faceless, Head, Hopeless, exit_of, is_positive
from edge.keeping import LATE
from edge.ledger import Drop, Ledger
from edge.location import Location, place
from edge.outbox import Outbox
from edge.parts import InSight, Parts, out_of_sight
from edge.plan import Bounds, Plan
from edge.progress import Progress
from edge.scheduler import Auto, AutoSplit
from edge.sender import Sender
from edge.sources import Capture, Source, WhenFull
from edge.spool import Spool
from edge.standing import Standing
from edge.traces import Traces, Tracing
from headwater.clock import Stage, StageClock, Stopwatch
from headwater.errors import WireError
from headwater.logs import event
from headwater.messages import (
    VERSION,
    Finished,
    Frame,
    FrameId,
    Link,
    Position,
    Result,
    SettingsApplied,
    Status,
    encode_json,
)
from headwater.session import Address, Session
from headwater.topics import Topics
from models.bundle import Bundle
from models.crop import Crop
from models.engine import Engine
from planning.decide import Limits

log = logging.getLogger(__name__)

LONGEST_TIMEOUT_S: Final = 120.0
TAKE_S: Final = 0.2


class Device:
    """One camera device: a source, a model, a spool and a link."""

    def __init__(
        self,
        name: str,
        topics: Topics,
        bundle: Bundle,
        engine: Engine,
        plan: Plan,
        source: Source,
        location: Location,
        spool: Spool,
        limits: Bounds,
        crop: Crop | None = None,
        auto: Auto | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        """Make everything ready; without `auto` the split is only ever what somebody sets, without `tracing` no
        collector of traces is told of frames.
        """
        self._name, self._topics, self._bundle = name, topics, bundle
        self._source, self._location, self._limits = source, location, limits
        self._spool, self._boot = spool, os.urandom(4).hex()
        self._control = Control(name, bundle, engine, plan, crop, auto.policy.limits if auto else Limits())
        self._clock = StageClock()
        self._since_ns = self._clock.now_ns()
        self.ledger = Ledger(recovered=len(spool), lost=spool.lost_before)
        delivery = Delivery(limits.timeout_s, max(limits.timeout_s, LONGEST_TIMEOUT_S), random.random)
        self._traces = Traces(topics.fleet, name, self._clock.now_ns, tracing)
        outbox = Outbox(spool, delivery, self.ledger, self._traces, limits.keeping.when_full)
        self._sender = Sender(
            name,
            topics,
            outbox,
            self.ledger,
            self._clock,
            self,
            window=limits.window,
            expire_s=limits.expire_s,
            max_frame_bytes=limits.frame_bytes,
            late=limits.keeping.late,
        )
        self._auto = None if auto is None else self._auto_split(engine, crop, auto)
        self._sequence = 0
        self._progress = Progress()
        self._position: Position | None = None
        self._last_captured_ns: int | None = None

    def _auto_split(self, engine: Engine, crop: Crop | None, auto: Auto) -> AutoSplit:
        topic = self._topics.of_device(self._name, "decision")
        found = AutoSplit(
            self._name,
            self._bundle,
            engine,
            crop,
            auto,
            use=self._control.use,
            probe=self._control.probe,
            tell=lambda said: self._sender.say(topic, b"" if said is None else encode_json(said)),
            link=self._sender.link_seen,
            frames_per_s=self._offered_per_s,
            now_ns=self._clock.now_ns,
        )
        self._control.on_plan = found.follow
        found.follow(self._control.plan)
        return found

    def _offered_per_s(self) -> float:
        """Return how many pictures a second come whether or not they find a way; 0 where the source waits."""
        if self._source.when_full is WhenFull.WAIT:
            return self._limits.rate or 0.0
        return self.ledger.rates(time.monotonic())[0]

    # -- life ----------------------------------------------------------------------------------------------------------

    def run(
        self, address: Address, stop: threading.Event, on_ready: Callable[[], None], in_sight: InSight = out_of_sight
    ) -> dict[str, Any]:
        """Run until the source ends or `stop` is set, then until all is confirmed; return the run's figures.

        `in_sight` tells of the device meanwhile.
        """
        session = connection(
            address, self._topics, self._name, self._boot, self._sender.callbacks(),
            since_ns=self._since_ns, window=self._limits.window,
        )  # fmt: skip
        with in_sight(self._parts(session)):
            return self._run(session, stop, on_ready)

    def _parts(self, session: Session) -> Parts:
        progress, auto, rate = self._progress, self._auto, self._limits.rate
        return Parts(
            self._name, self._bundle.name, self.ledger, self._spool, self._control, self._sender, session, progress,
            auto, rate, self._limits.keeping.stale_after,
        )  # fmt: skip

    def _run(self, session: Session, stop: threading.Event, on_ready: Callable[[], None]) -> dict[str, Any]:
        over = threading.Event()
        sending = threading.Thread(target=self._sender.run, args=(session,), name="sender")
        deciding = threading.Thread(target=self._auto.run, args=(over,), name="auto") if self._auto else None
        session.start()
        sending.start()
        if deciding is not None:
            deciding.start()
        try:
            on_ready()
            self._capture(stop)
        finally:
            over.set()
            if deciding is not None:
                deciding.join()
            self._sender.finish(self._limits.drain_s if stop.is_set() else float("inf"))
            self._wait_for(sending, stop)
            session.stop()
            self._location.close()
            self._spool.close()
        self._sender.check()
        return self.ledger.summary()

    def _wait_for(self, sending: threading.Thread, stop: threading.Event) -> None:
        """Wait until all is confirmed; being told to stop meanwhile shortens it to the drain time."""
        while sending.is_alive() and not stop.is_set():
            sending.join(TAKE_S)
        if sending.is_alive():
            self._sender.finish(self._limits.drain_s)
            sending.join()

    def _capture(self, stop: threading.Event) -> None:
        """Take pictures until the source ends or `stop` is set. Raises: SourceError, after its last picture."""
        with Capturing(self._source, self.ledger, self._progress) as capturing:
            while not stop.is_set() and not self._has_enough():
                self._sender.check()
                capture = capturing.next(TAKE_S)
                if capture is not None:
                    self._frame(capture, stop)
                elif capturing.ended:
                    return

    def _has_enough(self) -> bool:
        return self._limits.frames is not None and self._sequence >= self._limits.frames

    # -- one frame -----------------------------------------------------------------------------------------------------

    def _frame(self, capture: Capture, stop: threading.Event) -> None:
        begun_ns = capture.begun_ns or time.monotonic_ns()
        watch = Stopwatch({"capture": max(time.monotonic_ns() - begun_ns, capture.capture_ns)})
        now = self._control.next()  # it may be replaced at any time
        self.ledger.captured()
        self._position = place(self._location, capture.position, time.monotonic())
        if not self._progress.sameness.lasts(self._limits.keeping.stale_after):
            self._last_captured_ns = capture.captured_ns
        self._sequence += 1
        try:
            with self._progress.in_hand():
                body = now.head.run(capture.picture, watch)
            if self._auto is not None and not isinstance(body, Faceless):
                self._auto.computed(capture.picture, now.head, exit_of(body), watch.stages_ns)
            if isinstance(body, Hopeless | Faceless):
                reason: Drop = "hopeless" if isinstance(body, Hopeless) else "no_face"
                self.ledger.dropped(reason)
                self._trace_here(capture, now.head, body, watch.stages_ns, reason)
                return
            if now.plan.report == "positive" and not is_positive(self._bundle, body):
                self.ledger.finished("device", exit_of(body), reported=False)
                self.ledger.journey(watch.stages_ns, sum(watch.stages_ns.values()))
                self._trace_here(capture, now.head, body, watch.stages_ns, "unreported")
                return
            frame = self._message(capture, now.head, body, watch.stages_ns)
            waits = self._source.when_full is WhenFull.WAIT
            self._sender.offer(frame, wait=waits, stop=stop, answer=self._answer(frame, now.head))
        except WireError as error:
            log.warning(event("frame dropped", picture=capture.name, reason="unencodable", error=error))
            self.ledger.dropped("unencodable")

    def _answer(self, frame: Frame, head: Head) -> Frame | None:
        """Return what to send in a frame's place when its time has passed, where that is wanted and known."""
        limits = self._limits
        if limits.expire_s is None or limits.keeping.late != "answer" or isinstance(frame.body, Finished):
            return None
        with contextlib.suppress(WireError):
            said = head.unsure()
            return None if said is None else replace(frame, body=said, codec=LATE)
        return None

    def _trace_here(
        self, capture: Capture, head: Head, body: Body | Dropped, stages_ns: dict[Stage, int], outcome: str
    ) -> None:
        """Tell of a frame that goes no further, where anybody is told of frames."""
        if self._traces.is_on:
            told = Finished([], exit_of(body))
            self._traces.ended_here(self._message(capture, head, told, stages_ns), outcome)

    def _message(self, capture: Capture, head: Head, body: Body, stages_ns: dict[Stage, int]) -> Frame:
        return Frame(
            version=VERSION,
            id=FrameId(self._name, self._boot, self._sequence - 1),
            captured_ns=capture.captured_ns,
            sent_ns=self._clock.now_ns(),  # into the spool; the sender writes when it leaves it
            bundle=self._bundle.name,
            digest=self._bundle.digest,
            split=head.split,
            codec=head.codec,
            body=body,
            stages_ns=stages_ns,
            position=self._position,
            name=capture.name,
        )

    # -- what the sender asks of us (edge.sender.Reporter) -------------------------------------------------------------

    def status(self, link: Link | None) -> Status:
        """Return the device's view of itself."""
        here = Standing(
            self._name, self._since_ns, self._bundle, self._source.description, self._control.head, self._position,
            self._last_captured_ns,
        )  # fmt: skip
        return here.status(self.ledger, self._spool, link)

    def apply(self, payload: bytes) -> SettingsApplied | None:
        """Take an operator's settings; None for an empty message."""
        return self._control.apply(payload)

    def answered(self, split: str, codec: str, result: Result, at_ns: int) -> None:
        """Take what a worker says of a frame that was not finished here."""
        if self._auto is not None:
            self._auto.answered(split, codec, result, at_ns)

    def sized(self, split: str, codec: str, message_bytes: int) -> None:
        """Take how long the message of such a frame is, sent or too long."""
        if self._auto is not None:
            self._auto.sized(split, codec, message_bytes)
