"""Writes a bill of materials in CycloneDX: python -m requirements.sbom --version 0.2.0 --output sbom.cdx.json edge

What the extras need, by the lock: versions, digests of their files, licences, who needs whom. With --installed only
what is here, and nothing may be here that is not locked: so it is made in an image.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import sys
import time
import tomllib
import uuid
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any, Final

from packaging.requirements import Requirement

from requirements.licences import corrections, said
from requirements.locked import LOCK, Locked, chosen, read

OURSELVES: Final = "headwater"
PYPROJECT: Final = LOCK.parents[1] / "pyproject.toml"
SPEC: Final = "1.6"
"""Of CycloneDX: of 2024, and read by every scanner of today."""


def canonical(name: str) -> str:
    """Return a package's name as the lock has it. Source: PyPA, name normalization."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed() -> dict[str, Distribution]:
    """Return the packages of this environment, by their names."""
    return {canonical(found.name): found for found in distributions() if found.name}


def needs(
    requirements: Iterable[str], here: dict[str, Distribution], extras: Iterable[str] = ()
) -> Iterator[Requirement]:
    """Return those requirements that hold here for some extras, and those for other machines that are not here."""
    for requirement in map(Requirement, requirements):
        marker = requirement.marker
        elsewhere = "extra" not in str(marker) and canonical(requirement.name) not in here
        if marker is None or elsewhere or any(marker.evaluate({"extra": one}) for one in extras or [""]):
            yield requirement


def direct(project: dict[str, Any], extras: Iterable[str]) -> list[str]:
    """Return what pyproject.toml asks for with some extras, those that name others of ours among them."""
    found = list(project["dependencies"])
    for extra in extras:
        for line in project["optional-dependencies"][extra]:
            ours = Requirement(line)
            found += direct(project, ours.extras) if canonical(ours.name) == OURSELVES else [line]
    return found


def graph(ours: list[str], here: dict[str, Distribution], names: set[str]) -> dict[str, set[str]]:
    """Return who needs whom, from ourselves on, among the packages of these names."""
    asked: dict[str, frozenset[str]] = {}
    found: dict[str, set[str]] = {OURSELVES: set()}
    waiting: list[tuple[str, Requirement]] = [(OURSELVES, one) for one in needs(ours, here)]
    while waiting:
        who, requirement = waiting.pop()
        name = canonical(requirement.name)
        if name not in names:
            continue
        found[who].add(name)
        found.setdefault(name, set())
        extras = asked.get(name, frozenset()) | requirement.extras
        if name in here and asked.get(name) != extras:
            asked[name] = extras
            waiting += [(name, one) for one in needs(here[name].requires or [], here, extras)]
    return found


def purl(name: str, version: str) -> str:
    """Return the address of a package by which scanners find it. Source: package-url, type pypi."""
    return f"pkg:pypi/{name}@{version}"


def component(package: Locked, licence: str | None, extras: set[str]) -> dict[str, Any]:
    """Return a package as CycloneDX has it."""
    properties = {"headwater:extras": " ".join(sorted(package.extras & extras)), "headwater:marker": package.marker}
    files = {
        "type": "distribution",
        "url": f"https://pypi.org/project/{package.name}/{package.version}/#files",
        "comment": "any one of these files",
        "hashes": [{"alg": "SHA-256", "content": digest} for digest in package.hashes],
    }
    return {
        "type": "library",
        "bom-ref": purl(package.name, package.version),
        "name": package.name,
        "version": package.version,
        "purl": purl(package.name, package.version),
        **({"licenses": [{"expression": licence}]} if licence else {}),
        "externalReferences": [files],
        "properties": [{"name": name, "value": value} for name, value in properties.items() if value],
    }


def ourselves(project: dict[str, Any], version: str, files: Iterable[Path]) -> dict[str, Any]:
    """Return Headwater as CycloneDX has it, with the files that are released."""
    released = [
        {"type": "distribution", "url": path.name, "hashes": [{"alg": "SHA-256", "content": digest(path)}]}
        for path in files
    ]
    return {
        "type": "application",
        "bom-ref": purl(OURSELVES, version),
        "name": OURSELVES,
        "version": version,
        "description": project["description"],
        "licenses": [{"expression": project["license"]}],
        "purl": purl(OURSELVES, version),
        **({"externalReferences": released} if released else {}),
    }


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def licence_of(name: str, here: dict[str, Distribution], corrected: dict[str, str]) -> str | None:
    """Return the licence of a package: the list's, else its metadata's; None where neither says it."""
    if name in corrected:
        return corrected[name]
    return said(here[name].metadata) if name in here else None


def bill(packages: list[Locked], extras: set[str], version: str, files: Iterable[Path] = ()) -> dict[str, Any]:
    """Return the bill of materials of Headwater with some extras and these packages."""
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    here, corrected = installed(), corrections()
    components = [component(one, licence_of(one.name, here, corrected), extras) for one in packages]
    ours = direct(project, sorted(extras - {"build", "core"}))
    edges = graph(ours, here, {package.name for package in packages})
    refs = {OURSELVES: [purl(OURSELVES, version)]}
    for package in packages:
        refs.setdefault(package.name, []).append(purl(package.name, package.version))
    dependencies = [
        {"ref": ref, "dependsOn": sorted(to for name in edges.get(who, ()) for to in refs[name])}
        for who, several in refs.items()
        for ref in several
    ]
    whole = {
        "metadata": {"timestamp": timestamp(), "component": ourselves(project, version, files)},
        "components": components,
        "dependencies": dependencies,
    }
    serial = uuid.UUID(bytes=hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).digest()[:16], version=4)
    return {"bomFormat": "CycloneDX", "specVersion": SPEC, "serialNumber": serial.urn, "version": 1, **whole}


def timestamp() -> str:
    """Return the time of the build; SOURCE_DATE_EPOCH says it where a build is repeated."""
    now_s = float(os.environ.get("SOURCE_DATE_EPOCH") or time.time())
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now_s))


def only_installed(packages: list[Locked], here: dict[str, Distribution]) -> list[Locked]:
    """Return those packages that are here. Raises: SystemExit when something is here that was not to be."""
    found = [one for one in packages if one.name in here and here[one.name].version == one.version]
    strange = sorted(set(here) - {package.name for package in found} - {OURSELVES})
    if strange:
        sys.exit(f"installed, but not locked so: {', '.join(f'{name} {here[name].version}' for name in strange)}")
    return found


def main() -> None:
    """Write the bill of materials of what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m requirements.sbom", description=__doc__)
    parser.add_argument("extras", nargs="+", metavar="EXTRA", help="an extra of pyproject.toml, or core")
    parser.add_argument("--version", required=True, help="of Headwater")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE")
    parser.add_argument("--installed", action="store_true", help="only what is here, all of it locked")
    given = parser.parse_args()
    packages = chosen(read(), given.extras)
    if given.installed:
        packages = only_installed(packages, installed())
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(bill(packages, set(given.extras), given.version), indent=1) + "\n")


if __name__ == "__main__":
    main()
