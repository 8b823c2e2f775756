"""What the sender's thread is told, by the head and by the network's thread."""

from __future__ import annotations

from dataclasses import dataclass

from headwater.messages import Frame
from headwater.session import Received


@dataclass(frozen=True)
class Offer:
    """The head has a frame to send."""

    frame: Frame
    message: bytes


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
class Wake:
    """Look at what is due."""


Happening = Offer | Incoming | Published | Connected | Wake
