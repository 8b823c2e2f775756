"""The thread that owns the spool and the link: frames in, messages out, results back."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from msgspec.structs import replace
from paho.mqtt.properties import Properties

from edge.confirmation import Confirmations, SentFrame
from edge.ledger import Ledger
from edge.link import LinkEstimate
from edge.outbox import Outbox
from edge.spool import Key
from headwater.clock import Stage, StageClock
from headwater.errors import TooLarge
from headwater.logs import event
from headwater.messages import Finished, Frame, Link, SettingsApplied, Status, encode, encode_json
from headwater.session import Callbacks, Limits, Received, publish_properties
from headwater.topics import Topics

log = logging.getLogger(__name__)

HAND_OVER_FRAMES: Final = 8
"""How many frames may wait between the head and this thread; it bounds memory, as the spool bounds the disk."""
EVENTS_AT_ONCE: Final = 64
STATUS_EVERY_S: Final = 5.0
JOURNEYS_EVERY_S: Final = 1.0
IDLE_S: Final = 0.5


class Publisher(Protocol):
    """What the sender needs of an MQTT session."""

    @property
    def limits(self) -> Limits: ...
    @property
    def is_connected(self) -> bool: ...
    def publish(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, properties: Properties | None = None
    ) -> int: ...
    def ack(self, message: Received) -> None: ...


class Reporter(Protocol):
    """What the sender needs of the device: its view of itself, and its answer to an operator's settings."""

    def status(self, link: Link | None) -> Status: ...
    def apply(self, payload: bytes) -> SettingsApplied | None: ...


@dataclass(frozen=True)
class _Offer:
    frame: Frame
    message: bytes


@dataclass(frozen=True)
class _Incoming:
    message: Received
    at_ns: int


@dataclass(frozen=True)
class _Published:
    mid: int
    at_s: float


@dataclass(frozen=True)
class _Connected:
    pass


@dataclass(frozen=True)
class _Wake:
    pass


_Event = _Offer | _Incoming | _Published | _Connected | _Wake


