"""A believable fleet without devices: records into a real store, statuses to a real broker.

python -m tests.visualizer.fake_fleet --store redis://127.0.0.1:6379 --broker mqtt://127.0.0.1:1883 --rate 4
"""

from __future__ import annotations

import argparse
import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import redis

from headwater.messages import (
    FinishedCounts,
    Link,
    Position,
    Prediction,
    Record,
    Status,
    StoredJourney,
    encode_json,
)
from headwater.session import Address, Callbacks, Session

DIGEST = "5b1f" * 16
SPLITS = ("block_5_add", "block_12_add", "image", "device")
CENTRE = (43.4633, 11.8796)  # Arezzo


@dataclass
class FakeDevice:
    """One device on a walk around its own quarter of the town."""

    name: str
    split: str = "block_5_add"
    boot: str = "9f3c2a1b"
    source: str = "exif"
    placed: bool = True
    chance: random.Random = field(default_factory=lambda: random.Random(1))
    sequence: int = 0
    place: tuple[float, float] = CENTRE
    heading: float = 0.0

    def record(self, now_ns: int, fleet: str = "demo") -> Record:
        """Return its next frame."""
        self.heading += self.chance.gauss(0, 0.25)
        step = 7e-5 + 6e-5 * self.chance.random()
        self.place = (
            self.place[0] + step * math.cos(self.heading),
            self.place[1] + 1.4 * step * math.sin(self.heading),
        )
        dirty = min(0.995, max(0.005, 0.5 + 0.5 * math.sin(self.sequence / 9) + self.chance.gauss(0, 0.18)))
        number, self.sequence = self.sequence, self.sequence + 1
        on_device = self.split == "device"
        position = Position(*self.place, self.source, 4.0 if self.source == "gpsd" else None) if self.placed else None
        return Record(
            version=1, fleet=fleet, device=self.name, boot=self.boot, sequence=number,
            captured_ns=now_ns - 60_000_000, stored_ns=now_ns, bundle="litter", digest=DIGEST, split=self.split,
            codec="none" if on_device else "jpeg" if self.split == "image" else "int8+zstd",
            payload_bytes={"image": 15_800, "device": 140}.get(self.split, 4_700) + self.chance.randrange(900),
            finished_by="device" if on_device else "worker", worker=None if on_device else "tower-1234",
            predictions=[prediction(dirty)], stages_ns=self._stages(), position=position,
            name=f"DSCN{number % 10000:04d}.jpg",
        )  # fmt: skip

    def _stages(self) -> dict[str, int]:
        means_ms = {"capture": 3.1, "crop": 0.5, "head": 2.2, "encode": 0.4, "spool": 1.1, "inbox": 0.6, "decode": 0.25,
                    "batch": 0.9, "tail": 1.6, "store": 0.5}  # fmt: skip
        if self.split == "device":
            means_ms = {"capture": 3.1, "head": 3.9, "encode": 0.1, "spool": 1.1, "inbox": 0.6, "store": 0.5}
        return {name: int(1e6 * ms * self.chance.lognormvariate(0, 0.3)) for name, ms in means_ms.items()}

    def journey(self, record: Record) -> StoredJourney:
        """Return what it reports of that frame a moment later."""
        up_ns, down_ns = (int(1e6 * ms * self.chance.lognormvariate(0, 0.4)) for ms in (6.5, 3.0))
        total_ns = sum(record.stages_ns.values()) + up_ns + down_ns
        return StoredJourney(self.name, self.boot, record.sequence, up_ns, down_ns, 420_000, total_ns)

    def status(self, now_ns: int, *, online: bool = True, captured_ago_s: float = 0.2) -> Status:
        """Return its description of itself."""
        done = FinishedCounts(
            self.sequence if self.split == "device" else 0, 0 if self.split == "device" else self.sequence
        )
        return Status(
            version=1, device=self.name, online=online, since_ns=now_ns - 3600 * 10**9, sent_ns=now_ns, bundle="litter",
            digest=DIGEST, split=self.split, codec="int8+zstd", source="folder pictures",
            position=Position(*self.place, self.source) if self.placed else None,
            frames_per_s=round(4.9 + self.chance.random(), 2),
            bytes_per_frame=5120.0, captured=self.sequence + 5, finished=done, dropped={"overflow": 3}, in_flight=2,
            spool_bytes=self.chance.randrange(20_000_000), spool_limit_bytes=268_435_456,
            link=Link(5.1e7, 1.3), last_captured_ns=now_ns - int(captured_ago_s * 1e9),
        )  # fmt: skip


