"""Writes the lock: python -m requirements.renew [--keep] UV, called by `make lock`

One resolution for every extra, every Python from 3.11 and every machine, with the digests of all files; then, extra by
extra, which of these packages it needs.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from requirements.locked import FOR, LOCK, read

ROOT: Final = Path(__file__).parents[1]
CONSTRAINTS: Final = LOCK.with_name("constraints.txt")
RESOLVE: Final = ("pip", "compile", "--quiet", "--no-config", "--universal", "--python-version", "3.11")
BARE: Final = ("--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links")
"""No index by its name: who installs has an index of their own."""
PIN: Final = re.compile(r"^(?P<name>[a-z0-9.-]+)==", re.MULTILINE)


def marked(text: str, needs: dict[str, set[str]]) -> str:
    """Return a lock with a line below each package that says which extras need it: {extra: names of packages}."""
    lines: list[str] = []
    for line in text.splitlines():
        lines.append(line)
        if not line.endswith("\\"):
            name = next(reversed(PIN.findall("\n".join(lines))))
            lines.append(f"    {FOR}{' '.join(sorted(extra for extra, names in needs.items() if name in names))}")
    return "\n".join(lines) + "\n"


def resolved(uv: str, sources: Iterable[Path | str], *options: str) -> str:
    """Return the pins that uv finds for requirement files."""
    command = [uv, *RESOLVE, *BARE, *options, *map(str, sources)]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def renewed(uv: str, keep: bool, folder: Path) -> str:
    """Return the new lock; with `keep`, versions of today's stay where they fit."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    build, whole = folder / "build.txt", folder / "lock.txt"
    build.write_text("\n".join(project["build-system"]["requires"]) + "\n")
    if keep:
        whole.write_text(LOCK.read_text())
    options = ("--all-extras", "--generate-hashes", "--constraint", str(CONSTRAINTS), "--output-file", str(whole))
    resolved(uv, ("pyproject.toml", build), *options)
    pins = ("--constraint", str(whole))
    needs = {extra: ("--extra", extra) for extra in project["project"]["optional-dependencies"]}
    found = {extra: PIN.findall(resolved(uv, ["pyproject.toml"], *option, *pins)) for extra, option in needs.items()}
    found["core"] = PIN.findall(resolved(uv, ["pyproject.toml"], *pins))
    found["build"] = PIN.findall(resolved(uv, [build], *pins))
    return marked(whole.read_text(), {extra: set(names) for extra, names in found.items()})


def main() -> None:
    """Write the lock anew, and say what it holds."""
    parser = argparse.ArgumentParser(prog="python -m requirements.renew", description=__doc__)
    parser.add_argument("uv", metavar="UV", help="the program uv")
    parser.add_argument("--keep", action="store_true", help="keep today's versions; only add what is missing")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        LOCK.write_text(renewed(given.uv, given.keep, Path(folder)))
    packages = read()
    print(f"{LOCK}: {len(packages)} packages, {sum(len(package.hashes) for package in packages)} files")


if __name__ == "__main__":
    main()
