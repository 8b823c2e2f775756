"""Video files: frames picked evenly."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.sources.capture import MAX_FRAME_PIXELS, Capture, Pace, printable
from edge.sources.opencv import opencv, retrieved
from headwater.errors import SourceError
from headwater.logs import event

log = logging.getLogger(__name__)

SUFFIXES = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ts", ".webm"})
_USUAL_FPS = 25.0
_LARGEST_FPS = 1000.0


@dataclass(frozen=True)
class Clip:
    """A video file that can be decoded, and what it says of itself."""

    path: Path
    frames_per_s: float
    frames: int
    """As announced; 0 where the file does not say."""
    width: int
    height: int

    @property
    def description(self) -> str:
        """Return the clip's name, size and speed."""
        return f"video {self.path.name} ({self.width}×{self.height}, {self.frames_per_s:g} frames/s)"


def open_clip(path: Path) -> Clip:
    """Return what the clip at `path` says of itself, after its first frame was decoded. Raises: SourceError."""
    with _opened(path) as (capture, clip):
        if not capture.grab() or retrieved(capture) is None:
            raise _undecodable(path)
        return clip


def clip_captures(path: Path, rate: float | None, pace: Pace, stop: threading.Event) -> Iterator[Capture]:
    """Yield frames of a clip, `rate` for each second of it and at most all, paced likewise. Raises: SourceError.

    Without a rate every frame comes as fast as it is taken.
    """
    with _opened(path) as (capture, clip):
        given_rate = None if rate is None else min(rate, clip.frames_per_s)
        grabbed = picked = 0
        while not stop.wait(pace.wait_s(time.monotonic(), given_rate)):
            captured_ns, begin_ns = time.time_ns(), time.monotonic_ns()
            index = frame_index(picked, clip.frames_per_s, given_rate)
            grabbed += grab_until(capture, index + 1 - grabbed, stop)
            picture = retrieved(capture) if grabbed == index + 1 else None
            if picture is None:
                break
            name = printable(f"{path.name}#{index}")
            yield Capture(picture, captured_ns, time.monotonic_ns() - begin_ns, name=name, begun_ns=begin_ns)
            picked += 1
        if not picked and not stop.is_set():
            raise _undecodable(path)
        if grabbed < 0.9 * clip.frames and not stop.is_set():
            log.warning(event("video ended early", file=path.name, frames=grabbed, announced=clip.frames))


def frame_index(picked: int, frames_per_s: float, rate: float | None) -> int:
    """Return the index of the frame to give after `picked` ones: every sixth of a 30 frames/s clip at rate 5."""
    return picked if rate is None else math.floor(picked * frames_per_s / rate + 1e-6)


def grab_until(capture: Any, count: int, stop: threading.Event) -> int:
    """Step over `count` frames; return how many there were before the end or `stop`."""
    for done in range(count):
        if stop.is_set() or not capture.grab():
            return done
    return count


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Clip]]:
    cv2 = opencv()
    if not os.access(path, os.R_OK):
        raise SourceError(f"video {path}: there is no such file, or no permission to read it; check the path")
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    try:
        if not capture.isOpened():
            raise _undecodable(path)
        clip = Clip(
            path,
            _frames_per_s(capture.get(cv2.CAP_PROP_FPS)),
            max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT))),
            int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
            int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)),
        )
        if clip.width * clip.height > MAX_FRAME_PIXELS:
            raise SourceError(
                f"video {path}: frames of {clip.width}×{clip.height} are over the limit of {MAX_FRAME_PIXELS} pixels; "
                "make it smaller"
            )
        yield capture, clip
    finally:
        capture.release()


def _frames_per_s(announced: float) -> float:
    return announced if 0 < announced <= _LARGEST_FPS else _USUAL_FPS


def _undecodable(path: Path) -> SourceError:
    return SourceError(f"video {path}: cannot be decoded, expected H.264, H.265, VP9, AV1 or MJPEG; convert it to MP4")
