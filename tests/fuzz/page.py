"""The table of docs/results/fuzz.md, and its figures beside it in fuzz.json: made by runs with --record."""

from __future__ import annotations

import json
from pathlib import Path

from tests.fuzz.judge import ROOT
from tests.fuzz.runs import Tally
from tests.fuzz.targets import TARGETS, named

FIGURES = ROOT / "docs/results/fuzz.json"
HEAD = """# Untrusted bytes: what was fuzzed

Made by `make fuzz ARGS="TARGET --inputs N --record"`. The rule: an error of ours or a value, nothing else, within the
bounds of [docs/fuzzing.md](../fuzzing.md). *Lines* are those of our decoders that inputs led to, *answers* the
different things that were said (refusals without their numbers and names). A finding breaks the rule.

| target | bytes | inputs | inputs/s | lines | answers | findings |
|---|---|---|---|---|---|---|
"""


def page(figures: dict[str, dict[str, float]]) -> str:
    """Return the page, a row for each target that was run, in the order of the targets."""
    rows = [row(name, figures[name]) for name in TARGETS if name in figures]
    total = sum(int(one["inputs"]) for one in figures.values())
    return HEAD + "\n".join(rows) + f"\n\n{total:,} inputs in all.\n"


def row(name: str, found: dict[str, float]) -> str:
    """Return one row of the table."""
    cells = [f"{found[key]:,.0f}" for key in ("inputs", "rate", "lines", "answers", "findings")]
    return f"| {name} | {named(name).what} | {' | '.join(cells)} |"


def record(name: str, tally: Tally, figures: Path = FIGURES) -> None:
    """Put what a target came to into the figures, and write the page anew."""
    known = json.loads(figures.read_text()) if figures.is_file() else {}
    known[name] = {
        "inputs": tally.inputs,
        "rate": round(tally.inputs / max(0.1, tally.seconds)),
        "lines": len(tally.lines),
        "answers": len(tally.answers),
        "findings": len(tally.findings),
    }
    ordered = {one: known[one] for one in TARGETS if one in known}
    figures.write_text(json.dumps(ordered, indent=1) + "\n")
    figures.with_suffix(".md").write_text(page(ordered))
