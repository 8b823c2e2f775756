"""Get the two model files out of mediapipe's last wheel that brings them, through the package index pip knows."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Final

from models.crop import CropError
from models.faces.files import MODEL_FILES, ModelFile, models_folder, read_model

VERSION: Final = "0.10.18"
WHEEL: Final = f"mediapipe-{VERSION}-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
WHEEL_BYTES: Final = 36_120_504
_ONE_WHEEL: Final = ("--platform", "manylinux2014_x86_64", "--python-version", "3.11", "--implementation", "cp")
"""Any machine may take this one: only data is read from it."""

_DAMAGE: Final = (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)
"""What the standard library raises for a file that is no zip, or one it cannot unpack."""


def missing_files(folder: Path | None = None) -> list[ModelFile]:
    """Return the files that are not there, or not the right ones."""
    missing = []
    for file in MODEL_FILES:
        try:
            read_model(file, folder)
        except CropError:
            missing.append(file)
    return missing


def fetch(wheel: Path | None = None, folder: Path | None = None) -> list[Path]:
    """Return where the model files are, after taking what is missing out of a wheel, downloaded when none is given.

    A file is written completely or not at all. Raises: CropError when the wheel cannot be had or is another one.
    """
    folder = folder or models_folder()
    missing = missing_files(folder)
    if missing and wheel:
        _take(wheel, missing, folder)
    elif missing:
        with tempfile.TemporaryDirectory() as scratch:
            _take(_download(Path(scratch)), missing, folder)
    return [folder / file.name for file in MODEL_FILES]


def _download(scratch: Path) -> Path:
    """Return the wheel, downloaded by pip with the user's own settings; on a terminal pip draws its bar on stderr."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--no-deps"]
    command += ["--only-binary", ":all:", *_ONE_WHEEL, "--retries", "1", "--timeout", "30", "--dest", str(scratch)]
    out = sys.stderr if sys.stderr.isatty() else subprocess.DEVNULL
    done = subprocess.run([*command, f"mediapipe=={VERSION}"], stdout=out, stderr=subprocess.PIPE, check=False)
    found = sorted(scratch.glob("*.whl"))
    if done.returncode or not found:
        errors = [line for line in done.stderr.decode(errors="replace").splitlines() if not line.startswith("WARNING")]
        reason = (errors[-1] if errors else "pip said nothing").removeprefix("ERROR: ")
        raise CropError(
            f"mediapipe {VERSION} cannot be downloaded: {reason}; connect to a package index, or fetch {WHEEL} on "
            "another machine and add --from that file"
        )
    return found[0]


def _take(wheel: Path, files: list[ModelFile], folder: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            contents = [_member(archive, wheel, file) for file in files]
    except _DAMAGE as error:
        raise CropError(f"{wheel} cannot be read as a wheel: {error}; fetch {WHEEL} again") from error
    for file, content in zip(files, contents, strict=True):
        _write(folder / file.name, content)


def _member(archive: zipfile.ZipFile, wheel: Path, file: ModelFile) -> bytes:
    """Return a file of the wheel, checked. Raises: CropError when it is missing or another one."""
    try:
        size = archive.getinfo(file.inside).file_size
        content = archive.read(file.inside) if size == file.size_bytes else b""
    except KeyError as error:
        raise CropError(f"{wheel} holds no {file.inside}; expected {WHEEL}, the last with the models") from error
    if not file.is_this(content):
        raise CropError(
            f"{file.name} in {wheel} has {size} B or another SHA-256 than {file.sha256[:12]}…, expected "
            f"{file.size_bytes} B; fetch {WHEEL} again"
        )
    return content


def _write(path: Path, content: bytes) -> None:
    unfinished = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_bytes(content)
        unfinished.replace(path)
    except OSError as error:
        raise CropError(f"{path} cannot be written: {error.strerror or error}; set XDG_CACHE_HOME") from error
