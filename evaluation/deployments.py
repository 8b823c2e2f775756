"""The deployments of papers/000 as real processes on this machine, each with the same pictures.

Source: papers/000, chapter 3 (EC2 at the edge, EC2 in the cloud, Lambda, split computing, early exits).
"""

from __future__ import annotations

import http.client
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from evaluation.running import Installation, installation
from evaluation.stamps import Stamps, of_finished, of_request, of_split
from headwater.children import Child, start
from headwater.clock import ClockOffset, RoundTrip, StageClock
from headwater.demo import CHATTER, START_S, STOP_S, withheld
from headwater.errors import HeadwaterError, StoreError
from headwater.messages import Answered, Record, StoredJourney, decode_json
from models.bundle import Bundle

WARM_UP: Final = 5
"""So many pictures come first in each deployment and count for nothing: the first ones load and prepare."""
ANSWER_S: Final = 60.0
KEPT_S: Final = 2.0
"""So long a connection is surely kept between two requests: servers end one that rests, ours after 5 s."""
JOURNEYS_S: Final = 10.0
EDGE, CLOUD, FUNCTION, SPLIT, EXITS = (
    "edge only", "cloud only, HTTP", "cloud only, Lambda", "split, MQTT", "split with exits, MQTT"
)  # fmt: skip
NAMES: Final = (EDGE, CLOUD, FUNCTION, SPLIT, EXITS)
TYPES: Final = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png"}

Tick = Callable[[], None]


class Unanswered(HeadwaterError):
    """A deployment did not answer a picture."""


@dataclass
class Measured:
    """What one deployment did with the pictures."""

    name: str
    stamps: list[Stamps] = field(default_factory=list)
    sent_bytes: list[float] = field(default_factory=list)
    """Of each picture, what travelled of it: body or message."""
    stayed: int = 0
    """How many were answered where they were taken."""
    first_s: float | None = None
    """Of a function: the first request, with its cold start."""


@dataclass(frozen=True)
class Task:
    """What every deployment is given."""

    bundle: Bundle
    closed: Path
    """The bundle with no exit open."""
    opened: Path
    """The bundle with its exits open."""
    split: str
    pictures: Path
    count: int
    rate: float

    @property
    def files(self) -> list[Path]:
        """The pictures in the order in which a device takes them."""
        return sorted(self.pictures.iterdir())


@dataclass(frozen=True)
class Site:
    """What is there for one deployment after the other: broker, store and worker, and what is started besides."""

    at: Installation
    bundle: Path
    running: ExitStack

    def http_worker(self) -> str:
        """Return the address of a worker over HTTP that has its model loaded."""
        name = Bundle.load(self.bundle).name
        arguments = ["worker-http", "--port", "0", "--bundle", name, "--bundles", str(self.bundle)]
        child = self.at.parts.start("http", *arguments, "--log-level", "warning")
        return child.wait_for_line("ready", START_S).split()[3]

    def function(self) -> str:
        """Return the address of a function that has not been called yet."""
        env = {
            "HEADWATER_BUNDLE": Bundle.load(self.bundle).name,
            "HEADWATER_BUNDLES": str(self.bundle),
            "HEADWATER_THREADS": "1",
        }
        command = [sys.executable, "-P", "-m", "evaluation.lambda_front"]
        child = start("function", command, env=env, without=withheld(os.environ, own_broker=False), hide=CHATTER)
        self.running.callback(child.stop, STOP_S)
        return child.wait_for_line("listening", START_S).split()[1]

    def device(self, name: str, task: Task, bundle: Path, split: str) -> Child:
        """Return a running device that takes all pictures."""
        asked = ["--frames", str(task.count + WARM_UP), "--rate", str(task.rate), "--split", split]
        return self.at.device(name, str(task.pictures), ["--bundle", str(bundle), *asked])

    def records(self, device: str) -> list[Record]:
        """Return what the store has of a device's frames."""
        return [record for record in self.at.records() if record.device == device]

    def journeys(self, device: str) -> dict[int, StoredJourney]:
        """Return by sequence what only the device could measure."""
        return {journey.sequence: journey for journey in self.at.journeys() if journey.device == device}


@contextmanager
def site(bundle: Path) -> Iterator[Site]:
    """Run what all deployments need; everything is stopped at the end."""
    with installation(str(bundle)) as at, ExitStack() as running:
        yield Site(at, bundle, running)


