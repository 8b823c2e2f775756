"""A worker in a few lines: it answers frames, when it is told to, and counts what came how often."""

from __future__ import annotations

import threading
import time
from collections import Counter

from headwater.clock import StageClock
from headwater.messages import VERSION, Decision, Finished, Frame, Result, Status, decode, decode_json, encode
from headwater.session import Address, Callbacks, Received, Session
from headwater.topics import Topics

TOPICS = Topics("demo")


class FakeWorker:
    """Answers every frame of the fleet; `silent` frames are taken and never answered."""

    def __init__(self, url: str, *, fleet: Topics = TOPICS, answers: bool = True) -> None:
        self.answers = answers
        self.frames: list[Frame] = []
        self.applied: list[bytes] = []
        self.statuses: list[Status] = []
        self.decisions: list[Decision | None] = []
        self.came: Counter[str] = Counter()
        self._topics, self._clock, self._lock = fleet, StageClock(), threading.Lock()
        self._session = Session(
            Address.parse(url),
            f"worker-{time.monotonic_ns()}",
            Callbacks(on_message=self._take),
            subscriptions=(
                (fleet.shared("frame"), 1),
                (fleet.every("status"), 1),
                (fleet.every("settings/applied"), 1),
                (fleet.every("decision"), 1),
            ),
        )
        self._session.start(10)

    def _take(self, message: Received) -> None:
        kind = message.topic.rpartition("/")[2]
        if kind == "status":
            self.statuses.append(decode_json(Status, message.payload))
        elif kind == "decision":
            self.decisions.append(decode_json(Decision, message.payload) if message.payload else None)
        elif kind == "applied":
            self.applied.append(message.payload)
        else:
            self._frame(decode(Frame, message.payload, 10**8))
        self._session.ack(message)

    def _frame(self, frame: Frame) -> None:
        received_ns = self._clock.now_ns()
        with self._lock:
            self.frames.append(frame)
            self.came[str(frame.id)] += 1
            answers = self.answers
        if answers:
            replied_ns = self._clock.now_ns()
            at_exit = frame.body.exit if isinstance(frame.body, Finished) else None
            stamps = frame.sent_ns, received_ns, replied_ns
            answer = Result(VERSION, frame.id, "fake", *stamps, {"tail": 0}, exit=at_exit)
            self._session.publish(self._topics.of_device(frame.id.device, "result"), encode(answer))

    @property
    def different(self) -> int:
        """Return how many different frames came."""
        with self._lock:
            return len(self.came)

    def tell(self, device: str, settings: bytes) -> None:
        """Send an operator's settings, retained."""
        self._session.publish(self._topics.of_device(device, "settings"), settings, retain=True)

    def stop(self) -> None:
        """Go away."""
        self._session.stop()
