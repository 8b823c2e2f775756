"""Where labelled pictures lie: folders, tar archives and MNIST's .npz, read without unpacking them."""

from __future__ import annotations

import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

import numpy as np

from models.pictures import DataError, encode_png

SUFFIXES: Final = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
MAX_FILE_BYTES: Final = 100_000_000
MAX_PICTURES: Final = 5_000_000
_DAMAGE: Final = (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError)


class Place(NamedTuple):
    """Where the bytes of a picture lie: a file, and the stretch of it; size -1 is the whole file."""

    path: Path
    start: int = 0
    size: int = -1

    def read(self) -> bytes:
        """Return the bytes. Raises: OSError."""
        with self.path.open("rb") as file:
            file.seek(self.start)
            return file.read(self.size)


class Entry(NamedTuple):
    """A picture of a source: its path inside, and its bytes or where they lie."""

    path: PurePosixPath
    content: Place | bytes


def entries_in(source: Path) -> list[Entry]:
    """Return the pictures of a folder, a .tar(.gz) or an .npz, sorted by path. Raises: DataError."""
    if source.suffix == ".npz":
        return list(_in_arrays(source))
    found = _in_tar(source) if source.is_file() else _in_folder(source)
    entries = sorted(found, key=lambda entry: str(entry.path))
    if not entries:
        raise DataError(f"{source} holds no picture ({', '.join(SUFFIXES)}); see --data")
    return entries


def _in_folder(folder: Path) -> Iterator[Entry]:
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder, archive or .npz; see --data")
    for path in folder.rglob("*"):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            _check_size(path.stat().st_size, str(path))
            yield Entry(PurePosixPath(path.relative_to(folder).as_posix()), Place(path))


def _in_tar(archive: Path) -> Iterator[Entry]:
    try:
        with _opened(archive) as tar:
            packed = not isinstance(tar.fileobj, io.BufferedReader)
            for count, member in enumerate(tar):
                if count > MAX_PICTURES:
                    raise DataError(f"{archive} holds over {MAX_PICTURES} entries; split it")
                path = PurePosixPath(member.name)
                if member.isreg() and path.suffix.lower() in SUFFIXES:
                    yield Entry(path, _content(archive, tar, member, packed))
            # To the end, where the checksum lies that tells a damaged archive from a short one.
            while packed and tar.fileobj is not None and tar.fileobj.read(1 << 20):
                continue
    except _DAMAGE as error:
        raise DataError(f"{archive} cannot be read as tar: {error}; fetch it again") from error


def _opened(archive: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(archive)
    except tarfile.ReadError as error:
        raise DataError(
            f"{archive} cannot be read as tar: got {archive.stat().st_size} B of something else or damaged, expected a "
            "folder of pictures, a .tar (also packed), or an .npz; see --data"
        ) from error


def _content(archive: Path, tar: tarfile.TarFile, member: tarfile.TarInfo, packed: bool) -> Place | bytes:
    """Return the place of a member; of a compressed archive, which has no places to read from, its bytes."""
    _check_size(member.size, member.name)
    if not packed:
        return Place(archive, member.offset_data, member.size)
    file = tar.extractfile(member)
    return file.read() if file else b""


def _in_arrays(archive: Path) -> Iterator[Entry]:
    """Yield every picture of MNIST's arrays as PNG, its path made of part, label and number."""
    if archive.is_file() and not zipfile.is_zipfile(archive):
        raise DataError(
            f"{archive} cannot be read: got {archive.stat().st_size} B that are no .npz, expected x_train, y_train, "
            "x_test, y_test in one; see --data"
        )
    try:
        with np.load(archive, allow_pickle=False) as arrays:
            for part in ("train", "test"):
                pictures, labels = arrays[f"x_{part}"], arrays[f"y_{part}"]
                _check_arrays(archive, pictures, labels)
                for number, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
                    rgb = np.repeat(picture[..., None], 3, axis=2) if picture.ndim == 2 else picture
                    yield Entry(PurePosixPath(part, str(int(label)), f"{number}.png"), encode_png(rgb))
    except (*_DAMAGE, ValueError, KeyError) as error:
        raise DataError(f"{archive} cannot be read: {error}; expected x_train, y_train, x_test, y_test") from error


def _check_arrays(archive: Path, pictures: np.ndarray, labels: np.ndarray) -> None:
    if pictures.dtype != np.uint8 or pictures.ndim not in {3, 4} or labels.shape != pictures.shape[:1]:
        raise DataError(
            f"{archive} has pictures {pictures.dtype} {pictures.shape} with labels {labels.shape}, expected uint8 "
            "(n, height, width) or (n, height, width, 3) with (n,)"
        )


def _check_size(size: int, name: str) -> None:
    if size > MAX_FILE_BYTES:
        raise DataError(f"{name} has {size} B, expected at most {MAX_FILE_BYTES}; make it smaller")
