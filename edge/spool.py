"""The device's disk queue: a frame stays here until its result has come back.

SQLite in WAL mode with `synchronous = NORMAL`: what was committed survives the death of the process; a power cut may
take the last transactions, never the file. Source: sqlite.org, "WAL mode", section 2.1, and "PRAGMA synchronous".
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from headwater.errors import SpoolError

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS frames (
    place INTEGER PRIMARY KEY,
    boot TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    message BLOB NOT NULL,
    UNIQUE (boot, sequence)
)"""


class Key(NamedTuple):
    """One frame of this device: which start of it, and which picture since."""

    boot: str
    sequence: int


class Spool:
    """Frames on disk in the order they came, bounded in bytes. One thread uses it."""

    def __init__(self, path: Path, limit_bytes: int) -> None:
        """Open or create the file. Raises: SpoolError."""
        self.path, self.limit_bytes = path, limit_bytes
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0.5)
            for statement in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = NORMAL"):
                self._db.execute(f"PRAGMA {statement}")
            self._db.execute(f"PRAGMA journal_size_limit = {16 * 1024 * 1024}")
            self._db.execute(_SCHEMA)
            rows = self._db.execute("SELECT boot, sequence, length(message) FROM frames ORDER BY place")
            self._sizes: dict[Key, int] = {Key(boot, sequence): size for boot, sequence, size in rows}
        except (sqlite3.Error, OSError) as error:
            raise SpoolError(
                f"spool {path}: {error}; is another device running with this name, or the disk full or read-only?"
            ) from None
        self.size_bytes: int = sum(self._sizes.values())

    def __len__(self) -> int:
        return len(self._sizes)

    def __contains__(self, key: Key) -> bool:
        return key in self._sizes

    def size_of(self, key: Key) -> int:
        """Return the size of a frame's message in bytes; 0 when it is not here."""
        return self._sizes.get(key, 0)

    def keys(self) -> list[Key]:
        """Return the frames that are here, oldest first."""
        return list(self._sizes)

    def fits(self, message_bytes: int) -> bool:
        """Tell whether one more message of this size stays within the bound."""
        return self.size_bytes + message_bytes <= self.limit_bytes

    def commit(self, add: Sequence[tuple[Key, bytes]], forget: Sequence[Key]) -> None:
        """Add and forget frames in one transaction. Raises: SpoolError, and then nothing has changed."""
        try:
            self._db.execute("BEGIN")
            self._db.executemany(
                "INSERT INTO frames (boot, sequence, message) VALUES (?, ?, ?)", [(*key, body) for key, body in add]
            )
            self._db.executemany("DELETE FROM frames WHERE boot = ? AND sequence = ?", forget)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise SpoolError(f"spool {self.path}: {error}; free disk space or give --spool another folder") from None
        for key, body in add:
            self._sizes[key] = len(body)
            self.size_bytes += len(body)
        for key in forget:
            self.size_bytes -= self._sizes.pop(key, 0)

    def read(self, key: Key) -> bytes | None:
        """Return the stored message, or None when it is not here. Raises: SpoolError."""
        try:
            row = self._db.execute("SELECT message FROM frames WHERE boot = ? AND sequence = ?", key).fetchone()
        except sqlite3.Error as error:
            raise SpoolError(f"spool {self.path}: {error}") from None
        return None if row is None else bytes(row[0])

    def close(self) -> None:
        """Write everything into the file and let go of it."""
        self._db.close()

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")
