"""What a long experiment has measured so far, kept row by row in a folder, so that it can go on where it stopped."""

from __future__ import annotations

import csv
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

from planning.errors import PlanError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Row = TypeVar("Row", bound="DataclassInstance")
Known = TypeVar("Known")


class RowFile(Generic[Row]):
    """Rows of a dataclass in a CSV file, added one by one."""

    def __init__(self, path: Path, kind: type[Row], *, fresh: bool) -> None:
        """Read what is there, or begin anew. Raises: PlanError where it cannot be read."""
        self._path, self._names = path, [one.name for one in fields(kind)]
        self.rows = [] if fresh or not path.exists() else self._read(kind)
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, self._names, lineterminator="\n")
            writer.writeheader()
            writer.writerows(asdict(row) for row in self.rows)

    def add(self, row: Row) -> None:
        """Keep one more row."""
        self.rows.append(row)
        with self._path.open("a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, self._names, lineterminator="\n").writerow(asdict(row))

    def _read(self, kind: type[Row]) -> list[Row]:
        """Return the rows; a last one that was cut off counts as none."""
        with self._path.open(encoding="utf-8", newline="") as file:
            found = [one for one in csv.DictReader(file) if None not in one.values()]
        try:
            return msgspec.convert(found, list[kind], strict=False)  # type: ignore[valid-type]
        except msgspec.ValidationError as error:
            raise PlanError(f"{self._path} cannot be used ({error}); give another --output") from error


def read_known(path: Path, otherwise: Known) -> Known:
    """Return what a file keeps as JSON, of the same type as what holds where there is none. Raises: PlanError."""
    if not path.exists():
        return otherwise
    try:
        return msgspec.json.decode(path.read_bytes(), type=type(otherwise))
    except (OSError, msgspec.MsgspecError) as error:
        raise PlanError(f"{path} cannot be used ({error}); give another --output, or delete it") from error


def write_known(path: Path, known: object) -> None:
    """Keep as JSON; a file that was there is replaced as a whole."""
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_bytes(msgspec.json.format(msgspec.json.encode(known), indent=1))
    unfinished.replace(path)


def check_digest(path: Path, net: str, known: str | None, here: str) -> None:
    """Raises: PlanError where a network was measured with another file."""
    if known is not None and known != here:
        raise PlanError(f"{path} has {net} of another digest than the bundle here; give another --output")
