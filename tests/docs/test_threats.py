"""The table of attacks in SECURITY.md and the tests that try them name the same ones."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

from tests import threats
from tests.threats import rows, words_for

TESTS = Path(__file__).parents[1] / "integration"
FILES = (*sorted(TESTS.glob("test_nobody_in*.py")), TESTS / "test_site_login.py")
"""Where attacks are tried."""


def tried() -> Counter[str]:
    """Return how often each attack is named where tests try them."""
    found: Counter[str] = Counter()
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in rows():
                found[node.value] += 1
    return found


def test_every_attack_in_the_table_is_tried() -> None:
    """No row without a test, each with one phrase to be seen and with what stops it."""
    table = rows()
    assert len(table) >= 40
    assert set(tried()) == set(table)
    for attack, (by, _) in table.items():
        assert by, attack
        assert len(words_for(attack)) >= 4, attack


def test_every_attack_that_is_tried_is_in_the_table() -> None:
    """What a test asks the table for is there."""
    asked = set()
    for path in FILES:
        asked |= set(re.findall(r'words_for\("([^"]+)"\)', path.read_text()))
    assert asked
    assert asked <= set(rows())


def test_words_that_another_mosquitto_has_are_promised_for_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The version decides, so that no test takes either."""
    found = []
    for version in ((2, 0), (2, 1), (3, 0)):
        monkeypatch.setattr(threats, "mosquitto_version", lambda version=version: version)
        found.append(words_for("a flood of messages"))
    assert found == ["disconnected due to out of memory", "disconnected: out of memory", "disconnected: out of memory"]
