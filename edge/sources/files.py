"""Folders of pictures and clips, and single files, in the order people expect."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from edge.location.exif import Taken, read_exif
from edge.sources.capture import Capture, Pace, WhenFull, printable
from edge.sources.video import SUFFIXES as VIDEO_SUFFIXES
from edge.sources.video import clip_captures, open_clip
from headwater.errors import SourceError
from headwater.logs import event
from models.errors import ModelError
from models.pictures import MAX_PIXELS, decode_with_exif

log = logging.getLogger(__name__)

SUFFIXES = frozenset({".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".png", ".ppm", ".webp"})
MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_WHOLE_PIXELS = 16_000_000
"""The largest picture that is not a JPEG: such a one is decoded whole, 48 MB as RGB."""


def natural(name: str) -> list[tuple[int, int, str]]:
    """Return the key that sorts names as people do: img2 before img10, whatever the case."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name.casefold())
    return [(0, int(part), "") if part[0] in "0123456789" else (1, 0, part) for part in parts[:64]] + [(2, 0, name)]


def read_picture(path: Path, at_least: tuple[int, int] | None) -> Capture:
    """Return the picture in a file, with the place and time of its EXIF. Raises: SourceError."""
    captured_ns, begin_ns = time.time_ns(), time.monotonic_ns()
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise SourceError(f"picture {path}: cannot be read ({error.strerror}); check its permissions") from None
    if len(data) > MAX_FILE_BYTES:
        raise SourceError(f"picture {path}: over the limit of {MAX_FILE_BYTES} B; make it smaller")
    max_pixels = MAX_PIXELS if data[:2] == b"\xff\xd8" else MAX_WHOLE_PIXELS
    try:
        picture, exif = decode_with_exif(data, max_pixels=max_pixels, at_least=at_least)
    except ModelError as error:
        raise SourceError(f"picture {path}: {error}") from None
    taken = read_exif(exif) if exif else Taken()
    took_ns = time.monotonic_ns() - begin_ns
    return Capture(picture, captured_ns, took_ns, taken.position, printable(path.name), begin_ns, taken.taken_ns)


class Files:
    """Pictures and clips of a folder, or one file; each is given, whoever takes them may be as slow as they like."""

    when_full = WhenFull.WAIT

    def __init__(self, path: Path, *, rate: float | None, loop: bool, at_least: tuple[int, int] | None) -> None:
        self._path, self._rate, self._loop, self._at_least = path, rate, loop, at_least
        self._warned: set[str] = set()
        self.skipped = 0
        names = self._names()
        self.description = printable(self._described(names))

    def captures(self, stop: threading.Event) -> Iterator[Capture]:
        """Yield every picture and every frame picked, in natural order; with `loop` again and again.

        Files that cannot be decoded are skipped, warned of and counted once. Each round looks at the folder anew.
        """
        pace = Pace()
        while not stop.is_set():
            given = 0
            for name in self._names():
                for capture in self._of(self._path / name if name else self._path, pace, stop):
                    yield capture
                    given += 1
            if stop.is_set():
                return
            if not given:
                raise SourceError(f"source {self._path}: none of its files could be decoded; see the warnings above")
            if not self._loop:
                return

    def close(self) -> None:
        """Do nothing: a file is open only while it is read."""

    def _of(self, path: Path, pace: Pace, stop: threading.Event) -> Iterator[Capture]:
        try:
            if path.suffix.lower() in VIDEO_SUFFIXES:
                yield from clip_captures(path, self._rate, pace, stop)
            elif not stop.wait(pace.wait_s(time.monotonic(), self._rate)):
                yield read_picture(path, self._at_least)
        except SourceError as error:
            if not self._path.is_dir():
                raise
            self._skip(path.name, str(error))

    def _names(self) -> list[str]:
        """Return the names of the files to read, sorted; one empty name where the path is a file."""
        if not self._path.is_dir():
            return [""]
        try:
            files = [entry.name for entry in self._path.iterdir() if not entry.name.startswith(".") and entry.is_file()]
        except OSError as error:
            raise SourceError(
                f"folder {self._path}: cannot be read ({error.strerror}); check its permissions"
            ) from None
        known = {name for name in files if Path(name).suffix.lower() in SUFFIXES | VIDEO_SUFFIXES}
        if not known:
            held = f"{len(files)} other files" if files else "no files"
            raise SourceError(
                f"folder {self._path}: got {held}, expected pictures ({_list(SUFFIXES)}) or videos "
                f"({_list(VIDEO_SUFFIXES)}); subfolders are not searched, give one of them"
            )
        self._pass_over(set(files) - known)
        return sorted(known, key=natural)

    def _pass_over(self, names: set[str]) -> None:
        """Count files that are neither pictures nor videos by their names, and warn of new ones in one line."""
        new = sorted(names - self._warned, key=natural)
        if new:
            self._warned.update(new)
            self.skipped += len(new)
            log.warning(event("no pictures by their names, skipped", files=len(new), such_as=new[0]))

    def _skip(self, name: str, reason: str) -> None:
        if name not in self._warned:
            self._warned.add(name)
            self.skipped += 1
            log.warning(event("file skipped", name=name, reason=reason))

    def _described(self, names: list[str]) -> str:
        if names == [""]:
            if self._path.suffix.lower() in VIDEO_SUFFIXES:
                return open_clip(self._path).description
            read_picture(self._path, self._at_least)
            return f"picture {self._path.name}"
        videos = sum(Path(name).suffix.lower() in VIDEO_SUFFIXES for name in names)
        counts = [_count(len(names) - videos, "picture"), _count(videos, "video")]
        return f"folder {self._path.resolve().name} ({', '.join(filter(None, counts))})"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number > 1 else ''}" if number else ""


def _list(suffixes: frozenset[str]) -> str:
    return " ".join(sorted(suffixes))
