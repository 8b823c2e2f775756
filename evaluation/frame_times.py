"""Measure what frames take: one real device at a slow pace, then the real worker with always more frames waiting."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final

import msgspec

from evaluation.paced import FRAMES, LEAST, paced
from evaluation.running import (
    END_S,
    FLEET,
    Installation,
    Seen,
    installation,
    machine_busy_s,
    pictures,
    waited_for_core_s,
)
from headwater.clock import Stage, StageClock
from headwater.errors import HeadwaterError
from headwater.messages import Finished, Frame, FrameId, Record, Result, decode, encode
from headwater.session import Address, Callbacks, Received, Session
from headwater.topics import Topics
from models.bundle import Bundle
from planning.times import FORMAT, MAX_SAMPLES, CloudTimes, FrameTimes

FLOOD_S: Final = 5.0
WINDOW: Final = 64
KEPT: Final = 32
LIMIT_BYTES: Final = 64_000_000
RESULT_LIMIT_BYTES: Final = 1_000_000
BOOT: Final = "00000000"
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Flooded:
    """What the worker did while it always had frames waiting."""

    seconds: float
    """Those in which its thread was ready and got no core taken out: a worker is meant to have one to itself."""
    share: float
    """Of the wall's time that these seconds are."""
    frames: int
    result_bytes: float
    broker_s: float
    store_s: float
    """Processor time of broker and store, for each frame."""
    records: list[Record]


def measure_times(
    bundle: str,
    split: str,
    codec: str,
    source: str | None,
    progress: Progress = lambda done, total: None,
    *,
    small: bool = False,
) -> FrameTimes:
    """Return what frames of a split take on this machine, with a broker, a store and a worker of its own.

    Raises: SettingsError for a split or codec that there is not, MissingPart without broker or store.
    """
    found = Bundle.load(bundle)
    with installation(bundle) as at:
        shown = pictures(source, at.folder, found, small=small)
        progress(0, 4)
        since_s, worked_s = time.monotonic(), machine_busy_s()
        going, messages = paced(at, bundle, split, codec, shown, "one-going") if split != "device" else ([], [])
        on = _gone_on(going, split)
        progress(1, 4)
        finished, short = paced(at, bundle, "device", "auto", shown, "one-finished")
        progress(2, 4)
        busy = (machine_busy_s() - worked_s) / (time.monotonic() - since_s) / (os.cpu_count() or 1)
        cloud = _cloud(on, _flood(at, _bodies(messages, finished=False), "flood-going")) if on else None
        progress(3, 4)
        ends = _flood(at, _bodies(short, finished=True), "flood-finished")
        progress(4, 4)
    left = 1 - len(on) / len(going) if going else 0.0
    return _frame_times(on or finished, split, min(busy, 1.0), left, ends.result_bytes, cloud, _cloud(finished, ends))


def _gone_on(going: Sequence[Seen], split: str) -> list[Seen]:
    """Return the frames that the worker finished. Raises: HeadwaterError if those that should are too few."""
    on = [one for one in going if one.record.finished_by == "worker"]
    if split != "device" and len(on) < LEAST:
        raise HeadwaterError(
            f"only {len(on)} of {len(going)} frames went on to the worker at {split}, expected at least {LEAST}; "
            "give other pictures (--source), or split device"
        )
    return on


def _frame_times(
    seen: Sequence[Seen],
    split: str,
    busy: float,
    left: float,
    result_bytes: float,
    going: CloudTimes | None,
    finished: CloudTimes,
) -> FrameTimes:
    """Return all of it; what no stage holds of a frame's latency is its travel."""
    record = seen[0].record
    travel_s = [max(0.0, one.back_s - one.device_s - one.inbox_s - one.worker_s) for one in seen]
    return FrameTimes(
        FORMAT,
        machine(),
        busy,
        record.bundle,
        split,
        record.codec,
        _samples([one.device_s for one in seen]),
        _samples([one.inbox_s for one in seen]),
        _samples(travel_s),
        result_bytes,
        left,
        going,
        finished,
    )


def machine() -> str:
    """Return what the times are of: processor, cores, runtime."""
    from headwater.host import CPUINFO
    from models.runtime import runtime_name

    lines = CPUINFO.read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "processor")
    return f"{os.cpu_count()} cores of {model}, {runtime_name()}"[:200]


