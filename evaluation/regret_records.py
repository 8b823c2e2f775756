"""What `headwater evaluate regret` has measured so far, kept row by row, so that it can go on where it stopped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from evaluation.kept_rows import RowFile, check_digest, read_known, write_known
from evaluation.regret import Ran, Setting, Tried
from planning.errors import PlanError
from planning.operator_times import OperatorTimes
from planning.ways import Conditions

MEASURED, BENCH = "regret-measured.csv", "regret-bench.json"


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
        self._bench = folder / BENCH
        folder.mkdir(parents=True, exist_ok=True)
        self.known = read_known(self._bench, Known(order, settings))
        if self.known.order != order:
            raise PlanError(
                f"{self._bench} was begun with {_words(self.known.order)}, asked for are {_words(order)}; "
                "ask for the same, or give another --output"
            )
        self._file = RowFile(folder / MEASURED, Ran, fresh=not self.known.conditions)
        self.add = self._file.add

    @property
    def rows(self) -> list[Ran]:
        """Return all rows."""
        return self._file.rows

    def keep(self) -> None:
        """Write what is known."""
        write_known(self._bench, self.known)

    def check(self, net: str, digest: str) -> None:
        """Raises: PlanError where a network was measured with another file."""
        check_digest(self._bench, net, self.known.digests.setdefault(net, digest), digest)

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


def _words(order: Order) -> str:
    return ", ".join(f"--{name.replace('_', '-')} {value}" for name, value in asdict(order).items())
