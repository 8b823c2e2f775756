"""From what the user writes to a source of pictures."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

from edge.sources import files, video
from edge.sources.camera import open_camera, open_rtsp
from edge.sources.capture import Source
from edge.sources.gstreamer import open_pipeline
from edge.sources.live import without_secrets
from edge.sources.pattern import HEIGHT, LARGEST, SMALLEST, WIDTH, Pattern
from headwater.errors import SourceError

EXPECTED = (
    'a folder, a picture, a video, a camera number such as 0, rtsp://HOST/PATH, "gst:PIPELINE", or pattern:640x480'
)
_CAMERA = re.compile(r"(?:/dev/video)?(\d{1,3})", re.ASCII)
_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})", re.ASCII)


def open_source(address: str, *, rate: float | None, loop: bool, at_least: tuple[int, int] | None) -> Source:
    """Return the source of pictures that `address` names, open and tried.

    Args:
        address: a folder, picture or video, `0` or `/dev/video0`, `rtsp://…`, `gst:…`, `pattern:` or `pattern:640x480`
        rate: pictures per second; None takes all, those of a file as fast as they are taken
        loop: begin again at the end
        at_least: (width, height) that pictures are needed in; larger JPEGs may come smaller, but not below it

    Raises: SourceError, MissingPart.
    """
    if rate is not None and not (math.isfinite(rate) and rate > 0):
        raise SourceError(f"rate: got {rate:g}, expected more than 0 pictures per second; leave it out for all of them")
    kind, _, rest = address.partition(":")
    if kind == "pattern":
        return _pattern(rest, rate)
    if kind == "gst":
        return open_pipeline(rest, rate=rate, loop=loop)
    if kind in {"rtsp", "rtsps"} and rest.startswith("//"):
        return open_rtsp(address, rate=rate)
    if re.match(r"[a-z][a-z0-9+.-]+://", address):
        raise SourceError(f"source {without_secrets(address)!r}: {kind} addresses are not read; expected {EXPECTED}")
    camera = _CAMERA.fullmatch(address)
    if camera:
        return open_camera(int(camera[1]), rate=rate)
    return _path(address, rate, loop, at_least)


def _path(address: str, rate: float | None, loop: bool, at_least: tuple[int, int] | None) -> Source:
    path = Path(address).expanduser()
    if not address.strip() or not _exists(path):
        raise SourceError(f"source {address!r}: there is no such file or folder; expected {EXPECTED}")
    if not os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0)):
        raise SourceError(f"source {address!r}: no permission to read it; change its mode, or run as its owner")
    if path.is_file() and path.suffix.lower() not in files.SUFFIXES | video.SUFFIXES:
        raise SourceError(
            f"source {address!r}: not a picture or video by its name; expected a name that ends in one of "
            f"{' '.join(sorted(files.SUFFIXES | video.SUFFIXES))}"
        )
    if not path.is_dir() and not path.is_file():
        raise SourceError(f"source {address!r}: neither a file nor a folder; expected {EXPECTED}")
    return files.Files(path, rate=rate, loop=loop, at_least=at_least)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that is too long or has a zero byte; no permission on the way there
        return False


def _pattern(text: str, rate: float | None) -> Pattern:
    size = _SIZE.fullmatch(text) if text else _SIZE.fullmatch(f"{WIDTH}x{HEIGHT}")
    if size is None or not all(SMALLEST <= int(side) <= LARGEST for side in size.groups()):
        raise SourceError(
            f"source pattern:{text}: expected pattern: or pattern:WIDTHxHEIGHT such as pattern:640x480, "
            f"each from {SMALLEST} to {LARGEST}"
        )
    return Pattern(int(size[1]), int(size[2]), rate=rate)
