"""The README says what was measured, and names only what is there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from benchmarks.readme import BEGIN, END, with_table

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_readme_shows_the_kept_results() -> None:
    """Its table is the one that the benchmarks write, figure for figure."""
    text = (ROOT / "README.md").read_text()
    assert text.count(BEGIN) == text.count(END) == 1
    assert with_table(text, json.loads((ROOT / "docs/results/bench.json").read_text())) == text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    """Every relative link of a page has its file."""
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target
