"""The thread that owns the spool and the link: frames in, messages out, results back."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

from msgspec.structs import replace

from edge.confirmation import Confirmations
from edge.dispatch import Dispatch
from edge.freshness import Freshness
from edge.happenings import Connected, Happening, Incoming, Published, Publisher, Reporter, Say, Wake
from edge.keeping import Late
from edge.ledger import Ledger
from edge.link import LinkSeen
from edge.outbox import UNSAVED_BYTES, Offered, Outbox
from edge.wire import Wire
from headwater.clock import StageClock
from headwater.errors import HeadwaterError, TooLarge
from headwater.logs import event
from headwater.messages import Frame, decode, encode, encode_json
from headwater.session import PACKET_OVERHEAD_BYTES, Callbacks
from headwater.topics import Topics

log = logging.getLogger(__name__)

HAND_OVER_FRAMES: Final = 8
"""How many frames may wait between the head and this thread; it bounds memory, as the spool bounds the disk."""
EVENTS_AT_ONCE: Final = 64
STATUS_EVERY_S: Final = 5.0
JOURNEYS_EVERY_S: Final = 1.0
IDLE_S: Final = 0.5
LOOK_S: Final = 0.2
"""How often a waiting head looks whether it waits in vain."""


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
        max_frame_bytes: int,
        late: Late = "drop",
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topic: Callable[[str], str] = lambda kind: topics.of_device(device, kind)
        self._outbox, self._ledger, self._clock, self._reporter = outbox, ledger, clock, reporter
        self._now_s, self._window = now_s, window
        self._confirmations = Confirmations(device, outbox, ledger, reporter.answered)
        self._events: queue.SimpleQueue[Happening] = queue.SimpleQueue()
        self._hand_over = threading.BoundedSemaphore(HAND_OVER_FRAMES)
        self._room = threading.Condition()
        self._offered_bytes = 0
        self._wire = Wire(max_frame_bytes, now_s())
        self._dispatch = Dispatch(
            self._topic, outbox, ledger, clock, reporter, self._wire, Freshness(outbox, ledger, expire_s, late),
            window=window, max_frame_bytes=max_frame_bytes,
        )  # fmt: skip
        self._unsaid: dict[str, bytes] = {}
        self.greeting: Callable[[], Mapping[str, bytes]] = dict  # what else the broker shall keep, on each connection
        self._finishing, self._over, self._ended_well = threading.Event(), threading.Event(), False
        self._deadline_s, self.turned_s = float("inf"), time.monotonic()
        self._status_due_s = self._journeys_due_s = 0.0
        self._has_more = False

    # -- for other threads ---------------------------------------------------------------------------------------------

    def callbacks(self) -> Callbacks:
        """Return what the session calls on its network thread; each only enqueues."""
        return Callbacks(
            on_message=lambda message: self._events.put(Incoming(message, self._clock.now_ns())),
            on_published=lambda mid: self._events.put(Published(mid, self._now_s())),
            on_connected=lambda: self._events.put(Connected()),
        )

    def offer(self, frame: Frame, *, wait: bool, stop: threading.Event, answer: Frame | None = None) -> None:
        """Hand a frame over; with `wait`, wait until the spool has room for it, or drop it when `stop` is set first.

        `answer` is what to send in its place when its time has passed.
        Raises: WireError for a frame that every worker would refuse, HeadwaterError when the thread has failed.
        """
        message = encode(frame)
        decode(Frame, message, len(message))
        one = Offered(frame, message, None if answer is None else encode(answer))
        with self._room:
            while wait and not self._has_room(one.size_bytes):
                if stop.is_set():
                    self._ledger.dropped("stopped")
                    return
                self.check()
                self._room.wait(LOOK_S)
            self._offered_bytes += one.size_bytes
        while not self._hand_over.acquire(timeout=LOOK_S):
            self.check()
        self._events.put(one)

    def check(self) -> None:
        """Raise HeadwaterError if the thread has ended by a fault: nothing will be sent any more."""
        if self._over.is_set() and not self._ended_well:
            raise HeadwaterError(
                "the device's sender stopped by a fault of its own; the log has the traceback, please report it; "
                "what is in the spool is sent by the next start"
            )

    @property
    def window(self) -> int:
        """Return how many frames may be sent and not answered now."""
        return self._outbox.delivery.window(self._window)

    def link_seen(self) -> LinkSeen:
        """Return what is known of the link and of what it carries; from any thread."""
        return self._wire.seen()

    def say(self, topic: str, payload: bytes) -> None:
        """Publish what the broker keeps; without a link only the last for its topic, when there is one again."""
        self._events.put(Say(topic, payload))

    def finish(self, patience_s: float) -> None:
        """Ask the thread to end when every frame is confirmed, or after `patience_s`."""
        self._deadline_s = self._now_s() + patience_s
        self._finishing.set()
        self._events.put(Wake())

    def _has_room(self, size_bytes: int) -> bool:
        """Tell whether the spool takes a frame behind all before it, and memory if the disk takes none of them."""
        spool, ahead_bytes = self._outbox.spool, self._outbox.unsaved_bytes + self._offered_bytes
        if self._outbox.is_stuck or (ahead_bytes and ahead_bytes + size_bytes > UNSAVED_BYTES):
            return False
        used_bytes: int = spool.size_bytes + ahead_bytes
        return used_bytes == 0 or used_bytes + size_bytes <= spool.limit_bytes

    # -- the thread ----------------------------------------------------------------------------------------------------

    def run(self, link: Publisher) -> None:
        """Work until told to finish; the thread that calls this owns the outbox."""
        try:
            while not self._is_done():
                self.turn(link, self._idle_s())
            while not self._events.empty():  # past the deadline: what was offered still goes into the spool
                self.turn(link)
            self._outbox.end(self._now_s())
            self._report(link, last=True)
            self._ended_well = True
        finally:
            self._over.set()

    def turn(self, link: Publisher, wait_s: float = 0.0) -> None:
        """Take in what has happened, after waiting for it at most `wait_s`, and do what is due."""
        self.turned_s, events = time.monotonic(), self._take(wait_s)
        offered = [self._aged(e) for e in events if isinstance(e, Offered)]
        results = [e for e in events if isinstance(e, Incoming)]
        for happened in events:
            self._absorb(happened)
        self._outbox.commit(offered, self._now_s())
        self._make_known(offered)
        for incoming in results:
            link.ack(incoming.message)
        self._has_more = self._dispatch.send(link, self._now_s())
        self._say(link)
        self._report(link, last=False)
        waits, most = self._outbox.delivery.unconfirmed, link.limits.packet_bytes - PACKET_OVERHEAD_BYTES
        self._wire.listen(connected=link.is_connected, unanswered=waits, message_bytes=most, now_s=self._now_s())

    def _is_done(self) -> bool:
        if not self._finishing.is_set():
            return False
        everything_confirmed = self._events.empty() and len(self._outbox) == 0
        return everything_confirmed or self._now_s() >= self._deadline_s

    def _idle_s(self) -> float:
        """Return how long nothing is due."""
        if self._has_more:
            return 0.0
        due_s = min(self._status_due_s, self._journeys_due_s, self._outbox.delivery.next_due_s() or float("inf"))
        return min(max(due_s - self._now_s(), 0.001), IDLE_S)

    def _take(self, wait_s: float) -> list[Happening]:
        events: list[Happening] = []
        try:
            events.append(self._events.get(block=wait_s > 0, timeout=wait_s))
            while len(events) < EVENTS_AT_ONCE:
                events.append(self._events.get_nowait())
        except queue.Empty:
            pass
        return events

    def _absorb(self, happened: Happening) -> None:
        match happened:
            case Incoming(message, _) if message.topic == self._topic("settings"):
                self._settings(message.payload)
            case Incoming(message, at_ns):
                self._wire.answered()
                self._confirmations.answered(message.payload, at_ns, self._now_s())
            case Say(topic, payload):
                self._unsaid[topic] = payload
            case Published(mid, at_s):
                self._acknowledged(mid, at_s)
            case Connected():
                self._wire.reconnected(self._now_s())
                self._outbox.delivery.reconnected(self._now_s())
                self._status_due_s = 0.0
                self._unsaid |= self.greeting()
            case Offered() | Wake():
                pass

    def _acknowledged(self, mid: int, at_s: float) -> None:
        sent = self._wire.acknowledged(mid, at_s, more_waits=self._outbox.delivery.waiting > 0)
        if sent is not None and sent.key is not None:
            self._outbox.delivery.acknowledged(sent.key, at_s)

    def _aged(self, one: Offered) -> Offered:
        """Return a new frame with its age by clocks that nobody sets."""
        age_ns = self._clock.now_ns() - one.frame.sent_ns + sum(one.frame.stages_ns.values())
        return one._replace(age_s=max(0.0, age_ns / 1e9))

    def _make_known(self, offered: list[Offered]) -> None:
        """Tell the head that the spool has taken its frames, and has room again for what was confirmed."""
        with self._room:
            self._offered_bytes -= sum(one.size_bytes for one in offered)
            self._room.notify_all()
        if offered:
            self._hand_over.release(len(offered))

    def _settings(self, payload: bytes) -> None:
        applied = self._reporter.apply(payload)
        if applied is not None:
            self._unsaid[self._topic("settings/applied")] = encode_json(applied)
            self._status_due_s = 0.0

    def _say(self, link: Publisher) -> None:
        """Publish what there is to say, the newest for each topic, where there is a link."""
        while self._unsaid and link.is_connected:
            topic, payload = self._unsaid.popitem()
            self._tell(link, topic, payload, retain=True)

    def _report(self, link: Publisher, *, last: bool) -> None:
        """Publish what is due: the journeys that results have told, and the device's status."""
        now_s = self._now_s()
        if not link.is_connected:
            self._status_due_s = self._journeys_due_s = now_s + IDLE_S
            return
        if last or now_s >= self._journeys_due_s:
            self._journeys_due_s = now_s + JOURNEYS_EVERY_S
            journeys = self._confirmations.journeys()
            if journeys is not None:
                self._tell(link, self._topic("journey"), encode(journeys), qos=0)
        if last or now_s >= self._status_due_s:
            self._status_due_s = now_s + STATUS_EVERY_S
            status = replace(self._reporter.status(self._wire.link()), online=not last)
            self._tell(link, self._topic("status"), encode_json(status), retain=True)

    def _tell(self, link: Publisher, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Publish something about the frames; where the broker takes no message of that size, there is none."""
        try:
            mid = link.publish(topic, payload, qos=qos, retain=retain)
        except TooLarge as error:
            log.warning(event("over the broker's limit", topic=topic, error=error))
            return
        if qos:
            self._wire.put(mid, None, len(payload), self._now_s())
