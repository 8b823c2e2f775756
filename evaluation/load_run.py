"""Many simulated devices in one process: real frames over real connections, their answers, and who was busy with it."""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from edge.head import prepare_head
from edge.rehearsal import as_message, body_of, drawn_pictures
from evaluation.load import Counts, Latencies, Schedule, Tally
from evaluation.running import PICTURES, Installation, cpu_s, machine_busy_s, resident_bytes
from headwater.clock import StageClock, Stopwatch
from headwater.errors import HeadwaterError, SettingsError, WireError
from headwater.logs import event
from headwater.messages import Frame, FrameId, Result, decode, encode
from headwater.session import Address, Callbacks, Received, Session
from headwater.topics import Topics
from models.bundle import Bundle
from models.engine import Engine
from models.pictures import decode_picture

log = logging.getLogger(__name__)

CONNECT_S: Final = 20.0
RESEND_S: Final = 10.0
"""As a device does, when no answer has come."""
END_S: Final = 30.0
"""So long the last answers are waited for."""
LOOK_S: Final = 0.1
WARM_UP_S: Final = 3.0
MOST_PICTURES: Final = 32
RESULT_BYTES: Final = 1_000_000
FRAME_BYTES: Final = 64_000_000
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Part:
    """One kind of process while the load ran."""

    name: str
    cores: float
    """Processor time a second."""
    most_cores: float
    """What it could use."""
    begin_bytes: int
    end_bytes: int

    @property
    def share(self) -> float:
        """Return how much of what it could use it used."""
        return self.cores / self.most_cores


@dataclass(frozen=True)
class Loaded:
    """What became of a load."""

    devices: int
    rate: float | None
    seconds: float
    """That count, without the warm-up."""
    frames_per_s: float
    """Answered in that time."""
    frame_bytes: float
    """Mean length of a message."""
    counts: Counts
    latencies: Latencies
    """From the first sending to the answer, in the time that counts."""
    parts: tuple[Part, ...]
    """Those whose processes are known; the busiest first."""


def encoded_frames(bundle: Bundle, split: str, codec: str, pictures: Sequence[bytes] = ()) -> list[Frame]:
    """Return a frame for each picture (JPEG, PNG), of drawn ones without any, as a device makes it without early exits.

    Raises: SettingsError for a split or codec that there is not.
    """
    engine = Engine(bundle.model_path, outputs=bundle.finals, threads=1)
    head = prepare_head(bundle, engine, split, codec, {})
    shown = [decode_picture(one) for one in pictures] or drawn_pictures(PICTURES)
    messages = [as_message(bundle, head, body_of(head, one, Stopwatch())) for one in shown]
    return [decode(Frame, message, FRAME_BYTES) for message in messages]


def folder_pictures(folder: Path) -> list[bytes]:
    """Return the JPEG and PNG files of a folder. Raises: SettingsError if there are none."""
    kinds = {".jpg", ".jpeg", ".png"}
    try:
        found = sorted(path for path in folder.iterdir() if path.suffix.lower() in kinds)[:MOST_PICTURES]
    except OSError as error:
        raise SettingsError(f"source: {folder} cannot be read ({error}); give a folder of pictures") from None
    if not found:
        raise SettingsError(f"source: no picture in {folder}, expected .jpg or .png files; give another folder")
    return [path.read_bytes() for path in found]


