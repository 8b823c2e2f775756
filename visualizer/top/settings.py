"""What `headwater top` can be told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter

from headwater.address import NOBODY, BrokerUser
from headwater.settings import check_ranges
from headwater.topics import checked_name
from visualizer.top.order import Sort

_LIMITS: Final = {"interval": (0.2, 3600.0)}


@dataclass(frozen=True, kw_only=True)
class TopSettings:
    """Where the fleet is heard, and how it is shown."""

    broker: str = "mqtt://127.0.0.1:1883"
    """Where the devices report, mqtt://HOST[:PORT] or mqtts:// with TLS."""
    user: Annotated[BrokerUser, Parameter(name="*")] = NOBODY
    store: str | None = None
    """The Redis or Valkey that the workers write to; with it, how long earlier frames took is known, too."""
    store_password_file: Path | None = None
    """A file whose first line is the password for the store."""
    fleet: str = "demo"
    """The fleet to show."""
    sort: Sort = "name"
    """What the devices are sorted by; what needs a person comes first. The key s changes it."""
    interval: float = 2.0
    """Seconds from one look to the next; so long --once listens."""

    def __post_init__(self) -> None:
        check_ranges(self, _LIMITS)
        checked_name("fleet", self.fleet)
