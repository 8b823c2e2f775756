"""A camera that gets stuck, in a drill: a live pipeline that hands out one picture for seconds, again and again."""

from __future__ import annotations

import math
import shlex
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from edge.sources import open_source
from evaluation.running import pictures
from models.bundle import Bundle

LIVELY: Final = 120
STUCK: Final = 400
"""So many pictures that differ, then so many that are the same."""
STALE_AFTER_S: Final = 1.0
"""After which the device calls its camera stale: a sixtieth of its default, so that a drill of few seconds shows it."""
STALE: Final = "stale camera"
"""How the reason begins that its /health then gives."""
LOOK_EVERY_S: Final = 0.25
_FIRST: Final = 1000


def make_stuck(folder: Path) -> None:
    """Make of a folder's few pictures a stream in which the camera gets stuck: many that differ, then many of one."""
    drawn = sorted(folder.iterdir())
    for number in range(LIVELY + STUCK):
        shown = drawn[number % len(drawn)] if number < LIVELY else drawn[0]
        (folder / f"{_FIRST + number}{shown.suffix}").hardlink_to(shown)
    for picture in drawn:
        picture.unlink()


def stuck_camera(folder: Path, rate: float) -> str:
    """Return the address of a live source that plays such a folder, so many pictures a second, round and round."""
    last = _FIRST + LIVELY + STUCK - 1
    caps = f"image/x-portable-pixmap,framerate={math.ceil(rate)}/1"
    played = f"start-index={_FIRST} stop-index={last} loop=true caps={caps}"
    return f"gst:multifilesrc location={shlex.quote(str(folder / '%04d.ppm'))} {played} ! pnmdec"


def try_camera() -> None:
    """Pass if such a source can be opened here. Raises: MissingPart, SourceError."""
    with tempfile.TemporaryDirectory(prefix="headwater-drill-") as folder:
        at = Path(pictures(None, Path(folder), Bundle.load("mnist"), small=True))
        make_stuck(at)
        open_source(stuck_camera(at, 1.0), rate=None, loop=False, at_least=None).close()


class Noticing:
    """Whether a device has said, while it streamed, that its camera is stuck."""

    def __init__(self, reasons: Callable[[], Sequence[str]]) -> None:
        """Ask nothing yet; `reasons` asks the device why it is unwell."""
        self._reasons, self._due_s = reasons, -math.inf
        self.was_said = False

    def look(self, now_s: float) -> None:
        """Ask, a few times a second, until it has said so."""
        if not self.was_said and now_s >= self._due_s:
            self._due_s = now_s + LOOK_EVERY_S
            self.was_said = any(reason.startswith(STALE) for reason in self._reasons())

    def failure(self) -> str:
        """Return what is to be said of a device that did not notice; empty for one that did."""
        if self.was_said:
            return ""
        return f"the camera was stuck, and /health never said {STALE!r}, expected after {STALE_AFTER_S:g} s"
