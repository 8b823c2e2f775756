"""The table of measured figures in the README, written from the kept results and from nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.measure import Row

README = Path("README.md")
BEGIN, END = "<!-- measured: begin -->\n", "<!-- measured: end -->\n"
ALSO = (
    "split block_9_add: whole stream, p50",
    "split block_9_add, JPEG 640x480: whole stream - limit",
    "papers/002: JSON list, bytes",
    "papers/001: base64 in JSON, bytes",
    "the picture as JPEG 90, bytes",
    "native int8+zstd, bytes",
    "at features: native int8+zstd, bytes",
    "papers' way (Keras, JSON): p50",
    "Headwater int8: p50",
)
"""Rows without a goal that a reader asks for; every row with a goal is shown, met or missed."""


def table(results: dict[str, Any]) -> str:
    """Return the results as a Markdown table with the machine they were measured on."""
    machine = results["machine"]
    lines = ["| measured | value | goal |", "|---|---:|---|"]
    for rows in results["benchmarks"].values():
        for kept in rows:
            row = Row(kept["what"], kept["value"], kept["unit"], kept["goal"], kept["better"])
            if row.goal is not None or row.what in ALSO:
                lines.append(f"| {row.what} | {row.text()} | {f'{row.goal_text()} {row.verdict()}'.strip()} |")
    where = f"{machine['cores']} cores of {machine['cpu']}, Python {machine['python']}, {machine['runtime']}"
    return "\n".join([*lines, "", f"Measured on {machine['date']} on {where}, by `make bench`.", ""])


def with_table(text: str, results: dict[str, Any]) -> str:
    """Return the README's text with the table between its two marks renewed."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{table(results)}{END}{after}"
