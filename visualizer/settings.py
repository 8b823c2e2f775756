"""What the site can be told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter

from headwater.address import NOBODY, BrokerUser
from headwater.errors import SettingsError
from headwater.logs import Level, LogFormat
from headwater.settings import check_ranges
from headwater.sight import parse_address
from headwater.topics import checked_name
from headwater.traces import check_traces
from headwater.verdict import UNWELL_AFTER_S, check_unwell_after
from visualizer.door.proxies import LOOPBACK, Proxies, checked_header, checked_names
from visualizer.security import checked_public_name

LARGEST_WINDOW: Final = 100_000
MIN_SESSION_HOURS: Final = 0.01
MAX_SESSION_HOURS: Final = 720.0
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
    user: Annotated[BrokerUser, Parameter(name="*")] = NOBODY
    fleet: str = "demo"
    """The fleet to show."""
    host: str = "127.0.0.1"
    """The address to listen on, this machine only by default; another needs --users, --trust-header or
    --open-to-all."""
    port: int = 8050
    """The port to listen on; 0 takes a free one."""
    public_name: str | None = None
    """The host name under which a proxy offers the site, such as site.example; without it a site that listens on this
    machine only answers to 127.0.0.1, localhost and [::1] alone."""
    users: Path | None = None
    """A password file, written with headwater users add: only those in it may look."""
    session_hours: float = 12.0
    """So long somebody stays signed in."""
    trust_header: str | None = None
    """The header in which a proxy says who asks, such as X-Forwarded-User: only those whom it names may look."""
    trusted_proxy: str = LOOPBACK
    """ADDRESS or NETWORK/BITS, and further ones behind commas: whose word on who asks, and from where, is taken."""
    operators: str | None = None
    """Of the names in --trust-header, those who may set devices, with commas between."""
    open_to_all: bool = False
    """Let everybody look who reaches the address in --host."""
    operator_username: str | None = None
    """The broker's user that may set devices; with it operators who are signed in can."""
    operator_password_file: Path | None = None
    """A file whose first line is that user's password."""
    operator_certificate: Path | None = None
    """That user's certificate, for a broker that takes users' names from them, or asks for both."""
    operator_key: Path | None = None
    """The key of that certificate."""
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
        check_ranges(self, {"session_hours": (MIN_SESSION_HOURS, MAX_SESSION_HOURS)})
        self._check_who_may_look()
        self._check_who_may_set()

    @property
    def asks_who(self) -> bool:
        """Tell whether only those may look who prove who they are."""
        return self.users is not None or self.trust_header is not None

    def _check_who_may_look(self) -> None:
        Proxies.parse(self.trusted_proxy)
        if self.users is not None and self.trust_header is not None:
            raise SettingsError("--users: got --trust-header too, expected one way to prove who one is; leave one out")
        if self.asks_who and self.open_to_all:
            raise SettingsError("--open-to-all: got --users or --trust-header too, which ask who looks; leave one out")
        if self.trust_header is not None:
            checked_header(self.trust_header)
        if self.operators is not None:
            checked_names(self.operators)
            if self.trust_header is None:
                raise SettingsError("--operators: names come with --trust-header; a password file has roles of its own")

    @property
    def sets_devices(self) -> bool:
        """Tell whether operators who are signed in may set devices."""
        return self.operator_username is not None or self.operator_certificate is not None

    def _check_who_may_set(self) -> None:
        if self.operator_username is None and self.operator_password_file is not None:
            raise SettingsError("--operator-password-file: expected --operator-username with it; give both, or neither")
        if self.operator_username is not None and not (self.operator_password_file or self.operator_certificate):
            raise SettingsError(
                "--operator-username: expected --operator-password-file or --operator-certificate with it; give one"
            )
        if self.operator_key is not None and self.operator_certificate is None:
            raise SettingsError("--operator-key: expected --operator-certificate with it; give both, or neither")
        if self.sets_devices and (self.broker is None or not self.asks_who):
            raise SettingsError(
                "--operator-username, --operator-certificate: expected --broker, and --users or --trust-header: only "
                "who has proven to be an operator sets devices; give them, or leave it out"
            )
