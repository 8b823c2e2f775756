"""What a collector of traces is told of frames: spans, made of times that are measured anyway.

Nothing here needs OpenTelemetry: `collected` loads headwater/trace_export.py only where there is a collector to tell.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import urlsplit

from headwater.errors import MissingPart, SettingsError
from headwater.logs import without_password
from headwater.messages import Finished, Frame

TRACES_PATH: Final = "/v1/traces"
"""Source: OpenTelemetry Protocol 1.10, section OTLP/HTTP Request."""

Facts = Mapping[str, str | int | float]
"""What is known of a span, by name."""
Lap = tuple[str, int, int]
"""A stage, when it began, when it ended."""
Kind = Literal["internal", "server", "producer", "consumer"]


@dataclass(frozen=True)
class Span:
    """Something that took its time, in nanoseconds of the teller's stage clock."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str | None
    start_ns: int
    end_ns: int
    kind: Kind = "internal"
    facts: Facts = field(default_factory=dict)
    error: str | None = None
    """Why it did not end well."""


Tell = Callable[[Sequence[Span]], None]
"""Hands spans over; it never waits, and what there is no room for is lost."""


@dataclass(frozen=True)
class Teller:
    """Who tells."""

    part: str
    """The command: edge, worker, worker-http or visualizer."""
    name: str


def new_span_id() -> str:
    """Return an id that no other span has."""
    return os.urandom(8).hex()


def frame_facts(frame: Frame) -> Facts:
    """Return what a frame's spans say of it, whoever tells of it."""
    facts: Facts = {
        "headwater.frame.id": str(frame.id),
        "headwater.device": frame.id.device,
        "headwater.bundle": frame.bundle,
        "headwater.digest": frame.digest,
        "headwater.split": frame.split,
        "headwater.codec": frame.codec,
    }
    exit_name = frame.body.exit if isinstance(frame.body, Finished) else None
    return facts if exit_name is None else {**facts, "headwater.exit": exit_name}


def in_a_row(stages_ns: Iterable[tuple[str, int]], begun_ns: int) -> list[Lap]:
    """Return when each stage began and ended, each beginning where the one before it ended."""
    laps: list[Lap] = []
    for stage, took_ns in stages_ns:
        laps.append((stage, begun_ns, begun_ns + took_ns))
        begun_ns += took_ns
    return laps


def below(parent: Span, laps: Iterable[Lap], new_id: Callable[[], str] = new_span_id) -> list[Span]:
    """Return a span for each lap, all of them children of `parent`."""
    return [Span(name, parent.trace_id, new_id(), parent.span_id, begun, ended) for name, begun, ended in laps]


def traces_address(url: str) -> str:
    """Return where a collector takes spans in, by its own address. Raises: SettingsError."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise _unusable(url) from None
    extra = parts.query or parts.fragment or not url.isprintable() or " " in url
    if parts.scheme not in {"http", "https"} or not host or port == 0 or extra:
        raise _unusable(url)
    if "@" in parts.netloc:
        raise SettingsError(
            f"--traces: got {without_password(url)!r}, a password there shows in process lists; set"
            " OTEL_EXPORTER_OTLP_HEADERS"
        )
    path = parts.path.rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path if path.endswith(TRACES_PATH) else path + TRACES_PATH}"


def _unusable(url: str) -> SettingsError:
    return SettingsError(
        f"--traces: got {without_password(url)!r}, expected http://HOST[:PORT] or https://HOST[:PORT], such as"
        " http://127.0.0.1:4318; correct it"
    )


def check_traces(url: str | None) -> None:
    """Pass where no collector is given, or one that can be told. Raises: SettingsError, MissingPart."""
    if url is None:
        return
    traces_address(url)
    try:
        found = importlib.util.find_spec("opentelemetry.exporter.otlp.proto.http")
    except ModuleNotFoundError:
        found = None
    if found is None:
        raise MissingPart("OpenTelemetry's exporter", "--traces", "install the extra traces (docs/install.md)")


def check_share(share: float) -> None:
    """Pass where it is a share. Raises: SettingsError."""
    if not 0 <= share <= 1:
        raise SettingsError(f"--trace-share: got {share}, expected 0 to 1, such as 0.01 for one frame in a hundred")


@contextmanager
def collected(url: str | None, teller: Teller) -> Iterator[Tell | None]:
    """Yield what hands spans to the collector while the block runs; None, and nothing is loaded, where there is none.

    Raises: SettingsError, MissingPart.
    """
    if url is None:
        yield None
        return
    check_traces(url)
    from headwater.trace_export import Collector

    collector = Collector(traces_address(url), teller)
    try:
        yield collector.tell
    finally:
        collector.close()