def measure(name: str, task: Task, where: Site, tick: Tick) -> Measured:
    """Return what one deployment did with the pictures. Raises: HeadwaterError."""
    if name == CLOUD:
        return _asked(name, where.http_worker(), task, tick)
    if name == FUNCTION:
        return _asked(name, where.function(), task, tick)
    bundle = task.opened if name == EXITS else task.closed
    return _streamed(name, task, bundle, "device" if name == EDGE else task.split, where, tick)


def _asked(name: str, url: str, task: Task, tick: Tick) -> Measured:
    """Send every picture's file to an address, one after the other on one connection that is made before the stamps."""
    measured, clock, offset, files = Measured(name), StageClock(), ClockOffset(), task.files
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=ANSWER_S)
    begin_s = time.monotonic()
    for number in range(task.count + WARM_UP):
        time.sleep(max(0.0, begin_s + number / task.rate - time.monotonic()))
        path = files[number % len(files)]
        if 1 / task.rate > KEPT_S:
            _connect_again(connection)
        sent_ns = clock.now_ns()
        body = path.read_bytes()
        found = _post(connection, body, TYPES[path.suffix.lower()], path)
        trip = RoundTrip(sent_ns, found.received_ns, found.replied_ns, clock.now_ns())
        offset.add(trip)
        known = offset.estimate(trip.returned_ns)
        stamps = of_request(trip, known) if known else None
        if number == 0 and name == FUNCTION:
            measured.first_s = (trip.returned_ns - trip.sent_ns) / 1e9
        if number >= WARM_UP and stamps:
            measured.stamps.append(stamps)
            measured.sent_bytes.append(len(body))
            tick()
    connection.close()
    return measured


def _connect_again(connection: http.client.HTTPConnection) -> None:
    connection.close()
    try:
        connection.connect()
    except OSError as error:
        raise Unanswered(f"http://{connection.host}:{connection.port}: no connection ({error})") from error


def _post(connection: http.client.HTTPConnection, body: bytes, kind: str, path: Path) -> Answered:
    try:
        connection.request("POST", "/v1/predict", body, {"Content-Type": kind})
        response = connection.getresponse()
        text = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise Unanswered(f"picture {path.name}: no answer ({error}); see the lines above") from error
    if response.status != 200:
        raise Unanswered(f"picture {path.name}: answered {response.status}: {text[:500].decode(errors='replace')}")
    return decode_json(Answered, text)


def _streamed(name: str, task: Task, bundle: Path, split: str, where: Site, tick: Tick) -> Measured:
    """Let a device take every picture, and read from the store how each went."""
    device = f"device-{NAMES.index(name)}"
    status = where.device(device, task, bundle, split).wait(START_S + ANSWER_S + 2 * (task.count + WARM_UP) / task.rate)
    if status != 0:
        raise Unanswered(f"{name}: the device ended with status {status}; see the lines above")
    records = sorted(where.records(device), key=lambda record: record.sequence)
    counted = [record for record in records if record.sequence >= WARM_UP]
    if not counted:
        raise Unanswered(f"{name}: none of {task.count} pictures was answered; see the lines above")
    return _read(name, counted, _all_journeys(where, device, counted), tick)


def _all_journeys(where: Site, device: str, records: Sequence[Record]) -> dict[int, StoredJourney]:
    """Return the journeys of all these frames; they follow their frames by up to a second. Raises: StoreError."""
    until_s = time.monotonic() + JOURNEYS_S
    while True:
        found = where.journeys(device)
        missing = [record.sequence for record in records if record.sequence not in found]
        if not missing:
            return found
        if time.monotonic() > until_s:
            raise StoreError(f"{device}: {len(missing)} of {len(records)} frames have no journey; lower --rate")
        time.sleep(0.05)


def _read(name: str, records: Sequence[Record], journeys: dict[int, StoredJourney], tick: Tick) -> Measured:
    measured = Measured(name)
    for record in records:
        if record.finished_by == "device":
            measured.stamps.append(of_finished(record.stages_ns))
            measured.stayed += 1
        else:
            went = journeys[record.sequence]
            stamps = of_split(record.stages_ns, went.uplink_ns, went.downlink_ns, went.total_ns)
            measured.stamps.append(stamps)
        measured.sent_bytes.append(record.payload_bytes)
        tick()
    return measured
