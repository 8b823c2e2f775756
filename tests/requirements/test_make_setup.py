"""`make setup` installs what is locked, byte for byte, or nothing: our Makefile, tiny wheels and no network."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from requirements.locked import FOR, HASH
from tests.requirements.tiny import wheel

ROOT = Path(__file__).parents[2]
OF_THE_PROJECT = ("Makefile", "requirements/find-python", "requirements/locked.py")
PYPROJECT = """
[build-system]
requires = []
build-backend = "tiny"
backend-path = ["."]
[project]
name = "headwater"
version = "1.0"
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with our Makefile and tools, that is built by tests/requirements/tiny.py."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "requirements").mkdir()
    for name in OF_THE_PROJECT:
        shutil.copy2(ROOT / name, folder / name)
    shutil.copy2(Path(__file__).with_name("tiny.py"), folder)
    (folder / "pyproject.toml").write_text(PYPROJECT)
    return folder


def lock(project: Path, *wheels: Path, extra: Path | None = None) -> None:
    """Write the lock of these wheels as they are now, and of one that only the extra `more` needs."""
    pins = ""
    for path in (*wheels, *([extra] if extra else [])):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        whose = "more" if path is extra else "build demo"
        pins += f"{path.name.split('-')[0]}==1.0 \\\n    {HASH}{digest}\n    {FOR}{whose}\n"
    (project / "requirements/lock.txt").write_text(pins)


def set_up(project: Path, *given: str) -> subprocess.CompletedProcess[str]:
    """Return what `make setup` says where pip knows nothing but the project's folder of wheels."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "MAKE", "PYTHON"))}
    pip = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(project / "wheels")}
    return subprocess.run(
        ["make", "setup", *given], cwd=project, env={**inherited, **pip, "PYTHON": sys.executable},
        capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip


def is_there(project: Path, *modules: str) -> bool:
    """Tell whether the project's environment has all these modules."""
    command = [str(project / ".venv/bin/python"), "-P", "-c", f"import {', '.join(modules)}"]
    return subprocess.run(command, cwd=project, capture_output=True, check=False, timeout=30).returncode == 0


def test_what_the_lock_says_is_installed(project: Path) -> None:
    """A wheel with the digest in the lock, and then ourselves."""
    lock(project, wheel(project / "wheels", "honest"))
    done = set_up(project)
    assert done.returncode == 0, done.stderr
    assert is_there(project, "honest", "headwater")


def test_a_changed_file_is_not_installed(project: Path) -> None:
    """One byte more than when it was locked: make fails, pip says which file, nothing of it is there."""
    changed = wheel(project / "wheels", "changed")
    lock(project, changed)
    changed.write_bytes(changed.read_bytes() + b"\0")
    done = set_up(project)
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert "changed" in done.stderr
    assert not is_there(project, "changed")


def test_what_is_not_locked_is_not_installed(project: Path) -> None:
    """A package that a locked one needs, but that the lock does not have: make fails, neither is there."""
    wheel(project / "wheels", "stranger")
    lock(project, wheel(project / "wheels", "needing", needs="stranger"))
    done = set_up(project)
    assert done.returncode != 0
    assert "stranger" in done.stderr
    assert not is_there(project, "stranger")
    assert not is_there(project, "needing")


def test_an_extra_comes_from_the_lock_too(project: Path) -> None:
    """Only when it is asked for, with its digest; also later, when the rest is there. An unknown one is an error."""
    lock(project, wheel(project / "wheels", "honest"), extra=wheel(project / "wheels", "seldom"))
    assert set_up(project).returncode == 0
    assert not is_there(project, "seldom")
    assert set_up(project, "EXTRAS=more").returncode == 0
    assert is_there(project, "honest", "seldom")
    done = set_up(project, "EXTRAS=mroe")
    assert done.returncode != 0
    assert "not in the lock: mroe; extras there: build demo more" in done.stderr
