"""Markdown for model cards: paragraphs and lists wrapped at the page's width, tables, headings in a fixed order."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence

WIDTH = 118


def paragraph(text: str) -> str:
    """Return a text wrapped at the page's width; no word is cut."""
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def bullets(*texts: str) -> str:
    """Return one point per text, wrapped."""
    return "\n".join(
        textwrap.fill(
            text, WIDTH, initial_indent="- ", subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
        )
        for text in texts
    )


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; the first column is text, the others are figures."""
    lines = [heads, ["---", *("---:" for _ in heads[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def document(title: str, opening: str, sections: Mapping[str, Sequence[str]]) -> str:
    """Return a page of a title, an opening paragraph and sections of blocks; a section without blocks is left out."""
    parts = [f"# {title}", paragraph(opening)]
    for heading, blocks in sections.items():
        if blocks:
            parts += [f"## {heading}", *blocks]
    return "\n\n".join(parts) + "\n"
