"""The file below the spool: how it is opened, and what is saved of one that is damaged or gone."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from edge.machine import Stamp
from headwater.logs import event

log = logging.getLogger(__name__)

KEPT_ASIDE: Final = 2
"""So many damaged files are kept for somebody to look at."""
JOURNAL_BYTES: Final = 16 * 1024 * 1024
CHECKPOINT_PAGES: Final = 500
"""The journal's pages go into the file when they are so many, 2 MB: less than what is held in reserve."""
ROWS_AT_ONCE: Final = 64
_NOT_THE_FILE: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISUSE, sqlite3.SQLITE_TOOBIG,
    }
)  # fmt: skip
"""What speaks of the disk, the room on it, somebody's lock, or our own fault."""
_COLUMNS: Final = ("boot", "sequence", "message", "answer", "crc", "start", "up_s", "wall_s")
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS frames (
    place INTEGER PRIMARY KEY,
    boot TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    message BLOB NOT NULL,
    answer BLOB,
    crc INTEGER NOT NULL,
    start TEXT NOT NULL,
    up_s REAL NOT NULL,
    wall_s REAL NOT NULL,
    UNIQUE (boot, sequence)
)"""
INSERT: Final = f"INSERT INTO frames ({', '.join(_COLUMNS)}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608  constants
_NO_STAMP: Final = Stamp("", 0.0, 0.0)
"""Of a row that nobody stamped: `age_s` takes it for new."""


class Row(NamedTuple):
    """A frame as it lies in the file."""

    boot: str
    sequence: int
    message: bytes
    answer: bytes | None
    crc: int
    """Of all before it: SQLite itself does not notice a flipped bit in them."""
    stamp: Stamp
    """When it was captured."""

    @property
    def size_bytes(self) -> int:
        """Return what it takes of the spool's bound."""
        return len(self.message) + len(self.answer or b"")

    @property
    def values(self) -> tuple[object, ...]:
        """Return what `INSERT` takes."""
        return (*self[:5], *self.stamp)


class Odd(sqlite3.DatabaseError):
    """The file is a database, and not what this program wrote."""


def crc_of(boot: str, sequence: int, message: bytes, answer: bytes | None) -> int:
    """Return what tells that none of these has changed. Source: RFC 1952, section 8 (CRC-32)."""
    return zlib.crc32(answer or b"", zlib.crc32(message, zlib.crc32(f"{boot}-{sequence}".encode())))


def is_damage(error: sqlite3.Error) -> bool:
    """Tell whether the file itself is at fault, and not its disk, the room on it, or somebody's lock."""
    if isinstance(error, sqlite3.ProgrammingError):
        return False
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF not in _NOT_THE_FILE


def is_full(error: sqlite3.Error) -> bool:
    """Tell whether there was no room on the disk; some file systems call that an error of the disk."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


def connect(path: Path | None) -> sqlite3.Connection:
    """Return the database at a path, or one in memory, ready for frames. Raises: sqlite3.Error."""
    db = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False, timeout=0.5)
    try:
        for statement in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = NORMAL"):
            db.execute(f"PRAGMA {statement}")
        db.execute(f"PRAGMA journal_size_limit = {JOURNAL_BYTES}")
        db.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        db.execute(_SCHEMA)
        if set(_COLUMNS) - _columns(db):
            raise Odd("its table of frames is that of another program or version")
    except sqlite3.Error:
        db.close()
        raise
    return db


def mend(path: Path, reader: sqlite3.Connection | None) -> int:
    """Put a new file in place with every row that is whole; return how many are known to be lost.

    The old file, if it is there, is set aside. `reader` is the connection that was used so far; it is closed when the
    new file is whole. A crash meanwhile leaves the old file or the whole new one. Raises: sqlite3.Error, OSError where
    the new one cannot be written; then the old one stays as it is, and `reader` open: it may be all that there is.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = _fresh(path)
    _remove(fresh)
    old = reader or sqlite3.connect(path, isolation_level=None, timeout=0.5)
    try:
        found = _places(old)
        saved = _copied(old, found, fresh)
    except (sqlite3.Error, OSError) as error:
        if reader is None:
            _close(old)
        else:
            log.error(event("spool damaged, or gone, and cannot be made anew now", path=path, error=error))
        raise
    _close(old)
    aside = _set_aside(path)
    fresh.replace(path)
    report = {"path": path, "set_aside": aside, "saved": saved, "lost": len(found) - saved}
    log.error(event("spool damaged, or gone, and made anew", **report))
    return len(found) - saved


def finish_mending(path: Path) -> None:
    """Take up what a crash in `mend` left. Raises: OSError."""
    fresh = _fresh(path)
    if fresh.exists() and not path.exists():
        fresh.replace(path)
    _remove(fresh)