class Sender:
    """Puts frames into the outbox, sends them, and forgets each when its result has come back."""

    def __init__(
        self,
        device: str,
        topics: Topics,
        outbox: Outbox,
        ledger: Ledger,
        clock: StageClock,
        reporter: Reporter,
        *,
        window: int,
        expire_s: float | None,
    ) -> None:
        self._topic: Callable[[str], str] = lambda kind: topics.of_device(device, kind)
        self._outbox, self._ledger, self._clock, self._reporter = outbox, ledger, clock, reporter
        self._window, self._expire_s = window, expire_s
        self._confirmations = Confirmations(device, outbox, ledger)
        self._events: queue.SimpleQueue[_Event] = queue.SimpleQueue()
        self._hand_over = threading.BoundedSemaphore(HAND_OVER_FRAMES)
        self._room = threading.Condition()
        self._offered_bytes = 0
        self._outstanding: dict[int, tuple[int, float, bool]] = {}
        self._link = LinkEstimate()
        self._finishing = threading.Event()
        self._deadline_s = float("inf")
        self._status_due_s = self._journeys_due_s = 0.0

    # -- for other threads ---------------------------------------------------------------------------------------------

    def callbacks(self) -> Callbacks:
        """Return what the session calls on its network thread; each only enqueues."""
        return Callbacks(
            on_message=lambda message: self._events.put(_Incoming(message, self._clock.now_ns())),
            on_published=lambda mid: self._events.put(_Published(mid, time.monotonic())),
            on_connected=lambda: self._events.put(_Connected()),
        )

    def offer(self, frame: Frame, *, wait: bool, stop: threading.Event) -> None:
        """Hand a frame over; with `wait`, wait until the spool has room for it (or `stop` is set)."""
        message = encode(frame)
        with self._room:
            while wait and not stop.is_set() and not self._has_room(len(message)):
                self._room.wait(0.2)
            self._offered_bytes += len(message)
        self._hand_over.acquire()
        self._events.put(_Offer(frame, message))

    def finish(self, patience_s: float) -> None:
        """Ask the thread to end when every frame is confirmed, or after `patience_s`."""
        self._deadline_s = time.monotonic() + patience_s
        self._finishing.set()
        self._events.put(_Wake())

    def _has_room(self, message_bytes: int) -> bool:
        spool = self._outbox.spool
        used_bytes: int = spool.size_bytes + self._offered_bytes
        return used_bytes == 0 or used_bytes + message_bytes <= spool.limit_bytes

    # -- the thread ----------------------------------------------------------------------------------------------------

    def run(self, link: Publisher) -> None:
        """Work until told to finish; the thread that calls this owns the outbox."""
        while not self._is_done():
            self._turn(link, self._take())
        self._turn(link, [])
        self._report(link, time.monotonic(), last=True)

    def _turn(self, link: Publisher, events: list[_Event]) -> None:
        offered = [(e.frame, e.message) for e in events if isinstance(e, _Offer)]
        results = [e for e in events if isinstance(e, _Incoming)]
        for happened in events:
            self._absorb(happened, link)
        self._outbox.commit(offered)
        self._make_known(offered)
        for incoming in results:
            link.ack(incoming.message)
        self._send(link)
        self._report(link, time.monotonic(), last=False)

    def _is_done(self) -> bool:
        if not self._finishing.is_set():
            return False
        everything_confirmed = self._events.empty() and len(self._outbox) == 0
        return everything_confirmed or time.monotonic() >= self._deadline_s

    def _take(self) -> list[_Event]:
        """Return what has happened, after waiting for it until something else is due."""
        due_s = min(self._status_due_s, self._journeys_due_s, self._outbox.delivery.next_due_s() or float("inf"))
        events: list[_Event] = []
        try:
            events.append(self._events.get(timeout=min(max(due_s - time.monotonic(), 0.001), IDLE_S)))
            while len(events) < EVENTS_AT_ONCE:
                events.append(self._events.get_nowait())
        except queue.Empty:
            pass
        return events

    def _absorb(self, happened: _Event, link: Publisher) -> None:
        match happened:
            case _Incoming(message, _) if message.topic == self._topic("settings"):
                self._settings(message.payload, link)
            case _Incoming(message, at_ns):
                self._confirmations.answered(message.payload, at_ns)
            case _Published(mid, at_s):
                size_bytes, since_s, alone = self._outstanding.pop(mid, (0, 0.0, False))
                if alone:
                    self._link.acknowledged(size_bytes, at_s - since_s)
            case _Connected():
                self._outstanding.clear()
                self._outbox.delivery.reconnected(time.monotonic())
                self._status_due_s = 0.0
            case _Offer() | _Wake():
                pass

    def _make_known(self, offered: list[tuple[Frame, bytes]]) -> None:
        """Tell the head that the spool has taken its frames, and has room again for what was confirmed."""
        with self._room:
            self._offered_bytes -= sum(len(message) for _, message in offered)
            self._room.notify_all()
        if offered:
            self._hand_over.release(len(offered))

    def _settings(self, payload: bytes, link: Publisher) -> None:
        applied = self._reporter.apply(payload)
        if applied is not None:
            link.publish(self._topic("settings/applied"), encode_json(applied), retain=True)
            self._status_due_s = 0.0

    def _send(self, link: Publisher) -> None:
        now_s = time.monotonic()
        late = self._outbox.delivery.again(now_s)
        if late:
            self._ledger.resent(len(late))
            log.debug(event("sending again", frames=len(late)))
        window = min(self._window, link.limits.receive_maximum)
        while link.is_connected and (due := self._outbox.next_to_send(now_s, window)) is not None:
            key, frame = due
            if self._is_expired(frame):
                self._give_up(key, "expired")
            else:
                self._publish(link, key, frame)

    def _is_expired(self, frame: Frame) -> bool:
        return self._expire_s is not None and self._clock.now_ns() - frame.captured_ns > self._expire_s * 1e9

    def _give_up(self, key: Key, reason: str) -> None:
        self._confirmations.forget(key)
        self._outbox.drop(key, reason)

    def _publish(self, link: Publisher, key: Key, frame: Frame) -> None:
        stages: dict[Stage, int] = {stage: ns for stage, ns in frame.stages_ns.items() if stage != "spool"}
        sent_ns = self._clock.now_ns()
        stages["spool"] = max(0, sent_ns - frame.captured_ns - sum(stages.values()))
        message = encode(replace(frame, sent_ns=sent_ns, stages_ns=stages))
        properties = publish_properties(
            content_type="application/msgpack",
            expiry_s=None if self._expire_s is None else max(1, round(self._expire_s)),
            response_topic=self._topic("result"),
            correlation=str(frame.id).encode(),
        )
        try:
            mid = link.publish(self._topic("frame"), message, properties=properties)
        except TooLarge as error:
            log.warning(event("over the broker's limit", error=error))
            self._give_up(key, "too_large")
            return
        now_s = time.monotonic()
        self._outstanding[mid] = (len(message), now_s, not self._outstanding)
        if self._confirmations.sent(key, SentFrame(stages, isinstance(frame.body, Finished))):
            self._ledger.sent(len(message), now_s)

    def _report(self, link: Publisher, now_s: float, *, last: bool) -> None:
        """Publish what is due: the journeys that results have told, and the device's status."""
        if not link.is_connected:
            self._status_due_s = self._journeys_due_s = now_s + IDLE_S
            return
        if last or now_s >= self._journeys_due_s:
            self._journeys_due_s = now_s + JOURNEYS_EVERY_S
            journeys = self._confirmations.journeys()
            if journeys is not None:
                link.publish(self._topic("journey"), encode(journeys), qos=0)
        if last or now_s >= self._status_due_s:
            self._status_due_s = now_s + STATUS_EVERY_S
            status = encode_json(replace(self._reporter.status(self._link.link()), online=not last))
            mid = link.publish(self._topic("status"), status, retain=True)
            self._outstanding[mid] = (len(status), time.monotonic(), not self._outstanding)