class SimulatedFleet:
    """Devices that share one process; each has its own connection, name and answers."""

    def __init__(self, address: Address, fleet: str, frames: Sequence[Frame], schedule: Schedule, window: int) -> None:
        """Take what they send in turn, when, and how many frames may be under way in all."""
        self._topics, self._frames, self.schedule = Topics(fleet), frames, schedule
        self._boot, self._clock = secrets.token_hex(4), StageClock()
        self.tally, self.sent_bytes, self.sent = Tally(window), 0, 0
        self._again_s = 0.0
        self._sessions = [self._session(address, device) for device in range(schedule.devices)]

    def _session(self, address: Address, device: int) -> Session:
        name = _name(device)
        return Session(
            address,
            f"headwater-{name}-{self._boot}",
            Callbacks(on_message=partial(self._on_result, device)),
            subscriptions=[(self._topics.of_device(name, "result"), 1)],
        )

    def connect(self, progress: Progress = lambda done, total: None) -> None:
        """Connect all, one after the other. Raises: BrokerError."""
        for done, session in enumerate(self._sessions, 1):
            session.start(CONNECT_S)
            progress(done, len(self._sessions))

    def close(self) -> None:
        """Say goodbye."""
        for session in self._sessions:
            session.stop()

    def run(self, frames: int, seconds: float, *, begun_s: float, on_look: Callable[[], None]) -> None:
        """Send so many frames or for so long, whichever is first; `on_look` is called now and then."""
        for number in range(frames):
            while (now_s := time.monotonic()) - begun_s < seconds:
                wait_s = begun_s + self.schedule.due_s(number) - now_s
                if wait_s <= 0 and (self.schedule.rate is not None or self.tally.has_room(LOOK_S)):
                    break
                time.sleep(min(max(wait_s, 0.0), LOOK_S))
                self._look(now_s, on_look)
            else:
                return
            self._look(now_s, on_look)
            if self.tally.begin(number, time.monotonic()):
                self._send(number)

    def end(self) -> None:
        """Wait for the answers that are still to come, a while."""
        until_s = time.monotonic() + END_S
        while not self.tally.wait_until_answered(LOOK_S) and (now_s := time.monotonic()) < until_s:
            self._look(now_s, lambda: None)

    def _look(self, now_s: float, on_look: Callable[[], None]) -> None:
        if now_s - self._again_s >= LOOK_S:
            self._again_s = now_s
            for number in self.tally.overdue(now_s, RESEND_S):
                self._send(number)
            on_look()

    def _send(self, number: int) -> None:
        sequence, device = self.schedule.place(number)
        now_ns = self._clock.now_ns()
        frame_id = FrameId(_name(device), self._boot, sequence)
        frame = self._frames[number % len(self._frames)]
        message = encode(msgspec.structs.replace(frame, id=frame_id, captured_ns=now_ns, sent_ns=now_ns))
        self._sessions[device].publish(self._topics.of_device(_name(device), "frame"), message)
        self.sent_bytes += len(message)
        self.sent += 1

    def _on_result(self, device: int, message: Received) -> None:
        """Count an answer. Runs on the network thread of that device."""
        self._sessions[device].ack(message)
        try:
            found = decode(Result, message.payload, RESULT_BYTES)
        except WireError as error:
            log.warning(event("result cannot be read", topic=message.topic, reason=error))
            return
        if found.id.boot == self._boot:
            self.tally.end(self.schedule.number(found.id.sequence, device), time.monotonic(), found.refused)


def _name(device: int) -> str:
    return f"load-{device:05}"


def run_load(
    fleet: SimulatedFleet, frames: int, seconds: float, at: Installation | None, processes: int, progress: Progress
) -> Loaded:
    """Send, measure after the warm-up, wait for the last answers. Raises: HeadwaterError if nothing was answered."""
    begun_s = time.monotonic()
    moments = [_Moment.now(fleet, at)]

    def look() -> None:
        warm = time.monotonic() - begun_s >= min(WARM_UP_S, seconds / 5) or fleet.sent >= frames / 5
        if warm and fleet.sent and len(moments) == 1:
            fleet.tally.begin_to_count()
            moments.append(_Moment.now(fleet, at))
        progress(fleet.tally.counts.captured, frames)

    fleet.run(frames, seconds, begun_s=begun_s, on_look=look)
    first, last = moments[-1], _Moment.now(fleet, at)
    if len(moments) == 1 or first.answered == last.answered:  # so few that all were sent before the first looks
        fleet.end()
        first, last = moments[0], _Moment.now(fleet, at)
    latencies = fleet.tally.latencies
    fleet.end()
    if last.answered == first.answered:
        reason = fleet.tally.reason or "no worker of this fleet has the bundle, or none is there"
        raise HeadwaterError(f"load: no frame was answered in the time that counts: {reason}")
    spent_s = last.at_s - first.at_s
    return Loaded(
        fleet.schedule.devices,
        fleet.schedule.rate,
        spent_s,
        (last.answered - first.answered) / spent_s,
        fleet.sent_bytes / fleet.sent,
        replace(fleet.tally.counts),
        latencies,
        _parts(first, last, processes),
    )


@dataclass(frozen=True)
class _Moment:
    """What had been done and used when."""

    at_s: float
    answered: int
    cpu_s: dict[str, float]
    resident: dict[str, int]

    @classmethod
    def now(cls, fleet: SimulatedFleet, at: Installation | None) -> _Moment:
        own = os.getpid()
        cpu, resident = (at.cpu_s(), at.resident_bytes()) if at else ({}, {})
        cpu |= {"load": cpu_s(own), "all cores": machine_busy_s()}
        resident |= {"load": resident_bytes(own)}
        return cls(time.monotonic(), fleet.tally.counts.answered, cpu, resident)


def _parts(first: _Moment, last: _Moment, processes: int) -> tuple[Part, ...]:
    most = {"worker": float(processes), "all cores": float(os.cpu_count() or 1)}
    parts = [
        Part(
            name,
            (last.cpu_s[name] - first.cpu_s[name]) / (last.at_s - first.at_s),
            min(most.get(name, 1.0), float(os.cpu_count() or 1)),
            first.resident.get(name, 0),
            last.resident.get(name, 0),
        )
        for name in last.cpu_s
    ]
    return tuple(sorted(parts, key=lambda part: -part.share))
