"""Prints what of the lock some extras need, for pip: python -m requirements.locked build demo"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

LOCK: Final = Path(__file__).with_name("lock.txt")
FOR: Final = "# for: "
"""What stands below a package in the lock, before the extras that need it."""
HASH: Final = "--hash=sha256:"


@dataclass(frozen=True)
class Locked:
    """One version of one package, the digests of its files, and who needs it."""

    name: str
    version: str
    marker: str
    """The machines that it is for, as in a requirement; empty: all."""
    hashes: tuple[str, ...]
    """SHA-256 of every file of this version, for every machine."""
    extras: frozenset[str] = frozenset()
    """The extras that need it; `core` is Headwater without any, `build` what builds Headwater."""

    def requirement(self) -> str:
        """Return it as pip reads it."""
        marker = f" ; {self.marker}" if self.marker else ""
        return f"{self.name}=={self.version}{marker}" + "".join(f" \\\n    {HASH}{one}" for one in self.hashes)


def read(path: Path = LOCK) -> list[Locked]:
    """Return the packages of a lock."""
    found: list[Locked] = []
    for line in path.read_text().replace("\\\n", " ").splitlines():
        if line.strip().startswith(FOR):
            found[-1] = replace(found[-1], extras=frozenset(line.strip().removeprefix(FOR).split()))
        elif line.strip() and not line.strip().startswith("#"):
            found.append(_package(line))
    return found


def _package(line: str) -> Locked:
    """Return the package of a pin, joined into one line."""
    pin, *hashes = line.split(HASH)
    name, _, rest = pin.partition("==")
    version, _, marker = rest.partition(";")
    return Locked(name.strip(), version.strip(), marker.strip(), tuple(one.strip() for one in hashes))


def known(packages: Iterable[Locked]) -> set[str]:
    """Return the extras that a lock knows."""
    return {extra for package in packages for extra in package.extras}


def chosen(packages: list[Locked], extras: Iterable[str], names: Iterable[str] = ()) -> list[Locked]:
    """Return what the extras need, and the packages named. Raises: SystemExit where the lock does not know one."""
    wanted, named = set(extras), set(names)
    unknown = sorted((wanted - known(packages)) | (named - {package.name for package in packages}))
    if unknown:
        sys.exit(f"not in the lock: {', '.join(unknown)}; extras there: {' '.join(sorted(known(packages)))}")
    return [package for package in packages if package.extras & wanted or package.name in named]


def main() -> None:
    """Print the packages that were asked for, with their hashes."""
    parser = argparse.ArgumentParser(prog="python -m requirements.locked", description=__doc__)
    parser.add_argument("extras", nargs="*", metavar="EXTRA", help="an extra of pyproject.toml, core, or build")
    parser.add_argument("--package", action="append", default=[], metavar="NAME", help="this one, without its needs")
    parser.add_argument("--lock", type=Path, default=LOCK)
    given = parser.parse_args()
    if not given.extras and not given.package:
        parser.error("name an extra or a --package")
    for package in chosen(read(given.lock), given.extras, given.package):
        print(package.requirement())


if __name__ == "__main__":
    main()
