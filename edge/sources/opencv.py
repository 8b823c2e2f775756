"""OpenCV, loaded only by those who open a video, a camera or an RTSP address, and kept quiet.

It costs 17 MB of memory and 0.1 s; a device that reads a folder never pays them.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from edge.sources.capture import Pixels, checked_frame
from headwater.errors import MissingPart

_QUIET = {
    "OPENCV_FFMPEG_LOGLEVEL": "-8",  # AV_LOG_QUIET; what goes wrong is said once, in our own words
    "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT": "5",
}


@cache
def opencv() -> Any:
    """Return the module cv2. Raises: MissingPart."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import cv2
    except ImportError:
        raise MissingPart("OpenCV", "videos, cameras and RTSP", "install the extra edge (docs/install.md)") from None
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    cv2.setNumThreads(1)
    return cv2


def retrieved(capture: Any) -> Pixels | None:
    """Return the frame that a cv2.VideoCapture grabbed last, as RGB; None without a picture of an allowed size."""
    cv2 = opencv()
    ok, bgr = capture.retrieve()
    frame = checked_frame(bgr) if ok else None
    return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB, dst=frame) if frame is not None else None
