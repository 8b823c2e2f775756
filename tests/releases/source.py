"""Copies of the project to build from, so that a build writes nothing into the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WHO = {f"GIT_{who}_{what}": "test@example" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def tracked() -> list[str]:
    """Return the files of the project as git names them; skip where there is no git checkout, fail when CI is set."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode != 0:
        assert not os.environ.get("CI"), "not a git checkout, and CI is set"
        pytest.skip("not a git checkout")
    return [name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


def copied(to: Path) -> Path:
    """Return a folder with all tracked files as they are now, without git."""
    for name in tracked():
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, to / name)
    return to


def committed(folder: Path, *tags: str) -> Path:
    """Return the folder as a git repository of one commit with these tags."""
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "All")
    for tag in tags:
        git(folder, "tag", tag)
    return folder


def git(folder: Path, *arguments: str) -> None:
    """Run git in a folder, with nobody's settings but these."""
    alone = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    command = ["git", "-c", "core.hooksPath=", *arguments]
    subprocess.run(command, cwd=folder, env={**os.environ, **alone, **WHO}, check=True, timeout=60)


def built(folder: Path, *options: str, version: str = "") -> dict[str, Path]:
    """Return what `python -m build` makes of a folder, by its ending: "whl", "gz"."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder / "dist"), *options]
    said = {"SETUPTOOLS_SCM_PRETEND_VERSION_FOR_HEADWATER": version}
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **said}, check=False, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {path.suffix.removeprefix("."): path for path in (folder / "dist").iterdir()}
