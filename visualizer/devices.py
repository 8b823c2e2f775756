"""The devices of a fleet: what they say of themselves over MQTT, or what the frames say of them."""

from __future__ import annotations

import dataclasses
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from msgspec.structs import replace

from headwater.errors import WireError
from headwater.messages import Decision, Status, decode_json
from headwater.session import Address, Callbacks, Received, Session
from headwater.topics import Topics
from visualizer.reader import Connection
from visualizer.window import Sighting

STATUS_LIMIT_BYTES: Final = 65_536
MOST_DEVICES: Final = 10_000
STALE_S: Final = 60.0
"""A device that is online but has captured nothing for so long is not well."""
RATE_SPAN_S: Final = 60.0

State = Literal["online", "stale", "offline", "seen"]
OnOther = Callable[[str, bytes], None]
"""Takes a device's name, as its topic has it, and a payload."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A device's last status, when it came, and whether it may be an old one that the broker had kept."""

    status: Status
    received_ns: int
    retained: bool
    decision: Decision | None = None
    """Its last one since it started; None where its split is what somebody set."""


class Devices(Protocol):
    """Where the statuses come from."""

    connection: Connection | None
    """None: no broker was given."""
    version: int
    on_change: Callable[[], None]

    def heard(self) -> list[Heard]:
        """Return the last status of every device."""

    def start(self) -> None:
        """Begin to listen."""

    def stop(self) -> None:
        """Stop listening."""


class NoBroker:
    """Devices without a broker: nothing is heard."""

    connection: Connection | None = None
    version = 0
    on_change: Callable[[], None] = staticmethod(lambda: None)

    def heard(self) -> list[Heard]:
        """Return nothing."""
        return []

    def start(self) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing."""


class StatusReader:
    """Listens to the statuses of a fleet and writes nothing."""

    def __init__(
        self,
        address: Address,
        fleet: str,
        wall_ns: Callable[[], int] = time.time_ns,
        *,
        who: str = "site",
        decisions: bool = True,
        also: Mapping[str, OnOther] | None = None,
    ) -> None:
        """Listen as `who`; `also` takes further kinds of what devices send and are sent, on the network thread."""
        self.on_change: Callable[[], None] = lambda: None
        self.connection: Connection | None = Connection(False, wall_ns())
        self.version = self.refused = 0
        self._wall_ns, self._topics, self._also = wall_ns, Topics(fleet), dict(also or {})
        self._lock = threading.Lock()
        self._heard: dict[str, Heard] = {}
        self._decisions: dict[str, Decision] = {}
        self._fresh: set[str] = set()
        kinds = ("status", *(["decision"] if decisions else []), *self._also)
        callbacks = Callbacks(
            on_message=self.take,
            on_connected=lambda: self._connected(True),
            on_disconnected=lambda: self._connected(False),
        )
        self._session = Session(
            address,
            f"{who}-{secrets.token_hex(4)}",
            callbacks,
            subscriptions=[(self._topics.every(kind), 0) for kind in kinds],
            packet_limit_bytes=STATUS_LIMIT_BYTES,
        )

    def start(self, deadline_s: float | None = None) -> None:
        """Begin to connect; with a deadline, wait for it. Raises: BrokerError when it passes."""
        self._session.start(deadline_s)

    def stop(self) -> None:
        """Say goodbye to the broker."""
        self._session.stop()

    def heard(self) -> list[Heard]:
        """Return the last status of every device."""
        with self._lock:
            return [
                dataclasses.replace(one, decision=_in_force(self._decisions.get(one.status.device), one.status))
                for one in self._heard.values()
            ]

    def take(self, message: Received) -> None:
        """Keep one status or decision; an empty one is forgotten, one that is none of ours is counted."""
        device = self._topics.device_in(message.topic)
        if device is None:
            return
        kind = message.topic.removeprefix(self._topics.of_device(device, ""))
        if kind in self._also:
            self._also[kind](device, message.payload)
            return
        is_decision = kind == "decision"
        with self._lock:
            if not message.payload:
                (self._decisions if is_decision else self._heard).pop(device, None)
            elif is_decision:
                self._decide(device, message.payload)
            else:
                self._keep(device, message.payload)
            self.version += 1
        self.on_change()

    def _keep(self, device: str, payload: bytes) -> None:
        try:
            status = decode_json(Status, payload, STATUS_LIMIT_BYTES)
        except WireError:
            self.refused += 1
            return
        if status.device != device or (device not in self._heard and len(self._heard) >= MOST_DEVICES):
            self.refused += 1
            return
        status = _spoken_for(status, self._heard.get(device))
        self._heard[device] = Heard(status, self._wall_ns(), retained=device not in self._fresh)
        self._fresh.add(device)

    def _decide(self, device: str, payload: bytes) -> None:
        try:
            decision = decode_json(Decision, payload, STATUS_LIMIT_BYTES)
        except WireError:
            self.refused += 1
            return
        if decision.device != device or (device not in self._decisions and len(self._decisions) >= MOST_DEVICES):
            self.refused += 1
            return
        self._decisions[device] = decision

    def _connected(self, there: bool) -> None:
        with self._lock:
            self._fresh.clear()
            self._decisions.clear()  # the broker tells those that hold again
            self.connection = Connection(there, self._wall_ns())
        self.on_change()


def is_will(status: Status) -> bool:
    """Tell whether the broker says this for a device that is gone; it was written when the device started."""
    return not status.online and status.sent_ns == status.since_ns


def _in_force(decision: Decision | None, status: Status) -> Decision | None:
    """Return a decision of a device that runs and has made it in this run; both times are the device's own."""
    return decision if decision is not None and status.online and decision.at_ns >= status.since_ns else None


