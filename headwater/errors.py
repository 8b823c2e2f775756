"""Every error that Headwater reports to a person.

HeadwaterError              one line on stderr, exit status 2
├── SettingsError           a flag, variable or key that cannot be used
├── WireError               bytes from the network that are refused
│   ├── Malformed           not a message of ours
│   ├── UnknownVersion      a message of another version
│   ├── TooLarge            a length over the receiver's limit
│   └── BadTensor           an activation that does not describe itself
├── SourceError             a camera, file or address that gives no pictures
├── LocationError           a position source that cannot be used
├── SpoolError              the device's disk queue cannot be used
├── BrokerError             no broker, or it refused
├── StoreError              no store, or it refused
├── EngineError             no container engine, or it refused
├── ChildError              a process that we started ended or stayed silent
└── MissingPart             a package or program that is not installed
"""

from __future__ import annotations


class HeadwaterError(Exception):
    """The base of every error whose message is meant for a person."""


class SettingsError(HeadwaterError):
    """A flag, environment variable or file key cannot be used."""


class WireError(HeadwaterError):
    """Bytes from the network are refused."""


class Malformed(WireError):
    """The bytes are not a message of ours."""


class UnknownVersion(WireError):
    """A message is of a version that this program does not speak."""

    def __init__(self, got: int, known: int) -> None:
        super().__init__(f"message of version {got}, this program speaks {known}; update the older side")
        self.got, self.known = got, known


class TooLarge(WireError):
    """A message announces more than this receiver accepts."""

    def __init__(self, what: str, got_bytes: int, limit_bytes: int) -> None:
        super().__init__(
            f"{what} of {got_bytes} B is over the limit of {limit_bytes} B; raise the limit or pick a deeper split"
        )
        self.got_bytes, self.limit_bytes = got_bytes, limit_bytes


class BadTensor(WireError):
    """An activation's bytes do not match its own description."""


class SourceError(HeadwaterError):
    """A camera, file or address gives no pictures."""


class LocationError(HeadwaterError):
    """A source of positions cannot be used."""


class SpoolError(HeadwaterError):
    """The device's disk queue cannot be used."""


class BrokerError(HeadwaterError):
    """There is no broker, or it refused."""


class StoreError(HeadwaterError):
    """There is no store, or it refused."""


class EngineError(HeadwaterError):
    """There is no container engine, or it refused."""


class ChildError(HeadwaterError):
    """A child process ended, or stayed silent, when it was needed."""

    def __init__(self, name: str, what: str, last_words: str) -> None:
        super().__init__(f"{name} {what}; its last line: {last_words or '(none)'}")
        self.name, self.last_words = name, last_words


class MissingPart(HeadwaterError):
    """A package or program is not installed."""

    def __init__(self, what: str, needed_for: str, remedy: str) -> None:
        super().__init__(f"{what} is not installed, needed for {needed_for}; {remedy}")
        self.what, self.needed_for, self.remedy = what, needed_for, remedy
