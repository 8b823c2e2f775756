"""Writes what goes beside the wheel in dist/: python -m requirements.release dist, called by `make build`

`headwater-VERSION.cdx.json` is the bill of materials; `headwater-VERSION-EXTRA.txt` installs the wheel and what it
needs in the locked versions, each file held against its digest.
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from pathlib import Path
from typing import Final

from requirements.locked import HASH, Locked, chosen, read
from requirements.sbom import PYPROJECT, bill, digest

FOR_DEVELOPERS: Final = {"bench", "dev", "fuzz"}
INSTALLED: Final = ("edge", "worker", "http", "visualizer", "demo")
"""Who is installed on a machine of its own."""


def shipped() -> set[str]:
    """Return the extras for users."""
    return set(tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]) - FOR_DEVELOPERS


def locked_installation(wheel: Path, extra: str, packages: list[Locked], listing: str) -> str:
    """Return a requirement file for the wheel with one extra, to be used from the wheel's folder."""
    lines = [
        f"# In the folder of {wheel.name}:",
        f"# pip install --require-hashes --requirement {listing}",
        f"./{wheel.name}[{extra}] \\\n    {HASH}{digest(wheel)}",
        *(package.requirement() for package in chosen(packages, [extra])),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write them for the one wheel in the folder."""
    parser = argparse.ArgumentParser(prog="python -m requirements.release", description=__doc__)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    wheels = sorted(folder.glob("headwater-*.whl"))
    if len(wheels) != 1:
        sys.exit(f"{folder}: one wheel expected, {len(wheels)} found; run make build")
    (wheel,) = wheels
    version, packages, extras = wheel.name.split("-")[1], read(), shipped()
    for extra in INSTALLED:
        listing = f"headwater-{version}-{extra}.txt"
        (folder / listing).write_text(locked_installation(wheel, extra, packages, listing))
    whole = bill(chosen(packages, extras), extras, version, [wheel, *folder.glob("headwater-*.tar.gz")])
    (folder / f"headwater-{version}.cdx.json").write_text(json.dumps(whole, indent=1) + "\n")


if __name__ == "__main__":
    main()
