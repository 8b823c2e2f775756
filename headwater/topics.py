"""Where on the broker each kind of message lives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from headwater.errors import SettingsError
from headwater.messages import Name

SHARE_GROUP: Final = "workers"
CONTENT_TYPES: Final = {
    "frame": "application/msgpack",
    "result": "application/msgpack",
    "journey": "application/msgpack",
    "status": "application/json",
    "decision": "application/json",
    "settings": "application/json",
    "settings/applied": "application/json",
    "dead": "application/json",
}
"""What each kind of topic carries, as its messages' content type says."""


def checked_name(what: str, name: str) -> str:
    """Return `name` if it can stand in a topic. Raises: SettingsError."""
    try:
        return msgspec.convert(name, Name)
    except msgspec.ValidationError:
        raise SettingsError(
            f"{what}: got {name[:80]!r}, expected 1 to 64 of a-z A-Z 0-9 . - _, the first a letter or digit"
        ) from None


@dataclass(frozen=True)
class Topics:
    """The topics of one fleet: `headwater/v1/{fleet}/…`."""

    fleet: str

    def __post_init__(self) -> None:
        checked_name("fleet", self.fleet)

    @property
    def root(self) -> str:
        """Return the prefix that all topics of the fleet share."""
        return f"headwater/v1/{self.fleet}"

    def of_device(self, device: str, kind: str) -> str:
        """Return a device's topic; `kind` is one of CONTENT_TYPES except dead."""
        return f"{self.root}/{device}/{kind}"

    def shared(self, kind: str, group: str = SHARE_GROUP) -> str:
        """Return the subscription by which the workers of a group share what all devices send."""
        return f"$share/{group}/{self.root}/+/{kind}"

    def every(self, kind: str) -> str:
        """Return the subscription for what every device sends."""
        return f"{self.root}/+/{kind}"

    @property
    def dead(self) -> str:
        """Return the topic of refused messages."""
        return f"{self.root}/dead"

    def device_in(self, topic: str) -> str | None:
        """Return the device that a topic of this fleet belongs to, or None."""
        prefix = f"{self.root}/"
        if not topic.startswith(prefix):
            return None
        device, _, kind = topic[len(prefix) :].partition("/")
        return device if kind else None
