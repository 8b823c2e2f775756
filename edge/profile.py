"""How long each way of a frame takes on this device: measured once in the background, and kept for the next start."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from headwater.errors import HeadwaterError, SettingsError
from headwater.host import clock_hz, processor
from headwater.logs import event
from models.bundle import MANIFEST_FILE, Bundle
from models.choices import CropName
from models.errors import ModelError
from planning.ways import Way

log = logging.getLogger(__name__)

VERSION: Final = 2
PICTURES: Final = 3
NICE: Final = 19
RESULT: Final = "profile.json"
LARGEST_BYTES: Final = 10_000_000


@dataclass(frozen=True)
class Order:
    """What is to be measured."""

    bundle: str
    """Name, folder or file, as `headwater edge` was told."""
    threads: int
    codecs: tuple[str, ...]
    crop: CropName | None = None
    region: str | None = None
    max_faces: int | None = None


@dataclass(frozen=True)
class Profile:
    """Every way with the times of this device."""

    version: int
    ways: tuple[Way, ...]
    clock_hz: float | None
    """Of the processor when it had just measured."""


def cache_folder() -> Path:
    """Return the folder of this user's profiles."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "headwater" / "profiles"
    except RuntimeError:
        raise SettingsError("there is no home folder to keep profiles in; set XDG_CACHE_HOME to a folder") from None


def profile_path(folder: Path, bundle: Bundle, order: Order) -> Path:
    """Return where the profile of this model on this host, measured so, is kept."""
    manifest = bundle.folder / MANIFEST_FILE
    said = manifest.read_bytes() if manifest.is_file() else b""
    host = (platform.node(), processor(), os.cpu_count())
    asked = (VERSION, host, order.threads, order.codecs, order.crop, order.region, order.max_faces)
    key = hashlib.sha256(repr(asked).encode() + said).hexdigest()
    return folder / f"{bundle.name}-{bundle.digest[:16]}-{key[:16]}.json"


def read_profile(path: Path) -> Profile | None:
    """Return a profile that was kept; None where there is none, or none that can be read."""
    try:
        if path.stat().st_size > LARGEST_BYTES:
            return None
        found = msgspec.json.decode(path.read_bytes(), type=Profile)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found if found.version == VERSION and any(way.finishes for way in found.ways) else None


class Measuring:
    """A process of the lowest priority that measures a profile."""

    def __init__(self, order: Order, pictures: Sequence[np.ndarray], path: Path) -> None:
        """Start it. Raises: HeadwaterError."""
        self._path = path
        self._folder = tempfile.TemporaryDirectory(prefix="headwater-profile-")
        try:
            given = Path(self._folder.name)
            np.savez(given / "pictures.npz", *pictures)
            (given / "order.json").write_bytes(msgspec.json.encode(order))
            command = [sys.executable, "-P", "-m", "edge.profile", str(given)]
            self._log = (given / "log").open("wb")
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self._log
            )
        except OSError as error:
            self._folder.cleanup()
            raise HeadwaterError(f"no profile can be measured: {error}; see to {given}, or set --split") from None

    def result(self) -> Profile | None:
        """Return the profile once it is measured, None until then. Raises: HeadwaterError where none comes."""
        status = self._process.poll()
        if status is None:
            return None
        found = read_profile(Path(self._folder.name) / RESULT) if status == 0 else None
        said = " ".join((Path(self._folder.name) / "log").read_text(errors="replace").split()[-60:])
        self.stop()
        if found is None:
            raise HeadwaterError(f"measuring the profile ended with status {status}: {said}; set --split to do without")
        self._keep(found)
        return found

    def _keep(self, found: Profile) -> None:
        """Put the profile where the next start looks for it, whole or not at all."""
        half = self._path.with_suffix(f".{os.getpid()}")
        try:
            half.parent.mkdir(parents=True, exist_ok=True)
            half.write_bytes(msgspec.json.encode(found))
            half.replace(self._path)
        except OSError as error:
            log.warning(event("the profile is not kept, the next start measures again", path=self._path, reason=error))

    def stop(self) -> None:
        """End it, finished or not, and forget its pictures."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._log.close()
        self._folder.cleanup()


def measure(
    order: Order, pictures: Sequence[np.ndarray], progress: Callable[[int, int], None] = lambda done, total: None
) -> Profile:
    """Return the profile of this machine. Raises: SettingsError, ModelError."""
    from edge.crop import crop_of
    from edge.rehearsal import rehearse
    from models.engine import Engine

    bundle = Bundle.load(order.bundle)
    engine = Engine(bundle.model_path, threads=order.threads, outputs=bundle.finals)
    crop = crop_of(bundle, order.crop, order.region, order.max_faces)
    ways = rehearse(bundle, engine, pictures, codecs=order.codecs, crop=crop, progress=progress)
    return Profile(VERSION, tuple(ways), clock_hz())


class _Rests:
    """Rests after each split as long as it took: where a quota holds all processes, a low priority does not help.

    Ends the process, and takes its folder away, where the device that asked is gone.
    """

    def __init__(self, given: Path) -> None:
        self._given, self._parent = given, os.getppid()
        self._since_s = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        time.sleep(time.monotonic() - self._since_s)
        if os.getppid() != self._parent:
            shutil.rmtree(self._given, ignore_errors=True)
            sys.exit("the device is gone")
        self._since_s = time.monotonic()


def main(given: Path) -> None:
    """Measure what the folder describes and put the profile into it."""
    os.nice(NICE)
    order = msgspec.json.decode((given / "order.json").read_bytes(), type=Order)
    with np.load(given / "pictures.npz") as stored:
        pictures = [stored[name] for name in stored.files]
    (given / RESULT).write_bytes(msgspec.json.encode(measure(order, pictures, _Rests(given))))


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except (SettingsError, ModelError, OSError) as error:
        sys.exit(json.dumps(str(error)))
