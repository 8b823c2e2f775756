"""GStreamer pipelines: gst-launch-1.0 runs beside us and writes each frame as a PPM into a pipe.

PPM because each frame brings its own size and the pixels come as they are; raw video has no header, Y4M no RGB.
Source of the format: ppm(5), Netpbm.
"""

from __future__ import annotations

import fcntl
import math
import os
import re
import select
import shlex
import shutil
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from edge.sources.capture import MAX_FRAME_PIXELS, Pixels
from edge.sources.live import Live, StreamBroken, StreamEnded, without_secrets
from headwater.children import Child, start
from headwater.errors import ChildError, MissingPart, SourceError

PROGRAM = "gst-launch-1.0"
PACKAGES = "gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"
FIRST_FRAME_S = 15.0
SILENCE_S = 10.0
"""A pipeline without a byte for this long is broken."""
LONGEST_HEADER_BYTES = 20
_LOOK_MS = 100
_EXIT_S = 5.0
_MOST_COMPLAINTS = 65_536
_PIPE_BYTES = 1 << 20
_HEADER = re.compile(rb"P6\n([1-9]\d{0,4}) ([1-9]\d{0,4})\n255\n", re.ASCII)


def read_header(data: bytes) -> tuple[int, int] | None:
    """Return (width, height) of the PPM whose header `data` is, or None while the header is not complete.

    Raises: StreamBroken, when it is no PPM, or a frame over the size allowed.
    """
    found = _HEADER.fullmatch(data)
    if found is None:
        if len(data) >= LONGEST_HEADER_BYTES or not data.startswith(b"P6\n"):
            raise StreamBroken(f"the pipeline wrote {data!r}, expected a PPM header")
        return None
    width, height = int(found[1]), int(found[2])
    if width * height > MAX_FRAME_PIXELS:
        raise StreamBroken(
            f"frames of {width}×{height} are over the limit of {MAX_FRAME_PIXELS} pixels; scale them in the pipeline"
        )
    return width, height


def launch_arguments(pipeline: str, sink: Path, rate: float | None) -> list[str]:
    """Return the command that runs `pipeline` and writes its frames to `sink`. Raises: SourceError."""
    try:
        wanted = shlex.split(pipeline)
    except ValueError as error:
        raise SourceError(f"{error}, so where does it end? close the quotes") from None
    if not wanted:
        raise SourceError("it is empty, expected one such as gst:v4l2src")
    thin = ["!", "videorate", f"max-rate={math.ceil(rate)}"] if rate is not None else []
    rgb = ["!", "videoconvert", "!", "video/x-raw,format=RGB", "!", "pnmenc"]
    return [PROGRAM, "-q", *wanted, *thin, *rgb, "!", "filesink", f"location={sink}", "buffer-mode=2", "sync=true"]


def first_error(text: str) -> str:
    """Return what gst-launch-1.0 complained of first, with the detail that follows it."""
    lines = [line.strip()[:300] for line in text.splitlines() if line.strip()]
    for mark in ("ERROR: from element", "WARNING: erroneous pipeline", "ERROR"):
        for number, line in enumerate(lines):
            if line.startswith(mark):
                about, _where, detail = ([*lines[number + 1 :], "", "", ""])[:3]
                said = about == "Additional debug info:" and not detail.startswith("ERROR")
                return f"{line} {detail}".strip() if said else line
    return lines[0] if lines else "it ended and said nothing"


