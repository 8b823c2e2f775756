"""Which trace a message belongs to: the `traceparent` that comes and goes with it.

Source: W3C Trace Context, Recommendation of 23 November 2021, sections 3.2 and 4.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

LONGEST: Final = 512
"""Characters; those of version 00 have 55, of later versions perhaps more."""
_TRACEPARENT: Final = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<more>-[^\n]*)?"
)
_NONE: Final = {"0" * 32, "0" * 16}


@dataclass(frozen=True, slots=True)
class TraceContext:
    """One span of one trace, as it is known to who goes on from there; as text it is a `traceparent`."""

    trace_id: str
    """32 hexadecimal digits."""
    span_id: str
    """16 hexadecimal digits."""
    is_sampled: bool
    """Whether whoever began the trace records it; all others do as they say."""

    def __str__(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.is_sampled else '00'}"


def read_traceparent(text: str | None) -> TraceContext | None:
    """Return what a `traceparent` says; None where there is none, or none that is well-formed: it is then passed over.

    One of a later version is read as far as this version goes, as the source has it.
    """
    found = _TRACEPARENT.fullmatch(text) if text is not None and len(text) <= LONGEST else None
    if found is None or found["version"] == "ff" or (found["version"] == "00" and found["more"]):
        return None
    if _NONE & {found["trace"], found["span"]}:
        return None
    return TraceContext(found["trace"], found["span"], bool(int(found["flags"], 16) & 1))
