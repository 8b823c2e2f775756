"""What a source of pictures is, and when the next picture is due."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from headwater.messages import Position

Pixels = NDArray[np.uint8]
"""(H, W, 3) uint8 RGB."""

MAX_FRAME_PIXELS = 20_000_000
"""The largest frame of a video, camera or stream: 60 MB as RGB; 4K has 8.3 million, a Pi's HQ camera 12.3 million."""
LONGEST_NAME = 256
"""Characters of a capture's name that a message carries."""


def printable(name: str) -> str:
    """Return a file's name as it can travel: bytes that are no UTF-8 replaced, the end of a long one."""
    return name.encode("utf-8", "replace").decode()[-LONGEST_NAME:]


class WhenFull(Enum):
    """What happens to pictures that come faster than they are taken."""

    WAIT = "wait"
    """The source waits: no picture of a file is ever left out."""
    DROP_OLDEST = "drop oldest"
    """The oldest picture goes, and is counted: a camera stays fresh."""


@dataclass(frozen=True, eq=False)
class Capture:
    """One picture and what is known of it."""

    picture: Pixels
    """(H, W, 3) uint8 RGB, owned by the receiver."""
    captured_ns: int
    """Wall clock: when reading began (files), or when the frame arrived (cameras, streams)."""
    capture_ns: int
    """How long reading and decoding took; of a camera or stream without the wait for the frame."""
    position: Position | None = None
    """From the picture itself (EXIF) only."""
    name: str | None = None
    """The file's name, or `clip.mp4#120` for the frame with index 120."""
    begun_ns: int | None = None
    """Monotonic clock at `captured_ns`; None: not known."""
    taken_ns: int | None = None
    """Wall clock: when the file says that its picture was taken."""


class Source(Protocol):
    """A source of pictures, for one thread."""

    skipped: int
    """Files and clips that gave no picture so far."""

    @property
    def when_full(self) -> WhenFull:
        """Return what happens to pictures that come faster than they are taken."""
        ...

    @property
    def description(self) -> str:
        """Return what this is, for people, without passwords: `folder street (14 pictures)`."""
        ...

    def captures(self, stop: threading.Event) -> Iterator[Capture]:
        """Yield pictures at the source's rate until its end (never, where it loops) or until `stop` is set.

        Raises: SourceError when a source that was fine gives no pictures at all any more.
        """
        ...

    def close(self) -> None:
        """Let go of camera, connection and child processes; call it from the thread of `captures`, or after it."""
        ...


class Pace:
    """Spaces the pictures of a file: each is due one period after the one before, and lateness is not made up for."""

    def __init__(self) -> None:
        self._due_s: float | None = None

    def wait_s(self, now_s: float, rate: float | None) -> float:
        """Return how long to wait for the next picture, which is then taken as given; 0 without a rate."""
        if rate is None:
            return 0.0
        late = self._due_s is None or self._due_s < now_s - 1 / rate
        begin_s = now_s if late or self._due_s is None else self._due_s
        self._due_s = begin_s + 1 / rate
        return max(0.0, begin_s - now_s)


class Thinner:
    """Picks frames of a live stream so that `rate` a second remain, evenly; None picks all."""

    def __init__(self, rate: float | None) -> None:
        self._period_s = 1 / rate if rate else 0.0
        self._due_s: float | None = None

    def picks(self, now_s: float) -> bool:
        """Say whether the frame that arrived at `now_s` is picked; a quarter of a period early is on time."""
        if self._due_s is not None and now_s < self._due_s - self._period_s / 4:
            return False
        behind = self._due_s is None or now_s > self._due_s + self._period_s
        self._due_s = (now_s if behind or self._due_s is None else self._due_s) + self._period_s
        return True


def checked_frame(frame: Any) -> Pixels | None:
    """Return a decoder's frame if it is (H, W, 3) uint8 within the size allowed, else None."""
    if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        return None
    return frame if 0 < frame.shape[0] * frame.shape[1] <= MAX_FRAME_PIXELS else None
