"""Cameras of this machine and RTSP addresses, read with OpenCV."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

from edge.sources.capture import Pixels
from edge.sources.live import Live, StreamBroken, without_secrets
from edge.sources.opencv import opencv, retrieved
from headwater.errors import SourceError

OPEN_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 5.0
"""A stream without a frame for this long is broken; it is also the longest that stopping such a stream takes."""


DEVICES = Path("/dev")


class OpenCvStream:
    """Frames of a cv2.VideoCapture that is open."""

    def __init__(self, capture: Any) -> None:
        self._capture = capture

    def grab(self, stop: threading.Event) -> bool:
        """Wait for the next frame. Raises: StreamBroken, after READ_TIMEOUT_S without one at the latest."""
        if not self._capture.grab():
            if stop.is_set():
                return False
            raise StreamBroken(f"no frame within {READ_TIMEOUT_S:g} s, or the other side closed the stream")
        return True

    def retrieve(self) -> Pixels | None:
        """Return the frame grabbed last."""
        return retrieved(self._capture)

    def close(self) -> None:
        """Let go of the camera or connection."""
        self._capture.release()


def open_camera(number: int, *, rate: float | None) -> Live:
    """Return the camera `number` of this machine (/dev/video…). Raises: SourceError."""

    def connect() -> OpenCvStream:
        device = DEVICES / f"video{number}"
        if not device.exists():
            raise SourceError(f"camera {number}: there is no {device}; {_cameras_here()}")
        if not os.access(device, os.R_OK | os.W_OK):
            raise SourceError(f"camera {number}: no permission for {device}; add this user to the group video")
        cv2 = opencv()
        capture = cv2.VideoCapture(number, cv2.CAP_V4L2)
        if not capture.isOpened():
            raise SourceError(
                f"camera {number}: {device} cannot be opened or is no camera; is another program using it? "
                f"{_cameras_here()}"
            )
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        return OpenCvStream(capture)

    return Live(connect, f"camera {number}", rate=rate, loop=True)


def open_rtsp(address: str, *, rate: float | None) -> Live:
    """Return the stream at an rtsp:// or rtsps:// address, over TCP. Raises: SourceError."""
    shown = without_secrets(address)

    def connect() -> OpenCvStream:
        cv2 = opencv()
        options = {
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC: int(OPEN_TIMEOUT_S * 1000),
            cv2.CAP_PROP_READ_TIMEOUT_MSEC: int(READ_TIMEOUT_S * 1000),
            cv2.CAP_PROP_N_THREADS: 1,  # each further decoding thread holds one frame back
        }
        capture = cv2.VideoCapture(address, cv2.CAP_FFMPEG, [number for pair in options.items() for number in pair])
        if not capture.isOpened():
            raise SourceError(
                f"{shown}: no stream, the address was refused, is not there or did not answer within "
                f"{OPEN_TIMEOUT_S:g} s; check host, port, path, user and password"
            )
        return OpenCvStream(capture)

    return Live(connect, shown[:200], rate=rate, loop=True)


def _cameras_here() -> str:
    found = sorted(path.name.removeprefix("video") for path in DEVICES.glob("video*"))
    return f"cameras here: {', '.join(found)}" if found else "no camera is here; plug one in, or see docs/sources.md"