def _fresh(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


def _columns(db: sqlite3.Connection) -> set[str]:
    return {row[1] for row in db.execute("PRAGMA table_info(frames)")}


def _places(db: sqlite3.Connection) -> list[int]:
    """Return the places of all rows that the table or its index still name, from either end of each."""
    found: set[int] = set()
    by_index = "SELECT place FROM frames INDEXED BY sqlite_autoindex_frames_1 ORDER BY boot {0}, sequence {0}"
    for query in ("SELECT place FROM frames NOT INDEXED ORDER BY place {0}", by_index):
        for order in ("ASC", "DESC"):
            with contextlib.suppress(sqlite3.Error):
                for (place,) in db.execute(query.format(order)):
                    found.add(place)
    return sorted(found)


def _copied(old: sqlite3.Connection, places: Sequence[int], fresh: Path) -> int:
    """Copy the rows that are whole into a new file and return how many they are.

    Raises: sqlite3.Error, OSError where not all go into it; then there is none.
    """
    try:
        with contextlib.closing(connect(fresh)) as new:
            return _copy(old, places, new)
    except sqlite3.Error:
        _remove(fresh)
        raise


def _copy(old: sqlite3.Connection, places: Sequence[int], new: sqlite3.Connection) -> int:
    """Copy the rows that are whole and return how many they are. Raises: sqlite3.Error, of the new file only."""
    saved = 0
    for begin in range(0, len(places), ROWS_AT_ONCE):
        rows = list(_whole(old, places[begin : begin + ROWS_AT_ONCE]))
        new.execute("BEGIN")
        done = new.executemany(INSERT.replace("INSERT", "INSERT OR IGNORE"), [row.values for row in rows])
        new.execute("COMMIT")
        saved += max(0, done.rowcount)
    new.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()  # closing would pass over a disk that is full
    return saved


def _close(db: sqlite3.Connection) -> None:
    with contextlib.suppress(sqlite3.Error):
        db.close()


def _whole(db: sqlite3.Connection, places: Sequence[int]) -> Iterator[Row]:
    with contextlib.suppress(sqlite3.Error):
        have = _columns(db)
        shown = ", ".join(name if name in have else f"NULL AS {name}" for name in _COLUMNS)
        for place in places:
            with contextlib.suppress(sqlite3.Error):
                row = _checked(db.execute(f"SELECT {shown} FROM frames WHERE place = ?", (place,)).fetchone())  # noqa: S608
                if row is not None:
                    yield row


def _checked(values: Sequence[object] | None) -> Row | None:
    """Return a row that is what it should be. One of an earlier version has no checksum and no stamp."""
    match values:
        case (str(boot), int(sequence), bytes(message), bytes() | None as answer, crc, *moment):
            true = crc_of(boot, sequence, message, answer)
            return Row(boot, sequence, message, answer, true, stamp_of(moment)) if crc in (None, true) else None
    return None


def stamp_of(moment: Sequence[object]) -> Stamp:
    """Return the moment that stands in a row; one that nobody knows where none does."""
    match moment:
        case [str(start), float(up_s), float(wall_s)]:
            return Stamp(start, up_s, wall_s)
    return _NO_STAMP


def _set_aside(path: Path) -> str | None:
    """Give a file, with its journal, a name of its own, and keep the last few such; return the name."""
    if not path.exists():
        _remove(path)
        return None
    name = time.strftime(f"{path.name}.damaged-%Y%m%dT%H%M%SZ", time.gmtime())
    number = 0
    while (aside := path.with_name(f"{name}-{number}" if number else name)).exists():
        number += 1
    with contextlib.suppress(FileNotFoundError):
        path.with_name(f"{path.name}-wal").replace(aside.with_name(f"{aside.name}-wal"))
    path.replace(aside)
    aside.touch()
    _keep_last(path, aside)
    return aside.name


def _keep_last(path: Path, newest: Path) -> None:
    found = [one for one in path.parent.iterdir() if one.name.startswith(f"{path.name}.damaged-")]
    bases = [one for one in found if not one.name.endswith("-wal") and one != newest]
    for old in sorted(bases, key=lambda one: one.stat().st_mtime_ns)[: max(0, len(bases) - KEPT_ASIDE + 1)]:
        _remove(old)


def _remove(path: Path) -> None:
    """Remove a database with all that SQLite keeps beside it; a journal left behind would spoil the next one."""
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm", f"{path.name}-journal"):
        path.with_name(name).unlink(missing_ok=True)


def file_at(path: Path) -> tuple[int, int] | None:
    """Return what tells one file from another that later has its name; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def is_open(db: sqlite3.Connection) -> bool:
    """Tell whether a connection has not been closed."""
    try:
        return db.total_changes >= 0
    except sqlite3.ProgrammingError:
        return False


def touch(db: sqlite3.Connection) -> None:
    """Write a page that says what it said before. Raises: sqlite3.Error."""
    db.execute("PRAGMA user_version = 0")


def free_bytes(db: sqlite3.Connection) -> int:
    """Return what the file has free in itself. Raises: sqlite3.Error."""
    pages, page_bytes = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("freelist_count", "page_size"))
    return int(pages) * int(page_bytes)
