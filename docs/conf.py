"""How Sphinx builds the site of the documentation (make docs): from the pages as they lie in the project, unmoved.

Its navigation is docs/index.md: a page stands below the heading under which its table lists it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from sphinx.application import Sphinx

import headwater

project = "Headwater"
release = headwater.version()
html_title = f"Headwater {release.partition('+')[0]}"
extensions = ["myst_parser"]
root_doc = "docs/index"
include_patterns = [
    "docs/*.md",
    "docs/results/*.md",
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "models/bundles/*/MODEL_CARD.md",
]
exclude_patterns = [".venv", ".cache", "site", "build", "dist"]
suppress_warnings = ["misc.highlighting_failure"]  # an … in an example of TOML
myst_heading_anchors = 4
smartquotes = False  # -- begins a flag
html_theme = "furo"  # its fonts are the reader's own
html_copy_source = False
html_show_copyright = False

SECTION: Final = re.compile(r"^## (.+)\n((?:(?!## ).*\n?)*)", re.MULTILINE)
LISTED: Final = re.compile(r"^\| \[[^]]+\]\(([^)#]+)\.md\)", re.MULTILINE)
START: Final = (
    '<!doctype html><title>Headwater</title><meta http-equiv="refresh" content="0; url={0}"><a href="{0}">{0}</a>\n'
)


def navigation(index: str) -> str:
    """Return a hidden list of pages for each section of the index, in the order of its table."""
    return "".join(
        "\n".join(["", "```{toctree}", ":hidden:", f":caption: {title}", "", *LISTED.findall(table), "```", ""])
        for title, table in SECTION.findall(index)
    )


def setup(app: Sphinx) -> None:
    """Give the index its navigation, which a code host would show as text, and the site a page to begin with."""

    def add_navigation(_app: Sphinx, page: str, content: list[str]) -> None:
        if page == root_doc:
            content[0] += navigation(content[0])

    def add_start(app: Sphinx, error: Exception | None) -> None:
        if error is None:
            Path(app.outdir, "index.html").write_text(START.format(f"{root_doc}.html"))

    app.connect("source-read", add_navigation)
    app.connect("build-finished", add_start)
