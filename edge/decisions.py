"""The device's log of its decisions: how each way was measured, then what was decided when, by what, and who lost."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from headwater import messages
from headwater.errors import HeadwaterError
from headwater.logs import event
from headwater.messages import VERSION, Considered
from planning import live
from planning.decide import Judged, Rates
from planning.ways import Conditions, Way

log = logging.getLogger(__name__)

LOG_BYTES: Final = 4_000_000
"""A log of that size is set aside as FILE.1 and begun anew."""
STEADY_S: Final = 10.0
"""A decision that changes nothing is logged so often at most."""


class Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="profile"):
    """What stands before decisions that it holds for."""

    version: int
    device: str
    bundle: str
    digest: str
    policy: live.Policy
    rates: Rates
    ways: tuple[Way, ...]


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="decision"):
    """One decision: when, what, why, by which conditions, and every way's predicted milliseconds and cost."""

    at_ns: int
    way: str
    why: live.Why
    conditions: Conditions
    judged: dict[str, tuple[float, float]]
    message_bytes: float
    """The longest message that broker and workers took then."""


Line = Head | Entry
_lines: Final[msgspec.json.Decoder[Line]] = msgspec.json.Decoder(Line)


class DecisionLog:
    """Appends decisions to a file: each that changes something, and one now and then of those that do not."""

    def __init__(self, path: Path, limit_bytes: int = LOG_BYTES) -> None:
        self._path, self._limit_bytes = path, limit_bytes
        self._head: Head | None = None
        self._last: tuple[str, str] = ("", "")
        self._last_s = float("-inf")
        self._failed = False

    def begin(self, head: Head) -> None:
        """Write what the decisions to come are made with."""
        self._head = head
        if _is_torn(self._path):
            self._write(None)
        self._write(head)

    def add(self, found: live.Decision, at_ns: int, message_bytes: float) -> None:
        """Write a decision, where it says something new."""
        said = (found.way.name, found.why)
        if said == self._last and found.at_s - self._last_s < STEADY_S:
            return
        self._last, self._last_s = said, found.at_s
        judged = {one.way.name: (round(one.journey.total_s * 1e3, 3), one.cost) for one in found.judged}
        self._write(Entry(at_ns, found.way.name, found.why, found.conditions, judged, message_bytes))

    def _write(self, line: Line | None) -> None:
        """Write a line, or with None the end of one that a power cut left."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._path.exists() and self._path.stat().st_size > self._limit_bytes:
                self._path.replace(self._path.with_name(self._path.name + ".1"))
                if self._head is not None and line is not self._head:
                    self._append(self._head)
            self._append(line)
            self._failed = False
        except OSError as error:
            if not self._failed:
                log.warning(event("decision log", error=error))
            self._failed = True

    def _append(self, line: Line | None) -> None:
        with self._path.open("ab") as file:
            file.write((b"" if line is None else msgspec.json.encode(line)) + b"\n")


def _is_torn(path: Path) -> bool:
    """Tell whether a file ends within a line."""
    try:
        with path.open("rb") as file:
            file.seek(-1, 2)
            return file.read(1) != b"\n"
    except OSError:
        return False


def read_log(path: Path) -> Iterator[tuple[Head, Entry]]:
    """Yield every decision of a log with what it was made with; lines that a fault has torn are left out.

    Raises: HeadwaterError for a file that is not there, or holds no line of a decision log.
    """
    head: Head | None = None
    unread: HeadwaterError | None = None
    try:
        with path.open("rb") as file:
            for number, text in enumerate(file, start=1):
                try:
                    line = _lines.decode(text)
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                    unread = unread or _unreadable(path, number, error)
                    continue
                if isinstance(line, Head):
                    head = line
                elif head is not None:
                    yield head, line
    except OSError as error:
        raise HeadwaterError(f"{path}: {error.strerror}, expected a device's decision log") from None
    if head is None and unread is not None:
        raise unread


def _unreadable(path: Path, number: int, error: Exception) -> HeadwaterError:
    return HeadwaterError(f"{path}, line {number}: {error}; expected a line of a device's decision log")


@dataclass(frozen=True)
class Here:
    """What a decision's message says beside the decision."""

    device: str
    currency: str
    clock_hz: float | None
    temperature_c: float | None


def as_message(found: live.Decision, at_ns: int, here: Here) -> messages.Decision:
    """Return a decision as it is published."""
    at, link = found.conditions, found.conditions.bandwidth_bits_per_s
    return messages.Decision(
        VERSION, here.device, at_ns, found.way.split, found.way.codec, found.why, round(link),
        round(at.round_trip_s * 1e3, 3), round(at.device_slowdown, 4), round(at.worker_slowdown, 4),
        round(at.worker_wait_s * 1e3, 3), round(at.frames_per_s, 2), here.currency, here.clock_hz, here.temperature_c,
        [_considered(one) for one in _told(found.judged)],
    )  # fmt: skip


def _told(judged: Sequence[Judged]) -> list[Judged]:
    """Return the ways that a message names: all, or the fastest and the one that was chosen."""
    if len(judged) <= messages.MOST_WAYS:
        return list(judged)
    ranked = sorted(judged, key=lambda one: (one.reason is not None, one.journey.total_s))
    return ranked[: messages.MOST_WAYS]


def _considered(one: Judged) -> Considered:
    lost = None if one.reason is None else one.reason[:1024]
    return Considered(one.way.split, one.way.codec, round(one.journey.total_s * 1e3, 3), one.cost, lost)
