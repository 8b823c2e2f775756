"""The pages of the reference that come from the code are what the code says today."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from docs.reference import FOLDER, described, every_command, pages
from headwater.command_list import COMMANDS
from headwater.topics import CONTENT_TYPES

PAGES = pages()


@pytest.mark.parametrize("page", PAGES)
def test_the_page_is_up_to_date(page: str) -> None:
    """A changed flag, default, help line, topic or field is written into the page with it."""
    assert (FOLDER / page).read_text() == PAGES[page], "run: make reference"


def test_every_command_and_flag_is_there() -> None:
    """Each command has its heading, an example and a row for each of its settings."""
    sections = dict(re.findall(r"^## headwater (.+)\n((?:(?!## ).*\n?)*)", PAGES["commands.md"], re.MULTILINE))
    assert len(sections) == sum(len(commands) for commands in COMMANDS.values())
    for name, _, settings in every_command():
        assert f"\nheadwater {name}" in sections[name]
        for setting in settings:
            assert re.search(rf"`{re.escape(setting.names[0])}[ `]", sections[name]), (name, setting.names)


def test_defaults_and_values_are_as_they_would_be_typed() -> None:
    """Numbers, zero, choices, paths, repeated and paired values; what must be given says so."""
    page = PAGES["commands.md"]
    for row in (
        "| `--source TEXT` | must be given | A folder, picture or video;",
        "| `--report all,positive` | `all` |",
        "| `--batch-wait-ms NUMBER` | `0` |",
        "| `--codec TEXT` | `auto`, `jpeg:90` |",
        "| `--value-range NUMBER NUMBER` |  |",
        "| `--output PATH`, `-o` | must be given |",
        "| `--name TEXT` | the host's name |",
        "| `--visualizer`, `--no-visualizer` | `true` |",
    ):
        assert row in page, row


def test_no_page_knows_the_machine_that_wrote_it() -> None:
    """Neither its name nor its home stands in a default."""
    for page in PAGES.values():
        assert f"`{os.uname().nodename}`" not in page
        assert str(Path.home()) not in page


def test_a_docstring_is_prose_and_examples() -> None:
    """Examples may be several and long; what follows Args: is told in the table."""
    text = "Do it.\n\nExample: headwater do\n  --it\n\nMore | of <it>.\n\nExample: headwater do\n\nArgs:\n    x: y"
    assert described(text) == ("Do it.\n\nMore \\| of \\<it>.", "headwater do --it\nheadwater do")


def test_every_topic_is_there() -> None:
    """Each kind of topic has its row, and every message that a row names has its fields."""
    page = PAGES["topics.md"]
    for kind in CONTENT_TYPES:
        assert re.search(rf"^\| `headwater/v1/{{fleet}}/(?:{{device}}/)?{kind}` \|", page, re.MULTILINE), kind
    for name in re.findall(r"\[(\w+)\]\(#(\w+)\)", page):
        assert f"\n## {name[0]}\n" in page
        assert name[1] == name[0].lower()
