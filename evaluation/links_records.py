"""What `headwater evaluate links` has measured so far, kept row by row, so that it can go on and be added to."""

from __future__ import annotations

import csv
from collections.abc import Collection
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Final

import msgspec

from evaluation.links import Device, Link, Ran
from planning.errors import PlanError
from planning.ways import Way

MEASURED, BENCH = "links-measured.csv", "links-bench.json"
_NAMES: Final = [one.name for one in fields(Ran)]


@dataclass(frozen=True)
class Tried:
    """A network as the planner knows it: every way, tried here with a whole core."""

    digest: str
    ways: list[Way]


@dataclass
class Known:
    """What all rows share."""

    runs: int
    tried: dict[str, Tried] = field(default_factory=dict)


class Records:
    """The rows in a folder, and how the networks were when tried."""

    def __init__(self, folder: Path, runs: int) -> None:
        """Read what is there. Raises: PlanError where it was measured with other runs, or cannot be read."""
        self._bench, self._measured = folder / BENCH, folder / MEASURED
        folder.mkdir(parents=True, exist_ok=True)
        self.known = self._read_bench() if self._bench.exists() else Known(runs)
        if self.known.runs != runs:
            raise PlanError(
                f"{self._bench} was begun with --runs {self.known.runs}, asked for is --runs {runs}; "
                "ask for the same, or give another --output"
            )
        self.rows = self._read_rows() if self._measured.exists() and self.known.tried else []
        self._write_rows()

    def keep(self, net: str, tried: Tried) -> None:
        """Keep how a network was when tried."""
        self.known.tried[net] = tried
        unfinished = self._bench.with_suffix(".unfinished")
        unfinished.write_bytes(msgspec.json.format(msgspec.json.encode(self.known), indent=1))
        unfinished.replace(self._bench)

    def check(self, net: str, digest: str) -> None:
        """Raises: PlanError where a network was measured with another file."""
        if net in self.known.tried and self.known.tried[net].digest != digest:
            raise PlanError(f"{self._bench} has {net} of another digest than the bundle here; give another --output")

    def add(self, row: Ran) -> None:
        """Keep one more row."""
        self.rows.append(row)
        with self._measured.open("a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, _NAMES, lineterminator="\n").writerow(asdict(row))

    def missing(self, net: str, link: Link, device: Device) -> list[Way]:
        """Return the ways of a network that was tried which were not measured over a link from a device."""
        wanted = (net, link.name, device.name)
        done = {row.name for row in self.rows if (row.net, row.link, row.device) == wanted}
        return [way for way in self.known.tried[net].ways if way.name not in done]

    def of(self, nets: Collection[str], links: Collection[str], devices: Collection[str]) -> list[Ran]:
        """Return the rows of these."""
        return [row for row in self.rows if row.net in nets and row.link in links and row.device in devices]

    def _read_bench(self) -> Known:
        try:
            return msgspec.json.decode(self._bench.read_bytes(), type=Known)
        except (OSError, msgspec.MsgspecError) as error:
            raise PlanError(f"{self._bench} cannot be used ({error}); give another --output, or delete it") from error

    def _read_rows(self) -> list[Ran]:
        """Return the rows; a last one that was cut off counts as none."""
        with self._measured.open(encoding="utf-8", newline="") as file:
            found = [one for one in csv.DictReader(file) if None not in one.values()]
        try:
            return msgspec.convert(found, list[Ran], strict=False)
        except msgspec.ValidationError as error:
            raise PlanError(f"{self._measured} cannot be used ({error}); give another --output") from error

    def _write_rows(self) -> None:
        with self._measured.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, _NAMES, lineterminator="\n")
            writer.writeheader()
            writer.writerows(asdict(row) for row in self.rows)
