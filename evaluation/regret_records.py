"""What `headwater evaluate regret` has measured so far, kept row by row, so that it can go on where it stopped."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Final

import msgspec

from evaluation.regret import Ran, Setting, Tried
from planning.errors import PlanError
from planning.operator_times import OperatorTimes
from planning.ways import Conditions

MEASURED, BENCH = "regret-measured.csv", "regret-bench.json"
_NAMES: Final = [one.name for one in fields(Ran)]


@dataclass(frozen=True)
class Order:
    """What was asked for; rows of another order are not mixed with these."""

    settings: int
    seed: int
    runs: int
    share: float
    """Of a core, that is the device's at its highest clock."""


@dataclass
class Known:
    """What every network shares, and how each was when tried."""

    order: Order
    settings: list[Setting]
    conditions: list[Conditions] = field(default_factory=list)
    """Of each setting, the link as measured."""
    tried: dict[str, Tried] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    rates: dict[str, OperatorTimes] = field(default_factory=dict)
    """By operator, for each network and those that they were fitted on; kept so that a report can be made again."""


class Records:
    """The rows in a folder, and what was known when they were made."""

    def __init__(self, folder: Path, order: Order, settings: list[Setting]) -> None:
        """Read what is there. Raises: PlanError where it is of another order, or cannot be read."""
        self._bench, self._measured = folder / BENCH, folder / MEASURED
        folder.mkdir(parents=True, exist_ok=True)
        self.known = self._read_bench() if self._bench.exists() else Known(order, settings)
        if self.known.order != order:
            raise PlanError(
                f"{self._bench} was begun with {_words(self.known.order)}, asked for are {_words(order)}; "
                "ask for the same, or give another --output"
            )
        self.rows = self._read_rows() if self._measured.exists() and self.known.conditions else []
        self._write_rows()

    def keep(self) -> None:
        """Write what is known."""
        unfinished = self._bench.with_suffix(".unfinished")
        unfinished.write_bytes(msgspec.json.format(msgspec.json.encode(self.known), indent=1))
        unfinished.replace(self._bench)

    def check(self, net: str, digest: str) -> None:
        """Raises: PlanError where a network was measured with another file."""
        if self.known.digests.setdefault(net, digest) != digest:
            raise PlanError(f"{self._bench} has {net} of another digest than the bundle here; give another --output")

    def add(self, row: Ran) -> None:
        """Keep one more row."""
        self.rows.append(row)
        with self._measured.open("a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, _NAMES, lineterminator="\n").writerow(asdict(row))

    def missing(self, net: str, place: int) -> list[Setting]:
        """Return the settings in which a way was not measured."""
        done = {row.setting for row in self.rows if (row.net, row.place) == (net, place)}
        return [setting for setting in self.known.settings if setting.number not in done]

    def missing_of(self, net: str) -> list[list[Setting]]:
        """Return the same for every way of a network that was tried."""
        return [self.missing(net, place) for place in range(len(self.known.tried[net].ways))]

    def of(self, net: str, setting: int) -> list[Ran]:
        """Return the ways of a network in a setting, in their order."""
        return sorted((row for row in self.rows if (row.net, row.setting) == (net, setting)), key=lambda row: row.place)

    def is_complete(self, nets: Sequence[str]) -> bool:
        """Tell whether everything of these networks was measured."""
        return all(net in self.known.tried and not any(self.missing_of(net)) for net in nets)

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


def _words(order: Order) -> str:
    return ", ".join(f"--{name.replace('_', '-')} {value}" for name, value in asdict(order).items())
