"""What `headwater evaluate links` has measured so far, kept row by row, so that it can go on and be added to."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from evaluation.kept_rows import RowFile, check_digest, read_known, write_known
from evaluation.links import Device, Link, Ran
from planning.errors import PlanError
from planning.ways import Way

MEASURED, BENCH = "links-measured.csv", "links-bench.json"


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
        self._bench = folder / BENCH
        folder.mkdir(parents=True, exist_ok=True)
        self.known = read_known(self._bench, Known(runs))
        if self.known.runs != runs:
            raise PlanError(
                f"{self._bench} was begun with --runs {self.known.runs}, asked for is --runs {runs}; "
                "ask for the same, or give another --output"
            )
        self._file = RowFile(folder / MEASURED, Ran, fresh=not self.known.tried)
        self.add = self._file.add

    @property
    def rows(self) -> list[Ran]:
        """Return all rows."""
        return self._file.rows

    def keep(self, net: str, tried: Tried) -> None:
        """Keep how a network was when tried."""
        self.known.tried[net] = tried
        write_known(self._bench, self.known)

    def check(self, net: str, digest: str) -> None:
        """Raises: PlanError where a network was measured with another file."""
        tried = self.known.tried.get(net)
        check_digest(self._bench, net, tried.digest if tried else None, digest)

    def missing(self, net: str, link: Link, device: Device) -> list[Way]:
        """Return the ways of a network that was tried which were not measured over a link from a device."""
        wanted = (net, link.name, device.name)
        done = {row.name for row in self.rows if (row.net, row.link, row.device) == wanted}
        return [way for way in self.known.tried[net].ways if way.name not in done]

    def of(self, nets: Collection[str], links: Collection[str], devices: Collection[str]) -> list[Ran]:
        """Return the rows of these."""
        return [row for row in self.rows if row.net in nets and row.link in links and row.device in devices]
