"""The lock: what it holds, and that whatever installs goes by it."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from requirements import sbom
from requirements.locked import LOCK, Locked, chosen, known, read
from requirements.renew import marked

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = sorted(PYPROJECT["project"]["optional-dependencies"])
PACKAGES = read()
DIGESTS = ("a" * 64, "b" * 64)
TEXT = f"""\
one==1.0 \\
    --hash=sha256:{DIGESTS[0]} \\
    --hash=sha256:{DIGESTS[1]}
    # for: demo edge
two==2.0 ; python_full_version < '3.12' \\
    --hash=sha256:{DIGESTS[0]}
    # for: edge
"""
INSTALLERS = ["Makefile", "edge/Dockerfile", "cloud_worker/Dockerfile", "cloud_worker/Dockerfile.lambda",
              "visualizer/Dockerfile", "compose/images/install-dependencies", "compose/images/photographs"]  # fmt: skip
PIP = re.compile(r"\$\(PIP\)|\bpip\b.* (?:install|download)\b")
BY_DIGEST = "--require-hashes"
OURSELVES_ALONE = "--no-deps --no-build-isolation"
FOR_THE_LOCK_ITSELF = "install --quiet uv"


def test_a_lock_is_read(tmp_path: Path) -> None:
    """Versions, machines, digests and extras, and back again."""
    (tmp_path / "lock.txt").write_text(TEXT)
    one, two = read(tmp_path / "lock.txt")
    assert one == Locked("one", "1.0", "", DIGESTS, frozenset({"demo", "edge"}))
    assert two == Locked("two", "2.0", "python_full_version < '3.12'", DIGESTS[:1], frozenset({"edge"}))
    again = [f"{package.requirement()}\n    # for: {' '.join(sorted(package.extras))}\n" for package in (one, two)]
    assert "".join(again) == TEXT


def test_a_lock_is_marked() -> None:
    """Below each package, whatever its number of digests, the extras that need it."""
    bare = "".join(line for line in TEXT.splitlines(keepends=True) if "# for:" not in line)
    assert marked(bare, {"edge": {"one", "two"}, "demo": {"one"}}) == TEXT


def test_every_file_is_pinned() -> None:
    """Each package has digests and somebody who needs it; no index is named."""
    assert len(PACKAGES) > 150
    assert [package.name for package in PACKAGES if not package.hashes or not package.extras] == []
    assert all(re.fullmatch(r"[0-9a-f]{64}", digest) for package in PACKAGES for digest in package.hashes)
    assert "//" not in LOCK.read_text()


def test_the_lock_knows_every_extra() -> None:
    """Those of pyproject.toml, what Headwater needs without any, and what builds it."""
    assert known(PACKAGES) == {*EXTRAS, "core", "build"}


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_lock_has_all_that_an_extra_needs(extra: str) -> None:
    """Directly, in a version that it takes, and through what is installed here, whoever needs whom."""
    packages = {package.name: package for package in chosen(PACKAGES, [extra])}
    ours = sbom.direct(PYPROJECT["project"], [extra])
    for requirement in map(Requirement, ours):
        locked = packages[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(locked.version), requirement
    here = sbom.installed()
    reached = sbom.graph(ours, here, set(here) & {package.name for package in PACKAGES})
    assert reached.keys() - {sbom.OURSELVES} <= packages.keys()


def test_build_is_what_builds_us() -> None:
    """The lock has the build system under its own name, so that no build fetches anything."""
    packages = {package.name for package in chosen(PACKAGES, ["build"])}
    assert {Requirement(line).name for line in PYPROJECT["build-system"]["requires"]} <= packages


def test_an_unknown_extra_is_told() -> None:
    """The message has what was asked for, and what there is."""
    command = [sys.executable, "-m", "requirements.locked", "egde", "--package", "nunpy"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 1
    assert re.search(r"not in the lock: egde, nunpy; extras there: .*\bedge\b", done.stderr)
    assert done.stdout == ""


@pytest.mark.parametrize("name", INSTALLERS)
def test_whoever_installs_goes_by_the_lock(name: str) -> None:
    """Every call of pip holds files against their digests, or installs ourselves alone with nothing fetched."""
    text = re.sub(r"\\\n\s*", " ", (ROOT / name).read_text())
    lines = [line for line in text.splitlines() if not line.lstrip().startswith(("#", "PIP :="))]
    calls = [part for line in lines for part in line.split("&&") if PIP.search(part)]
    allowed = (BY_DIGEST, OURSELVES_ALONE, FOR_THE_LOCK_ITSELF)
    assert calls
    assert [call.strip() for call in calls if not any(one in call for one in allowed)] == []
