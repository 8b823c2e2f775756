"""How frames are kept until they are answered, and which go when they cannot all be: the names of the policies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Durable = Literal["power", "process", "off"]
"""What the spool survives: the loss of power, the death of the process, or nothing (it is in memory only)."""
Full = Literal["oldest", "newest", "thin"]
"""What goes when a camera's spool is full: the oldest frame, the new one, or every second one."""
Late = Literal["drop", "answer"]
"""What becomes of a frame whose time has passed: dropped, or answered from the deepest exit that was computed."""
LATE: Final = "late"
"""The codec, for people, of a frame that was answered so."""
SAME_AFTER_S: Final = 60.0


@dataclass(frozen=True, kw_only=True)
class Keeping:
    """What becomes of frames that nobody takes for a while."""

    durable: Durable = "power"
    """What the disk queue survives: power (a power cut; every frame is forced to the disk before it is sent), process
    (a crash, not a power cut; less wear), off (nothing: it is in memory only)."""
    when_full: Full = "oldest"
    """What goes when the disk queue of a camera is full: the oldest frame, the newest, or thin: every second one, so
    that what is left of an outage stays even in time."""
    late: Late = "drop"
    """A frame past --expire is dropped, or with answer finished by what the deepest early exit said of it."""
    stale_after: float = SAME_AFTER_S
    """Seconds of the very same picture after which a camera counts as stale; 0: never."""