class GStreamerStream:
    """The frames of a running pipeline."""

    def __init__(self, pipeline: str, rate: float | None) -> None:
        """Start the pipeline and wait for its first bytes. Raises: MissingPart, SourceError."""
        if shutil.which(PROGRAM) is None:
            raise MissingPart(PROGRAM, "GStreamer pipelines", f"apt install {PACKAGES}")
        self._folder = tempfile.TemporaryDirectory(prefix="headwater-gst-")
        sink, self._log = Path(self._folder.name) / "frames", Path(self._folder.name) / "log"
        self._frame: Pixels | None = None
        self._size: tuple[int, int] | None = None
        self._child: Child | None = None
        os.mkfifo(sink, 0o600)
        self._pipe = os.open(sink, os.O_RDONLY | os.O_NONBLOCK)
        try:
            fcntl.fcntl(self._pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
            self._child = start("gst", launch_arguments(pipeline, sink, rate), log=self._log, lines=False)
            self._readable(threading.Event(), FIRST_FRAME_S)
            self._size = self._header(threading.Event())
        except (SourceError, StreamEnded, OSError) as error:
            self.close()
            reason = "it ended before the first frame" if isinstance(error, StreamEnded) else error
            remedy = f"apt install {PACKAGES}" if "no element" in str(reason) else f"try it with {PROGRAM}"
            raise SourceError(f"GStreamer pipeline {without_secrets(pipeline)!r}: {reason}; {remedy}") from None

    def grab(self, stop: threading.Event) -> bool:
        """Read the next frame from the pipe. Raises: StreamBroken, StreamEnded."""
        size, self._size = self._size or self._header(stop), None
        if size is None:
            return False
        self._frame = np.empty((size[1], size[0], 3), np.uint8)
        return self._fill(self._frame.data.cast("B"), stop)

    def retrieve(self) -> Pixels | None:
        """Return the frame read last."""
        frame, self._frame = self._frame, None
        return frame

    def close(self) -> None:
        """End the pipeline and remove what it left."""
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1
        if self._child is not None:
            self._child.stop(2.0)
        self._folder.cleanup()

    def _header(self, stop: threading.Event) -> tuple[int, int] | None:
        """Read the next frame's header; return (width, height), or None when `stop` was set first."""
        head, missing = bytearray(), 11
        while not stop.is_set():
            more = bytearray(missing)
            if not self._fill(memoryview(more), stop):
                break
            head, missing = head + more, 1
            size = read_header(bytes(head))
            if size is not None:
                return size
        return None

    def _fill(self, view: memoryview, stop: threading.Event) -> bool:
        """Read until `view` is full; return False when `stop` was set first."""
        filled = 0
        while filled < len(view):
            if not self._readable(stop, SILENCE_S):
                return False
            got = os.readv(self._pipe, [view[filled:]])
            if not got:
                raise self._over()
            filled += got
        return True

    def _readable(self, stop: threading.Event, timeout_s: float) -> bool:
        """Wait until the pipe has bytes; return False when `stop` was set first. Raises: StreamBroken, StreamEnded."""
        poll = select.poll()
        poll.register(self._pipe, select.POLLIN)
        deadline_s = time.monotonic() + timeout_s
        while not stop.is_set():
            events = poll.poll(_LOOK_MS)
            if events and events[0][1] & select.POLLIN:
                return True
            if events or self._child is None or not self._child.alive:
                raise self._over()
            if time.monotonic() > deadline_s:
                raise StreamBroken(f"no frame within {timeout_s:g} s")
        return False

    def _over(self) -> StreamBroken | StreamEnded:
        """Return why there is nothing more to read."""
        try:
            status = self._child.wait(_EXIT_S) if self._child is not None else 0
        except ChildError:
            return StreamBroken("it closed its output and goes on running")
        return StreamBroken(first_error(self._complaints())) if status else StreamEnded()

    def _complaints(self) -> str:
        with self._log.open(errors="replace") as file:
            return without_secrets(file.read(_MOST_COMPLAINTS))


def open_pipeline(pipeline: str, *, rate: float | None, loop: bool) -> Live:
    """Return the frames of a GStreamer pipeline, which ends in raw or decoded video.

    Raises: MissingPart, SourceError.
    """
    shown = without_secrets(pipeline.strip())[:200]
    return Live(lambda: GStreamerStream(pipeline, rate), f"GStreamer {shown}", rate=rate, loop=loop)
