"""The device's disk queue: a frame stays here until its result has come back.

SQLite in WAL mode. What was committed survives the death of the process; with `synchronous = FULL` a power cut, too,
since each commit that adds a frame ends with an fsync of the journal. A commit that only forgets needs none: a frame
that comes back from the dead is sent once more, and the store knows it. Source: sqlite.org, "WAL mode", section 2.1,
and "PRAGMA synchronous".
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from edge import spool_file
from edge.keeping import Durable
from edge.machine import Machine, age_s, stamp, this_machine
from edge.reserve import Reserve, has_room
from headwater.errors import SpoolError
from headwater.logs import event

log = logging.getLogger(__name__)

MEND_EVERY_S: Final = 10.0
"""A damaged file that could not be made anew is tried again after so long."""


class Key(NamedTuple):
    """One frame of this device: which start of it, and which picture since."""

    boot: str
    sequence: int


class Note(NamedTuple):
    """What is kept beside a message."""

    age_s: float = 0.0
    """How long ago the frame was captured."""
    answer: bytes | None = None
    """The message to send in its place when its time has passed."""


class _Kept(NamedTuple):
    size_bytes: int
    since_s: float
    """When it was captured, by the clock of this start of the machine; below 0 before it."""


class Spool:
    """Frames in the order they came, bounded in bytes. One thread uses it; any may read its figures."""

    def __init__(
        self, path: Path, limit_bytes: int, durable: Durable = "power", machine: Machine | None = None
    ) -> None:
        """Open or create the file; a damaged one is set aside, and what is whole of it is kept. Raises: SpoolError."""
        self.path, self.limit_bytes, self.durable = path, limit_bytes, durable
        self._machine = machine or this_machine()
        self.mended = 0
        """How often the file was damaged, or gone, and made anew."""
        self.lost_before = 0
        """Frames of earlier runs that are known to have been lost with a damaged file."""
        self.is_torn = False
        """What cannot be read now is not lost for good: the file could not be made anew yet."""
        self._reserve = Reserve(path)
        self._failed_s: dict[bool, float] = {}  # since when no frame can be added (True) or forgotten (False)
        self._refused_bytes = 0
        self._mend_again_s = float("-inf")
        self._lost: list[Key] = []
        self._kept: dict[Key, _Kept] = {}
        try:
            self._open()
        except (sqlite3.Error, OSError) as error:
            raise SpoolError(
                f"spool {path}: {error}; is another device running with this name, or the disk full or read-only?"
            ) from None
        self.size_bytes: int = sum(kept.size_bytes for kept in self._kept.values())

    def _open(self) -> None:
        if self.durable == "off":
            if self.path.exists():
                log.warning(event("frames of earlier runs stay in the file, since --durable is off", path=self.path))
            self._db = spool_file.connect(None)
            return
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        spool_file.finish_mending(self.path)
        try:
            self._attach()
        except sqlite3.Error as error:
            if not spool_file.is_damage(error):
                raise
            self.lost_before = spool_file.mend(self.path, None)
            self.mended += 1
            self._attach()

    def _attach(self) -> None:
        """Take the file as it is on the disk."""
        self._db = spool_file.connect(self.path)
        try:
            self._kept = self._listed()
        except sqlite3.Error:
            self._db.close()
            raise
        self._file = spool_file.file_at(self.path)

    def _listed(self) -> dict[Key, _Kept]:
        query = (
            "SELECT boot, sequence, length(message) + coalesce(length(answer), 0), start, up_s, wall_s "
            "FROM frames ORDER BY place"
        )
        now_s, found = self._machine.up_s(), dict[Key, _Kept]()
        for row in self._db.execute(query):
            match row:
                case (str(boot), int(sequence), int(size_bytes), *moment):
                    found[Key(boot, sequence)] = _Kept(
                        size_bytes, now_s - age_s(spool_file.stamp_of(moment), self._machine)
                    )
                case _:
                    raise spool_file.Odd("a row is not as it was written")
        return found

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, key: Key) -> bool:
        return key in self._kept

    @property
    def outlives_us(self) -> bool:
        """Tell whether the next start finds what is in here."""
        return self.durable != "off"

    def failing_s(self) -> float | None:
        """Return for how long nothing could be written; None where the last attempt went well."""
        since_s = min(list(self._failed_s.values()), default=None)
        return None if since_s is None else self._machine.up_s() - since_s

    def size_of(self, key: Key) -> int:
        """Return the bytes that a frame takes of the bound; 0 when it is not here."""
        kept = self._kept.get(key)
        return 0 if kept is None else kept.size_bytes

    def age_s(self, key: Key) -> float | None:
        """Return how long ago a frame was captured; None when it is not here."""
        kept = self._kept.get(key)
        return None if kept is None else max(0.0, self._machine.up_s() - kept.since_s)

    def keys(self) -> list[Key]:
        """Return the frames that are here, oldest first."""
        return list(self._kept)

    def fits(self, message_bytes: int) -> bool:
        """Tell whether one more message of this size stays within the bound."""
        return self.size_bytes + message_bytes <= self.limit_bytes

    def commit(
        self, add: Sequence[tuple[Key, bytes]], forget: Collection[Key], notes: Mapping[Key, Note] | None = None
    ) -> None:
        """Forget frames and add others, in one transaction. Raises: SpoolError, and then nothing has changed.

        A key that is forgotten and added gets the new message. A damaged or vanished file is made anew first. With
        nothing to do it is asked whether the disk would take the largest frame that it refused last.
        """
        notes = notes or {}
        rows = [self._row(key, message, notes.get(key, Note())) for key, message in add]
        adding = bool(rows) or not forget
        try:
            self._check_disk(sum(row.size_bytes for row in rows) or self._refused_bytes, adding=adding)
            self._write(rows, forget)
        except (sqlite3.Error, OSError) as error:
            self._roll_back()
            self._failed_s.setdefault(adding, self._machine.up_s())
            self._refused_bytes = max((row.size_bytes for row in rows), default=self._refused_bytes)
            raise SpoolError(f"spool {self.path}: {error}; free disk space or give --spool another folder") from None
        self._succeeded(adding=adding)
        for key in forget:
            self.size_bytes -= self.size_of(key)
            self._kept.pop(key, None)
        for row in rows:
            self._kept[Key(row.boot, row.sequence)] = _Kept(row.size_bytes, row.stamp.up_s)
            self.size_bytes += row.size_bytes

    def read(self, key: Key) -> bytes | None:
        """Return the stored message, or None when it is not here. Raises: SpoolError."""
        return self._value(0, key)

    def answer(self, key: Key) -> bytes | None:
        """Return what to send of a frame whose time has passed, if there is anything. Raises: SpoolError."""
        return self._value(1, key)

    def lost(self) -> list[Key]:
        """Return the frames that were lost with a damaged file since the last call."""
        lost, self._lost = self._lost, []
        return lost

    def close(self) -> None:
        """Write everything into the file and let go of it."""
        self._db.close()
        if self.outlives_us:
            self._reserve.release()

    def _row(self, key: Key, message: bytes, note: Note) -> spool_file.Row:
        moment = stamp(self._machine, note.age_s)
        return spool_file.Row(
            key.boot, key.sequence, message, note.answer, spool_file.crc_of(*key, message, note.answer), moment
        )

    def _write(self, rows: Sequence[spool_file.Row], forget: Collection[Key]) -> None:
        """Write one transaction: into a new file where the old one is damaged, on the reserve on a full disk."""
        try:
            self._transact(rows, forget)
        except sqlite3.Error as error:
            self._roll_back()
            if spool_file.is_full(error):
                self._take_up_journal()
            elif not self._mends(error):
                raise
            self._transact(rows, forget)

    def _take_up_journal(self) -> None:
        """Let the file grow by what only the journal has, on what is held in reserve: the journal begins anew."""
        self._reserve.release()
        with contextlib.suppress(sqlite3.Error):
            self._db.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()

    def _transact(self, rows: Sequence[spool_file.Row], forget: Collection[Key]) -> None:
        at_once = self.durable == "power" and (rows or not forget)
        self._db.execute(f"PRAGMA synchronous = {'FULL' if at_once else 'NORMAL'}")
        self._db.execute("BEGIN")
        self._db.executemany("DELETE FROM frames WHERE boot = ? AND sequence = ?", forget)
        self._db.executemany(spool_file.INSERT, [row.values for row in rows])
        if not rows and not forget:
            spool_file.touch(self._db)
        self._db.execute("COMMIT")

    def _value(self, place: int, key: Key) -> bytes | None:
        """Return a frame's message (0) or answer (1)."""
        try:
            found = self._select(key)
        except (sqlite3.Error, OSError) as error:
            raise SpoolError(f"spool {self.path}: {error}") from None
        match found:
            case None:
                return None
            case (bytes(message), bytes() | None as answer, int(crc)) if crc == spool_file.crc_of(
                *key, message, answer
            ):
                return answer if place else message
        raise SpoolError(f"spool {self.path}: frame {key.sequence} of run {key.boot} is not as it was written")

    def _select(self, key: Key) -> tuple[object, ...] | None:
        query = "SELECT message, answer, crc FROM frames WHERE boot = ? AND sequence = ?"
        try:
            return self._db.execute(query, key).fetchone()  # type: ignore[no-any-return]
        except sqlite3.Error as error:
            if not self._mends(error):
                raise
            return self._db.execute(query, key).fetchone()  # type: ignore[no-any-return]

    def _check_disk(self, size_bytes: int, *, adding: bool) -> None:
        """Make the file anew where somebody took it away, and see that it may grow. Raises: OSError, sqlite3.Error."""
        if not self.outlives_us:
            return
        if spool_file.file_at(self.path) != self._file and not self._mends(None):
            raise OSError("the file is gone")
        if adding and not has_room(self.path.parent, size_bytes, lambda: spool_file.free_bytes(self._db)):
            raise OSError("database or disk is full")

    def _mends(self, error: sqlite3.Error | None) -> bool:
        """Make the file anew, if the error says that it is damaged; tell whether that was done. Raises: as `mend`."""
        is_usable = spool_file.is_open(self._db)
        now_s = self._machine.up_s()
        if self.durable == "off" or (error is not None and is_usable and not spool_file.is_damage(error)):
            return False
        if now_s < self._mend_again_s:
            return False
        self._mend_again_s = now_s + MEND_EVERY_S
        before, self.is_torn = self._kept, True
        spool_file.mend(self.path, self._db if is_usable else None)
        self._attach()
        self.mended, self.is_torn = self.mended + 1, False
        self._lost += [key for key in before if key not in self._kept]
        self.size_bytes = sum(kept.size_bytes for kept in self._kept.values())
        return True

    def _succeeded(self, *, adding: bool) -> None:
        self._failed_s.pop(False, None)
        if adding:
            self._failed_s.pop(True, None)
            self._refused_bytes = 0
        if self.outlives_us:
            self._reserve.hold()

    def _roll_back(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
