"""What a worker over HTTP can be told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from headwater.errors import SettingsError
from headwater.logs import Level, LogFormat
from headwater.settings import check_ranges
from headwater.topics import checked_name
from headwater.traces import check_share, check_traces
from headwater.verdict import UNWELL_AFTER_S, check_unwell_after

# The most pixels are those up to which Pillow does not warn of a decompression bomb.
_LIMITS: Final = {
    "threads": (1, 64),
    "waiting": (1, 65_535),
    "max_body_bytes": (1024, 256_000_000),
    "bodies_bytes": (1024, 2**40),
    "max_pixels": (1024, 89_478_485),
    "upload_timeout": (0.1, 3600),
    "connections": (1, 65_535),
}


@dataclass(frozen=True)
class HttpSettings:
    """Where a worker answers, with what, and its bounds."""

    host: str = "127.0.0.1"
    """Address to listen on; nobody is asked for a password, so the default is this machine only."""
    port: int = 8080
    """Port to listen on; 0 takes a free one."""
    name: str = ""
    """Name of this worker in answers; by default host and process id."""
    bundle: str = "litter"
    """Bundle of requests that name none; its model is loaded before the worker is ready."""
    bundles: tuple[Path, ...] = ()
    """Folders with more model bundles; those that ship with Headwater are always there."""
    threads: int = 1
    """LiteRT threads; more workers use more cores better than more threads do."""
    waiting: int = 32
    """Requests that may be in hand or wait; others are answered 503 with Retry-After."""
    max_body_bytes: int = 10_000_000
    """Longer bodies are refused with 413, and never held."""
    bodies_bytes: int = 64_000_000
    """Bytes of all bodies together that may be held; while they are, others are answered 503."""
    max_pixels: int = 50_000_000
    """Larger pictures are refused; over 16,000,000 also those that must be held whole: see docs/http.md."""
    upload_timeout: float = 30.0
    """Seconds in which a request's head, and then its body, must have come."""
    connections: int = 256
    """Connections at once; with more, requests are answered 503."""
    log_level: Level = "info"
    """Lowest level of log lines on stderr: debug, info, warning or error."""
    log_format: LogFormat = "text"
    """Lines of text, or one JSON object a line."""
    unwell_after: float = UNWELL_AFTER_S
    """Seconds that one request may be computed before /health answers 503."""
    traces: str | None = None
    """http[s]://HOST[:PORT] of an OpenTelemetry collector that is told of requests and their stages; the extra
    traces."""
    trace_share: float = 1.0
    """The share of requests that it is told of, 0 to 1, of those without a traceparent of who asks."""

    def __post_init__(self) -> None:
        check_ranges(self, _LIMITS)
        check_unwell_after(self.unwell_after)
        check_traces(self.traces)
        check_share(self.trace_share)
        if self.bodies_bytes < self.max_body_bytes:
            raise SettingsError(
                f"--bodies-bytes: got {self.bodies_bytes}, expected at least --max-body-bytes, {self.max_body_bytes};"
                " raise it or lower that"
            )
        if self.name:
            checked_name("--name", self.name)
