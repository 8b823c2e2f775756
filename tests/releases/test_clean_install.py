"""The wheel, installed where nothing else is and each file held against its digest, does what the README promises.

This takes a minute and the package index, so `make test` leaves it to `make test-install`, which .ci/run calls.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from headwater.children import start
from tests.releases.source import ROOT, built, committed, copied

FRAMES = 60
START_S = 90.0
OF_THE_CHECKOUT = ("PYTHONPATH", "VIRTUAL_ENV")

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a release, with what `make build` writes beside it."""
    found = built(committed(copied(tmp_path_factory.mktemp("tagged")), "v9.8.7"))["whl"]
    beside = [sys.executable, "-m", "requirements.release", str(found.parent)]
    subprocess.run(beside, cwd=ROOT, check=True, timeout=100)
    return found


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs of an environment with nothing but the wheel and what the demo needs, as locked."""
    folder = tmp_path_factory.mktemp("clean") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=120)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    locked = [*pip, "--require-hashes", "--only-binary", ":all:", "--requirement", "headwater-9.8.7-demo.txt"]
    subprocess.run(locked, cwd=wheel.parent, env=clean(), check=True, timeout=540)
    # The plain way finds nothing missing: what the wheel asks for and what is locked are the same.
    subprocess.run([*pip, "--no-index", f"{wheel}[demo]"], cwd=folder, env=clean(), check=True, timeout=100)
    return folder / "bin"


def clean() -> dict[str, str]:
    """Return this environment without what leads to the checkout or sets something for Headwater."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in OF_THE_CHECKOUT and not name.startswith("HEADWATER_")
    }


def said(programs: Path, *arguments: str) -> str:
    """Return what a `headwater` command prints, called outside the checkout."""
    done = subprocess.run(
        [str(programs / "headwater"), *arguments],
        cwd=programs, env=clean(), check=False, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_says_its_version(programs: Path) -> None:
    """`headwater --version` is the tag."""
    assert said(programs, "--version").strip() == "9.8.7"


def test_it_brought_its_models(programs: Path) -> None:
    """`headwater models cuts litter` lists the cut points of the shipped model, measured here."""
    assert re.search(r"block_5_add\s", said(programs, "models", "cuts", "litter"))


def test_the_demo_runs(programs: Path) -> None:
    """Its map answers, every frame is finished by its worker, and it ends by itself."""
    without = [*OF_THE_CHECKOUT, *(name for name in os.environ if name.startswith("HEADWATER_"))]
    command = [str(programs / "headwater"), "demo", "--frames", str(FRAMES)]
    with start("demo", command, folder=programs, without=without) as demo:
        address = demo.wait_for_line("The live map: ", START_S).split()[-1]
        with urllib.request.urlopen(address, timeout=START_S) as page:
            assert page.status == 200
            assert b"Headwater" in page.read()
        found = demo.wait_for_line(f"{FRAMES} captured", START_S)
        assert f"{FRAMES} by workers, 0 dropped, 0 in flight" in found
        assert demo.wait(30) == 0