def _spoken_for(status: Status, before: Heard | None) -> Status:
    """Return a will with what the device said last before it was gone; any other status as it is."""
    if before is None or not is_will(status) or before.status.since_ns != status.since_ns:
        return status
    return replace(before.status, online=False)


@dataclass(frozen=True)
class DeviceRow:
    """A device as the site shows it; `status` is None when only its frames are known."""

    name: str
    state: State
    last_captured_ns: int | None
    split: str
    codec: str
    frames_per_s: float
    bytes_per_frame: float
    frames: int
    """How many of its frames are in the window."""
    status: Status | None = None
    decision: Decision | None = None


def device_rows(heard: Iterable[Heard], sightings: Iterable[Sighting], now_ns: int) -> list[DeviceRow]:
    """Return every device by name: its own word where there is one, else what its frames tell."""
    frames: dict[str, list[Sighting]] = {}
    for sighting in sightings:
        frames.setdefault(sighting.record.device, []).append(sighting)
    rows = {name: _from_frames(name, group, now_ns) for name, group in frames.items()}
    for one in heard:
        rows[one.status.device] = _from_status(one, len(frames.get(one.status.device, ())), now_ns)
    return [rows[name] for name in sorted(rows)]


def state_of(heard: Heard, now_ns: int) -> State:
    """Return offline, online, or stale: online, and yet nothing captured for STALE_S.

    The age is taken on the device's own clock plus the time since its status came, so that a wrong clock on a device
    does not make it stale; only a status that the broker had kept is held against our wall clock.
    """
    status = heard.status
    if not status.online:
        return "offline"
    last_ns = status.since_ns if status.last_captured_ns is None else status.last_captured_ns
    then_ns = last_ns if heard.retained else last_ns + heard.received_ns - status.sent_ns
    return "stale" if now_ns - then_ns > STALE_S * 1e9 else "online"


def _from_status(heard: Heard, frames: int, now_ns: int) -> DeviceRow:
    status = heard.status
    return DeviceRow(
        status.device,
        state_of(heard, now_ns),
        status.last_captured_ns,
        status.split,
        status.codec,
        status.frames_per_s,
        status.bytes_per_frame,
        frames,
        status,
        heard.decision,
    )


def _from_frames(name: str, group: list[Sighting], now_ns: int) -> DeviceRow:
    last = max(group, key=lambda s: s.record.captured_ns).record
    recent = sum(now_ns - s.record.stored_ns < RATE_SPAN_S * 1e9 for s in group)
    size = sum(s.record.payload_bytes for s in group) / len(group)
    return DeviceRow(name, "seen", last.captured_ns, last.split, last.codec, recent / RATE_SPAN_S, size, len(group))
