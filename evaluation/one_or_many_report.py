"""The figures of one exit or many beside the document's, as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Final

from evaluation.one_or_many import Asked, Row

THRESHOLD: Final = 0.3
"""The one that the document shows. Source: Lee et al. 2021, section 4.1."""
PLACES: Final = range(1, 9)
Key = tuple[str, int]
THEIRS: Final[dict[str, dict[Key, float]]] = {
    "edge_accuracy": {("SEM", 1): 87.20, ("SEM", 8): 95.24},
    "cloud_accuracy": {("SEM", 1): 88.51, ("SEM", 2): 86.13, ("SEM", 8): 58.07},
    "overall_accuracy": {("SEM", 3): 86.04, ("SEM", 8): 92.04, ("MEM", 2): 84.31, ("MEM", 8): 86.10},
    "overall_ms": {("SEM", 5): 3.795, ("MEM", 3): 4.82, ("MEM", 5): 4.886},
    "exited": {("SEM", 8): 10_000 - 861},
}
"""Printed in the text at T = 0.3; the rest is in plots. Source: Lee et al. 2021, sections 4.2 and 4.3."""
THEIR_EXITS: Final[dict[str, dict[Key, float]]] = {
    "exit_accuracy": {
        ("SEM", 2): 72.65,
        ("SEM", 3): 77.76,
        ("SEM", 6): 88.92,
        ("SEM", 7): 90.98,
        ("MEM", 2): 64.59,
        ("MEM", 4): 76.06,
    },
    "final_accuracy": {("SEM", 7): 92.10, **{("MEM", place): 88.58 for place in PLACES}},
}
"""Every picture asked at the exit and at the end. Source: Lee et al. 2021, section 4.5."""


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write one line per network, exit and threshold, the document's figures behind ours."""
    names = [field.name for field in fields(Row)]
    lines = []
    for row in rows:
        theirs = {
            f"papers_003_{name}": known.get((row.kind, row.exit), "") if row.threshold == THRESHOLD else ""
            for name, known in THEIRS.items()
        }
        lines.append(asdict(row) | theirs)
    _write(path, [*names, *(f"papers_003_{name}" for name in THEIRS)], lines)


def write_exits(path: Path, asked: Iterable[Asked]) -> None:
    """Write one line per network and exit: its accuracy and the final one when every picture is asked at both."""
    lines = []
    for one in asked:
        line: dict[str, Any] = {"network": one.network, "kind": one.kind, "seed": one.seed, "exit": one.exit}
        line |= {"exit_accuracy": round(100 * float(one.exit_right.mean()), 2)}
        line |= {"final_accuracy": round(100 * float(one.final_right.mean()), 2)}
        lines.append(
            line | {f"papers_003_{name}": known.get((one.kind, one.exit), "") for name, known in THEIR_EXITS.items()}
        )
    names = ["network", "kind", "seed", "exit", "exit_accuracy", "final_accuracy"]
    _write(path, [*names, *(f"papers_003_{name}" for name in THEIR_EXITS)], lines)


def _write(path: Path, names: Sequence[str], lines: Iterable[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: "" if value is None else value for name, value in line.items()} for line in lines)