def _bodies(messages: Sequence[bytes], *, finished: bool) -> list[Frame]:
    frames = [decode(Frame, message, LIMIT_BYTES) for message in messages]
    return [frame for frame in frames if isinstance(frame.body, Finished) is finished][:KEPT]


class _Flood:
    """Publishes frames so that WINDOW of them always wait, and counts what comes back."""

    def __init__(self, at: Installation, frames: Sequence[Frame], name: str) -> None:
        self._frames, self._name, self._clock, self._topics = frames, name, StageClock(), Topics(FLEET)
        self._room = threading.Semaphore(WINDOW)
        self.answered = self.result_bytes = 0
        self.refused = ""
        subscriptions = [(self._topics.of_device(name, "result"), 0)]
        callbacks = Callbacks(on_message=self._on_message)
        self._session = Session(Address.parse(at.broker), f"flood-{name}", callbacks, subscriptions=subscriptions)
        self._session.start(10.0)

    def _on_message(self, message: Received) -> None:
        self.refused = decode(Result, message.payload, RESULT_LIMIT_BYTES).refused or self.refused
        self.answered += 1
        self.result_bytes += len(message.payload)
        self._room.release()

    def run(self, until: Callable[[], bool], sequence: int) -> int:
        """Publish until told that it is enough; return the next frame's number. Raises: HeadwaterError."""
        while not until():
            if not self._room.acquire(timeout=END_S) or self.refused:
                raise HeadwaterError(f"the worker did not answer while it was measured: {self.refused or 'silence'}")
            frame = self._frames[sequence % len(self._frames)]
            frame_id = FrameId(self._name, BOOT, sequence)
            renamed = msgspec.structs.replace(frame, id=frame_id, sent_ns=self._clock.now_ns())
            self._session.publish(self._topics.of_device(self._name, "frame"), encode(renamed))
            sequence += 1
        return sequence

    def end(self) -> None:
        """Take all answers that are still to come, and say goodbye."""
        for _ in range(WINDOW):
            self._room.acquire(timeout=END_S)
        self._session.stop()


def _flood(at: Installation, frames: Sequence[Frame], name: str) -> Flooded:
    flood, worker = _Flood(at, frames, name), at.pids["worker"]
    sequence = flood.run(lambda: flood.answered > 2 * WINDOW, 0)
    cpu, waited_s, since_s, since_ns = at.cpu_s(), waited_for_core_s(worker), time.monotonic(), time.time_ns()
    frames_before, bytes_before = flood.answered, flood.result_bytes
    flood.run(lambda: time.monotonic() > since_s + FLOOD_S, sequence)
    seconds, answered = time.monotonic() - since_s, flood.answered - frames_before
    worked_s = seconds - min(waited_for_core_s(worker) - waited_s, 0.9 * seconds)
    used = {part: taken - cpu[part] for part, taken in at.cpu_s().items()}
    until_ns, result_bytes = time.time_ns(), (flood.result_bytes - bytes_before) / answered
    flood.end()
    own = [one for one in at.records() if one.device == name and since_ns <= one.stored_ns <= until_ns]
    broker_s, store_s = (used[part] / answered for part in ("broker", "store"))
    return Flooded(worked_s, worked_s / seconds, answered, result_bytes, broker_s, store_s, own)


def _cloud(seen: Sequence[Seen], flooded: Flooded) -> CloudTimes:
    """Return what a kind of frames takes the cloud, from its frames alone and in a flood.

    In the flood a frame takes 1 / (frames a second) in all; of that its stages are known, and the rest is the reply's.
    """
    batch = len(flooded.records) / len({one.stored_ns for one in flooded.records})

    def taken_s(record: Record, *stages: Stage) -> float:
        return sum(record.stages_ns.get(stage, 0) for stage in stages) / 1e9 * flooded.share

    next_s = [taken_s(one, "decode", "tail") for one in flooded.records]
    write_s = fmean(taken_s(one, "store") for one in flooded.records)
    return CloudTimes(
        tuple(float(one.record.payload_bytes) for one in seen)[:MAX_SAMPLES],
        _samples([one.worker_s for one in seen]),
        _samples(next_s[:: max(1, len(next_s) // FRAMES)]),
        write_s,
        max(0.0, flooded.seconds / flooded.frames - fmean(next_s) - write_s / batch),
        flooded.store_s,
        flooded.broker_s,
    )


def _samples(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(round(value, 7) for value in values)[:MAX_SAMPLES]
