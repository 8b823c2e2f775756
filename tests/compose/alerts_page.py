"""The table of alerts in docs/observability.md, written from the rules: `python -m tests.compose.alerts_page`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[2]
RULES: Final = ROOT / "compose/observability/alerts.yaml"
PAGE: Final = ROOT / "docs/observability.md"
BEGIN, END = "<!-- alerts: begin -->\n", "<!-- alerts: end -->"


def rules() -> list[dict[str, Any]]:
    """Return every rule of every group."""
    found = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in found for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    """Return the rules that are alerts."""
    return [rule for rule in rules() if "alert" in rule]


def written() -> str:
    """Return the page with its table as the rules are now."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    return before + BEGIN + _table() + END + rest.partition(END)[2]


def _table() -> str:
    rows = ["| alert | severity | says | after | what to do |", "|---|---|---|---|---|"]
    for alert in alerts():
        said, after = alert["annotations"], alert.get("for", "at once")
        severity = alert["labels"]["severity"]
        rows.append(f"| `{alert['alert']}` | {severity} | {said['summary']} | {after} | {said['action']} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(written())
