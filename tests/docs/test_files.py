"""What pages, and the comments of settings files and scripts, tell their readers to run or to open is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, calls, comments, listed, pages
from tests.docs.test_commands import TARGETS, taken

FOLDERS = "compose|kubernetes|broker|benchmarks|requirements|examples|[.]ci"
NAMED = re.compile(rf"(?<![\w./-])(?:{FOLDERS})/[\w./-]*\w")
MADE = re.compile(r"(?:compose|kubernetes)/secrets\b|compose/[.]env$|compose/observability/targets/")
"""What is not there before somebody has made it, and git ignores."""
A_PLACEHOLDER = "compose/NAME.yaml"
OF_MAKE = re.compile(r"(?:^|`|  |[A-Z]=\S+ )make ([a-z][a-z0-9-]*)")
OTHERS = listed("*.yaml", "*.yml", "*.conf", "compose/test/*", "compose/make-*", "compose/compose", "kubernetes/make-*")


def absent(text: str) -> list[str]:
    """Return the files and scripts that a text names and the project does not have."""
    found = {name for name in NAMED.findall(text) if not MADE.match(name) and name != A_PLACEHOLDER}
    return sorted(name for name in found if not (ROOT / name).exists())


@pytest.mark.parametrize("file", [*pages(), *OTHERS], ids=lambda file: file.relative_to(ROOT).as_posix())
def test_the_files_that_are_named_are_there(file: Path) -> None:
    """Scripts, settings and Dockerfiles of the project, by their paths."""
    assert absent(file.read_text()) == []


@pytest.mark.parametrize("file", OTHERS, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_comments_name_what_can_be_run(file: Path) -> None:
    """Targets of the Makefile, and commands that `headwater` takes."""
    assert [target for line in comments(file) for target in OF_MAKE.findall(line) if target not in TARGETS] == []
    indented = [line.strip() for line in comments(file) if line.startswith("  ")]
    for call in [call for line in indented if "headwater " in line for call in calls(line) if call[0] == "headwater"]:
        taken(call[1:])


def test_what_is_not_there_would_be_seen() -> None:
    """A script and a target that there are not; what is made first, and parts of other names, are none of that."""
    assert absent("run compose/make-secret, then cat compose/secrets/ca; see compose/compose.yaml.") == [
        "compose/make-secret"
    ]
    assert absent("https://registry.example/compose/nothing and my-compose/nothing") == []
    for line in ("once `make secrets` has run", "  make secrets", "OVERLAYS=tls make secrets"):
        assert OF_MAKE.findall(line) == ["secrets"]
    assert OF_MAKE.findall("what the operators make has not been seen") == []


def test_there_are_comments_to_look_at() -> None:
    """The reader finds them, and targets and commands in them."""
    lines = [line for file in OTHERS for line in comments(file)]
    assert len([line for line in lines if OF_MAKE.search(line)]) >= 5
    assert any(line.strip().startswith("headwater users add") for line in lines)
