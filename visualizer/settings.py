"""What the site can be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from headwater.errors import SettingsError
from headwater.logs import Level, LogFormat
from headwater.sight import parse_address
from headwater.topics import checked_name
from headwater.traces import check_traces
from headwater.verdict import UNWELL_AFTER_S, check_unwell_after
from visualizer.security import checked_public_name

LARGEST_WINDOW: Final = 100_000
OSM_TILES: Final = "https://tile.openstreetmap.org/{z}/{x}/{y}.png"


@dataclass(frozen=True, kw_only=True)
class SiteSettings:
    """Where the site gets its frames, where it answers, and what it shows."""

    store: str = "redis://127.0.0.1:6379"
    """The Redis or Valkey that the workers write to."""
    store_password_file: Path | None = None
    """A file whose first line is the password for the store."""
    broker: str | None = None
    """Where the devices report, mqtt://HOST[:PORT]; without it the devices are those in the store."""
    username: str | None = None
    """For the broker."""
    password: str | None = field(default=None, repr=False)
    """For the broker; better set as HEADWATER_PASSWORD."""
    password_file: Path | None = None
    """A file whose first line is the password for the broker."""
    ca_file: Path | None = None
    """The authority that signed the broker's certificate."""
    certificate: Path | None = None
    """Our own certificate for the broker."""
    key: Path | None = None
    """The key of our certificate."""
    fleet: str = "demo"
    """The fleet to show."""
    host: str = "127.0.0.1"
    """The address to listen on; the site asks nobody for a password, so the default is this machine only."""
    port: int = 8050
    """The port to listen on; 0 takes a free one."""
    public_name: str | None = None
    """The host name under which a proxy offers the site, such as site.example; without it a site that listens on this
    machine only answers to 127.0.0.1, localhost and [::1] alone."""
    window_frames: int = 5000
    """How many of the newest frames every browser holds."""
    tiles: str = OSM_TILES
    """The address of street tiles, asked for by the browser; none for a map that asks nobody."""
    log_level: Level = "info"
    """What is written to stderr."""
    log_format: LogFormat = "text"
    """Lines of text, or one JSON object a line."""
    metrics: str | None = None
    """[HOST:]PORT where GET /metrics and GET /health are answered, too, for those who shall not reach the site; a bare
    port is this machine's alone."""
    unwell_after: float = UNWELL_AFTER_S
    """Seconds without an answer of the store before /health answers 503."""
    traces: str | None = None
    """http[s]://HOST[:PORT] of an OpenTelemetry collector that is told when a traced frame was read and sent to a
    browser; the extra traces."""

    def __post_init__(self) -> None:
        checked_name("fleet", self.fleet)
        if not 1 <= self.window_frames <= LARGEST_WINDOW:
            raise SettingsError(f"window-frames: got {self.window_frames}, expected 1 to {LARGEST_WINDOW}")
        if self.public_name:
            checked_public_name(self.public_name)
        check_unwell_after(self.unwell_after)
        if self.metrics is not None:
            parse_address(self.metrics)
        check_traces(self.traces)
