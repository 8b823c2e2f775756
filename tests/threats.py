"""The attacks of SECURITY.md's table, and what each is refused with; tests hold what they see against it."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

from broker.embedded import find_mosquitto

PAGE = Path(__file__).parents[1] / "SECURITY.md"
_TABLE = re.compile(r"<!-- tried: begin -->\n(.*?)<!-- tried: end -->", re.DOTALL)
_WORDS = re.compile(r"`([^`]+)`(?:, since mosquitto (\d+)\.(\d+) `([^`]+)`)?")
_ROW = re.compile(r"^\| ([^|]+?) \| ([^|]+?) \| ([^|]+?) \|$", re.MULTILINE)


def rows() -> dict[str, tuple[str, str]]:
    """Return what stops each attack, and the words that are seen, by the attack's name."""
    (table,) = _TABLE.findall(PAGE.read_text())
    found = _ROW.findall(table)
    return {attack: (by, words) for attack, by, words in found if not attack.startswith(("attack", "---"))}


def words_for(attack: str) -> str:
    """Return the words in backticks that the table promises for an attack, of the mosquitto that is installed."""
    ((words, major, minor, newer),) = _WORDS.findall(rows()[attack][1])
    return str(newer if newer and mosquitto_version() >= (int(major), int(minor)) else words)


@cache
def mosquitto_version() -> tuple[int, int]:
    """Return the first two numbers of the installed mosquitto's version, (0, 0) where there is none."""
    program = find_mosquitto()
    if program is None:
        return 0, 0
    said = subprocess.run([program, "-h"], capture_output=True, text=True, check=False).stdout
    major, minor = re.findall(r"mosquitto version (\d+)\.(\d+)", said)[0]
    return int(major), int(minor)
