"""Rows of text under their header, in columns."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def in_columns(header: Sequence[str], rows: Sequence[Sequence[str]], figures: Collection[str] = ()) -> str:
    """Return a header and rows as lines, each column as wide as its widest text; figures stand to the right."""
    table = [header, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    sides = [str.rjust if name in figures else str.ljust for name in header]
    return "\n".join(
        "  ".join(side(text, width) for side, text, width in zip(sides, row, widths, strict=True)).rstrip()
        for row in table
    )
