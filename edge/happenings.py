"""What the sender's thread is told by the head and the network's thread, and what it needs of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from paho.mqtt.properties import Properties

from edge.outbox import Offered
from headwater.messages import Link, Result, SettingsApplied, Status
from headwater.session import Limits, Received


@dataclass(frozen=True)
class Incoming:
    """A result or an operator's settings came in."""

    message: Received
    at_ns: int


@dataclass(frozen=True)
class Published:
    """The broker has a message of ours."""

    mid: int
    at_s: float


@dataclass(frozen=True)
class Connected:
    """The broker has accepted us, for the first time or again."""


@dataclass(frozen=True)
class Say:
    """The device has something to publish that the broker keeps."""

    topic: str
    payload: bytes


@dataclass(frozen=True)
class Wake:
    """Look at what is due."""


Happening = Offered | Incoming | Published | Connected | Say | Wake


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
    """What the sender needs of the device: its view of itself, its answer to an operator's settings, and an ear."""

    def status(self, link: Link | None) -> Status: ...
    def apply(self, payload: bytes) -> SettingsApplied | None: ...
    def answered(self, split: str, codec: str, result: Result, at_ns: int) -> None: ...
    def sized(self, split: str, codec: str, message_bytes: int) -> None: ...