def prediction(dirty: float) -> Prediction:
    """Return the litter task's word for that probability."""
    label, sure = ("dirty", dirty) if dirty > 0.5 else ("clean", 1 - dirty)
    return Prediction("litter", label, None, round(sure, 4), [round(1 - dirty, 4), round(dirty, 4)])


def fleet_of(count: int, seed: int = 7) -> list[FakeDevice]:
    """Return devices around the town, with all kinds of sources and splits."""
    chance = random.Random(seed)
    sources = ("exif", "gpx", "gpsd", "made-up")
    return [
        FakeDevice(
            f"cam{n + 1}", SPLITS[n % len(SPLITS)], f"{0x9F3C2A00 + n:08x}", sources[n % len(sources)], n % 5 != 4,
            random.Random(seed + n), place=(CENTRE[0] + chance.gauss(0, 0.004), CENTRE[1] + chance.gauss(0, 0.006)),
            heading=chance.random() * 6.28,
        )
        for n in range(count)
    ]  # fmt: skip


def add(store: redis.Redis, message: Record | StoredJourney, fleet: str = "demo") -> str:
    """Write a record or a journey into its stream and return the entry's id."""
    kind, name = ("results", "record") if isinstance(message, Record) else ("journeys", "journey")
    return store.xadd(
        f"headwater:{fleet}:{kind}", {name: encode_json(message)}, maxlen=100_000, approximate=True
    ).decode()


def fill(store: redis.Redis, devices: list[FakeDevice], frames: int, every_s: float = 1.0) -> None:
    """Write a past of `frames` frames per device; entries get today's ids, times of capture lie in the past."""
    now_ns = time.time_ns()
    for n in range(frames):
        for device in devices:
            record = device.record(now_ns - int((frames - n) * every_s * 1e9))
            add(store, record)
            if n % 7:
                add(store, device.journey(record))


def broker_session(url: str) -> Session:
    """Return a started session that publishes statuses."""
    session = Session(Address.parse(url), "fake-fleet", Callbacks())
    session.start(10)
    return session


def say(session: Session, status: Status, fleet: str = "demo") -> None:
    """Publish one retained status."""
    session.publish(f"headwater/v1/{fleet}/{status.device}/status", encode_json(status), retain=True)


def as_json(message: msgspec.Struct) -> dict[str, Any]:
    """Return a message as plain values, for tests that spoil it."""
    return msgspec.to_builtins(message)


def run(store: redis.Redis, session: Session | None, devices: list[FakeDevice], rate: float) -> Iterator[Record]:
    """Write frames for ever, `rate` a second in all, journeys a moment later, statuses once a second."""
    said_s, late, due_s = 0.0, [], time.monotonic()
    while True:
        device = random.choice(devices)
        record = device.record(time.time_ns())
        add(store, record)
        late.append((time.monotonic() + 1, device.journey(record)))
        while late and late[0][0] < time.monotonic():
            add(store, late.pop(0)[1])
        if session and time.monotonic() - said_s > 1:
            said_s = time.monotonic()
            for one in devices:
                say(session, one.status(time.time_ns(), captured_ago_s=400 if one.name == "cam3" else 0.2))
        yield record
        due_s += 1 / rate
        time.sleep(max(0.0, due_s - time.monotonic()))


def main() -> None:
    """Fill a store and go on until Ctrl-C."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--store", default="redis://127.0.0.1:6379")
    parser.add_argument("--broker")
    parser.add_argument("--devices", type=int, default=6)
    parser.add_argument("--past", type=int, default=40)
    parser.add_argument("--rate", type=float, default=4.0)
    parser.add_argument("--seconds", type=float, default=math.inf)
    options = parser.parse_args()
    store, devices = redis.Redis.from_url(options.store), fleet_of(options.devices)
    session = broker_session(options.broker) if options.broker else None
    fill(store, devices, options.past)
    if session:
        say(
            session,
            FakeDevice("cam0", sequence=812, placed=False).status(time.time_ns(), online=False, captured_ago_s=5000),
        )
    until_s = time.monotonic() + options.seconds
    for _ in run(store, session, devices, options.rate):
        if time.monotonic() > until_s:
            return


if __name__ == "__main__":
    main()
