"""What a release holds, and what it is called."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.releases.source import ROOT, built, committed, copied, git, tracked
from tests.test_architecture import PARTS

TAG = "v9.8.7"
LARGEST_BYTES = 10_000_000
NOT_IN_A_WHEEL = re.compile(r"(^|/)Dockerfile[^/]*$|^broker/container/")
"""Files of the parts that are for who has the source."""
FALLBACK = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools_scm"]["fallback_version"]
DOCKERFILE = ROOT / "cloud_worker/Dockerfile.lambda"


def wanted() -> set[str]:
    """Return the files of the parts that every wheel has: code, bundles, price books, assets, the broker's settings."""
    return {name for name in tracked() if name.split("/")[0] in PARTS and not NOT_IN_A_WHEEL.search(name)}


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The sdist of a tagged commit, and the wheel made from that sdist."""
    return built(committed(copied(tmp_path_factory.mktemp("tagged")), TAG))


def in_wheel(wheel: Path) -> set[str]:
    """Return the files of a wheel, without what describes it."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def test_a_release_is_called_as_its_tag(release: dict[str, Path]) -> None:
    """Wheel and sdist of the commit v9.8.7 are 9.8.7."""
    assert release["whl"].name == "headwater-9.8.7-py3-none-any.whl"
    assert release["gz"].name == "headwater-9.8.7.tar.gz"
    assert max(path.stat().st_size for path in release.values()) < LARGEST_BYTES


def test_a_wheel_has_every_file_of_the_parts_and_no_other(release: dict[str, Path]) -> None:
    """A new kind of file is shipped by package-data in pyproject.toml, or named in NOT_IN_A_WHEEL."""
    assert in_wheel(release["whl"]) == wanted()


def test_a_sdist_has_what_a_wheel_is_made_of(release: dict[str, Path]) -> None:
    """The parts and the project's texts; no tests, results, pictures or caches."""
    with tarfile.open(release["gz"]) as archive:
        names = {member.name.partition("/")[2] for member in archive if member.isfile()}
    assert wanted() <= names
    texts = {"pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE"}
    assert texts <= names
    beside = {name.split("/")[0] for name in names} - set(PARTS)
    more = {"CONTRIBUTING.md", "SECURITY.md", "MANIFEST.in", "PKG-INFO", "setup.cfg", "headwater.egg-info"}
    assert beside == texts | more
    assert [name for name in names if "__pycache__" in name] == []


def test_a_wheel_from_the_checkout_is_the_same(release: dict[str, Path], tmp_path: Path) -> None:
    """Made straight from the files, without git and sdist, it holds what the released one holds."""
    assert in_wheel(built(copied(tmp_path), "--wheel", version="1.0")["whl"]) == in_wheel(release["whl"])


def test_the_function_s_image_installs_without_git(tmp_path: Path) -> None:
    """What Dockerfile.lambda copies is enough for a wheel, called as its build argument says."""
    for line in re.findall(r"^COPY (.*)$", DOCKERFILE.read_text(), re.MULTILINE):
        *sources, to = line.split()
        for source in sources:
            target = tmp_path / to / Path(source).name if to.endswith("/") else tmp_path / to
            target.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(ROOT / source, target)
    assert "SETUPTOOLS_SCM_PRETEND_VERSION_FOR_HEADWATER" in DOCKERFILE.read_text()
    wheel = built(tmp_path, "--wheel", version="1.2.3.dev4")["whl"]
    assert wheel.name == "headwater-1.2.3.dev4-py3-none-any.whl"
    assert {name.split("/")[0] for name in in_wheel(wheel)} == {"headwater", "models", "cloud_worker"}


def called(folder: Path) -> str:
    """Return what a build of the folder would be called."""
    command = [sys.executable, "-m", "setuptools_scm"]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def test_the_version_is_what_git_says(tmp_path: Path) -> None:
    """Of a tag its name; behind it how far; without tags, and without git, the version that is worked towards."""
    shutil.copy2(ROOT / "pyproject.toml", tmp_path)
    assert called(tmp_path) == FALLBACK
    committed(tmp_path)
    assert re.fullmatch(re.escape(FALLBACK.removesuffix("0")) + r"1\+g[0-9a-f]+", called(tmp_path))
    git(tmp_path, "tag", TAG)
    assert called(tmp_path) == "9.8.7"
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", "More")
    assert re.fullmatch(r"9\.8\.8\.dev1\+g[0-9a-f]+", called(tmp_path))
