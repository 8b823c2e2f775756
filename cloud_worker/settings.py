"""What a worker can be told."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter

from headwater.address import NOBODY, BrokerUser
from headwater.errors import SettingsError
from headwater.logs import Level, LogFormat
from headwater.settings import check_ranges, first_line
from headwater.sight import parse_address
from headwater.topics import SHARE_GROUP, checked_name
from headwater.traces import check_traces
from headwater.verdict import LONGEST_S, UNWELL_AFTER_S, check_unwell_after
from models.choices import EngineName

ENVELOPE_BYTES: Final = 65_536
BATCH: Final[Mapping[EngineName, int]] = {"litert": 8, "tensorflow": 32}
"""How many frames a batch has at most when nothing is said, by engine."""
_LIMITS: Final = {
    "processes": (0, 256),
    "threads": (1, 64),
    "batch": (1, 1024),
    "batch_wait_ms": (0, 10_000),
    "inbox": (1, 65_535),
    "max_frame_bytes": (1024, 256_000_000),
    "inbox_bytes": (1024, 2**40),
    "history": (1, 2**40),
    "seen_days": (1, 3650),
}


@dataclass(frozen=True)
class WorkerSettings:
    """Where a worker gets its frames, what it finishes them with, and its bounds."""

    broker: str = "mqtt://127.0.0.1:1883"
    """Address of the broker: mqtt://HOST[:PORT], or mqtts:// with TLS."""
    user: Annotated[BrokerUser, Parameter(name="*")] = NOBODY
    store: str = "redis://127.0.0.1:6379"
    """Address of the Redis or Valkey store: redis://HOST[:PORT][/DB], rediss:// with TLS."""
    store_password_file: Path | None = None
    """File whose first line is the password at the store."""
    fleet: str = "demo"
    """Fleet whose frames are finished."""
    group_file: Path | None = None
    """File whose first line is a word that all workers of the fleet have and no device: frames are shared in a group of
    that name, in which nobody else can take turns. Without it the group is called workers."""
    name: str = ""
    """Name of this worker in results and records; by default host and process id. Of several processes each adds its
    number to it."""
    bundles: tuple[Path, ...] = ()
    """Folders with more model bundles; those that ship with Headwater are always there."""
    processes: int = 0
    """Worker processes, each with its own inbox; 0 for as many as there are cores to use, with tensorflow for one."""
    engine: EngineName = "litert"
    """What runs the tails: litert, or tensorflow (the extra tensorflow), which pays with a GPU: see docs/worker.md."""
    threads: int = 1
    """LiteRT threads of each process; more processes use more cores better than more threads do."""
    batch: int | None = None
    """At most so many frames are stored and acknowledged together, and run together by tensorflow; by default 8, with
    tensorflow 32."""
    batch_wait_ms: float = 0
    """How long to wait for a full batch once there is one frame; 0 takes what is there."""
    inbox: int = 256
    """Frames that may wait in this worker; also the receive window announced to the broker."""
    inbox_bytes: int = 64_000_000
    """Payload bytes that may wait in this worker."""
    max_frame_bytes: int = 4_000_000
    """Longer frames are refused."""
    history: int = 100_000
    """About so many results, and journeys, are kept in the store."""
    seen_days: int = 365
    """How long the store knows a frame that a device sends again: more than any device is without a link."""
    log_level: Level = "info"
    """Lowest level of log lines on stderr: debug, info, warning or error."""
    log_format: LogFormat = "text"
    """Lines of text, or one JSON object a line."""
    metrics: str | None = None
    """[HOST:]PORT where GET /metrics and GET /health are answered; a bare port is this machine's alone. Of several
    processes the second answers one port further on, and so forth."""
    unwell_after: float = UNWELL_AFTER_S
    """Seconds that one frame may take, frames may wait, or broker or store be away before /health answers 503."""
    hang_after: float = 60.0
    """Seconds that one frame may be in hand before the process ends with status 70, for a supervisor to start another;
    more than the slowest tail takes. 0: never."""
    in_hand_file: Path | None = None
    """File that tells the next process what this one had in hand, so that a frame at which workers hang or crash is
    refused; with it --processes 1 runs without a parent, which would remember it, for a supervisor that starts it
    again."""
    traces: str | None = None
    """http[s]://HOST[:PORT] of an OpenTelemetry collector that is told of the frames that their devices have sampled;
    the extra traces."""

    def __post_init__(self) -> None:
        check_ranges(self, _LIMITS)
        check_unwell_after(self.unwell_after)
        if not (self.hang_after == 0 or 1 <= self.hang_after <= LONGEST_S):
            raise SettingsError(
                f"--hang-after: got {self.hang_after:g}, expected 1 to {LONGEST_S:g} seconds, or 0: never"
            )
        if self.inbox_bytes < self.packet_limit_bytes:
            raise SettingsError(
                f"--inbox-bytes: got {self.inbox_bytes}, expected at least {self.packet_limit_bytes}, room for one"
                " message; raise it or lower --max-frame-bytes"
            )
        checked_name("--fleet", self.fleet)
        if self.name:
            checked_name("--name", self.name)
        if self.metrics is not None:
            parse_address(self.metrics)
        check_traces(self.traces)

    def group(self) -> str:
        """Return the name of the group in which workers share frames. Raises: SettingsError."""
        if self.group_file is None:
            return SHARE_GROUP
        word = first_line("--group-file", self.group_file, "group's name")
        try:
            return checked_name("--group-file", word)
        except SettingsError:
            raise SettingsError(
                f"--group-file: {self.group_file}: the first line cannot be a name,"
                " expected 1 to 64 of a-z A-Z 0-9 . - _, the first a letter or digit; write such a word"
            ) from None

    @property
    def batch_size(self) -> int:
        """The most frames of one batch."""
        return self.batch or BATCH[self.engine]

    @property
    def packet_limit_bytes(self) -> int:
        """The longest MQTT packet to take: a frame up to twice too long still comes in, to be refused with a reason."""
        return 2 * self.max_frame_bytes + ENVELOPE_BYTES


def default_name() -> str:
    """Return host and process id as a name that can stand in topics and keys."""
    host = re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname()).lstrip("_.-")[:48]
    return f"{host or 'worker'}-{os.getpid()}"
