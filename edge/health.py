"""Whether a device is well: by its source, its head, its sender and its disk. Times in, verdict out.

A link that is away is no illness: the device goes on and spools. It is said all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Final

from headwater.verdict import too_long

PERIODS: Final = 3.0
"""A picture may be late by so many periods of the rate asked for."""


@dataclass(frozen=True)
class Seen:
    """A device at one moment; how long each thing has lasted, None: it is not so."""

    hungry_s: float | None = None
    """The head waits for a picture. Never so while a file waits for the head, nor after the source has ended."""
    in_hand_s: float | None = None
    """The head works on one picture."""
    silent_s: float | None = None
    """Since the thread that owns spool and link has last looked around; it does so twice a second."""
    failure: str | None = None
    """What the source ended with; None where it gives pictures, or has come to its end."""
    expected_every_s: float = 0.0
    """How often a picture was asked for; 0: as often as there is one."""
    finished_s: float | None = None
    """Since the last frame was finished."""
    broker_away_s: float | None = None
    same_s: float | None = None
    """The camera gives the very same picture."""
    stale_after_s: float = 0.0
    """How long it may; 0: for ever."""
    unwritten_s: float | None = None
    """The disk takes no frame."""


def reasons(seen: Seen, limit_s: float) -> list[str]:
    """Return why a device is unwell, as sentences; none for one that is well."""
    return [
        *([] if seen.failure is None else [f"the source failed: {seen.failure}"]),
        *too_long("the source has given no picture", seen.hungry_s, max(limit_s, PERIODS * seen.expected_every_s)),
        *too_long("stale camera: the source has given the same picture", seen.same_s, seen.stale_after_s or inf),
        *too_long("the head has worked on one picture", seen.in_hand_s, limit_s),
        *too_long("the sender has not moved", seen.silent_s, limit_s),
        *too_long("the spool could not be written", seen.unwritten_s, limit_s),
    ]
