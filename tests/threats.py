"""The attacks of SECURITY.md's table, and what each is refused with; tests hold what they see against it."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "SECURITY.md"
_TABLE = re.compile(r"<!-- tried: begin -->\n(.*?)<!-- tried: end -->", re.DOTALL)
_ROW = re.compile(r"^\| ([^|]+?) \| ([^|]+?) \| ([^|]+?) \|$", re.MULTILINE)


def rows() -> dict[str, tuple[str, str]]:
    """Return what stops each attack, and the words that are seen, by the attack's name."""
    (table,) = _TABLE.findall(PAGE.read_text())
    found = _ROW.findall(table)
    return {attack: (by, words) for attack, by, words in found if not attack.startswith(("attack", "---"))}


def words_for(attack: str) -> str:
    """Return the words in backticks that the table promises for an attack."""
    (words,) = re.findall(r"`([^`]+)`", rows()[attack][1])
    return str(words)
