"""Whether a process is well, and how that is said: values in, JSON out.

A process is judged by what it has finished and by what keeps it from that, not by being alive.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from headwater.errors import SettingsError

UNWELL_AFTER_S: Final = 30.0
"""So long may one thing take, or stay away, unless a process is told otherwise."""
LONGEST_S: Final = 86_400.0


@dataclass(frozen=True)
class Verdict:
    """How a process is: well where there is no reason against it."""

    part: str
    name: str
    reasons: tuple[str, ...]
    """Sentences for people."""
    last_finished_s_ago: float | None
    up_s: float
    counts: Mapping[str, int] = field(default_factory=dict)
    states: Mapping[str, Any] = field(default_factory=dict)
    """What else is worth knowing, as JSON values."""
    waits_for_others: bool = False
    """Its broker or store is away: nothing that a restart would mend."""

    @property
    def is_well(self) -> bool:
        """Tell whether nothing speaks against it."""
        return not self.reasons

    @property
    def is_alive(self) -> bool:
        """Tell whether a restart would mend nothing: it is well, or somebody else is away."""
        return self.is_well or self.waits_for_others

    @property
    def http_status(self) -> int:
        """Return 200, or 503 for a process that is unwell."""
        return 200 if self.is_well else 503

    def as_json(self) -> bytes:
        """Return what GET /health and GET /alive answer."""
        ago_s = self.last_finished_s_ago
        said = {
            "status": "well" if self.is_well else "unwell",
            "alive": self.is_alive,
            "part": self.part,
            "name": self.name,
            "reasons": self.reasons,
            "last_finished_s_ago": None if ago_s is None else round(ago_s, 3),
            "up_s": round(self.up_s, 3),
            "counts": dict(self.counts),
            **self.states,
        }
        return json.dumps(said).encode() + b"\n"


def since_s(moment: float | None, now: float) -> float | None:
    """Return how long ago a moment was, never less than 0; None where there was none."""
    return None if moment is None else max(0.0, now - moment)


def too_long(sentence: str, took_s: float | None, limit_s: float) -> list[str]:
    """Return the sentence with the time in it, where something has taken longer than it may."""
    if took_s is None or took_s <= limit_s:
        return []
    return [f"{sentence} for {took_s:.0f} s, expected at most {limit_s:g} s"]


def check_unwell_after(seconds: float) -> None:
    """Pass where a limit makes sense. Raises: SettingsError."""
    if not 0 < seconds <= LONGEST_S:
        raise SettingsError(f"--unwell-after: got {seconds:g}, expected more than 0 and at most {LONGEST_S:g} seconds")
