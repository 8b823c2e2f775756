"""What drills have shown: as lines, as values for JSON, and as the table of docs/results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any, Final

from evaluation.drill import DRILLS, Drill
from evaluation.drill_count import Counts
from evaluation.drill_run import Outcome
from evaluation.frame_times import machine
from headwater.plots import write_csv
from models.columns import in_columns

COLUMNS: Final = ("drill", "faults", "captured", "finished", "dropped", "lost", "twice", "in hand", "resent")
PEER: Final = ("peer captured", "peer lost", "peer twice")
ABOUT: Final = """\
# What the fault drills counted

Written by `make drills`. What each drill does, what is promised and how it is counted: [fault drills](../faults.md).
"""
UNFINISHED: Final = "This run was ended before its last drill."


def total(outcomes: Sequence[Outcome]) -> Counts:
    """Return the counts of all drills that were gone through."""
    return reduce(add, (one.counts for one in outcomes), Counts())


def peer_total(outcomes: Sequence[Outcome]) -> Counts | None:
    """Return those of the peer; None if it took no part."""
    found = [one.peer for one in outcomes if one.peer is not None]
    return reduce(add, found, Counts()) if found else None


def lines(outcomes: Sequence[Outcome], seed: int) -> list[str]:
    """Return a table with a row for each drill, what was not run and why, and the sum."""
    rows = rows_of(outcomes)
    header = list(rows[0]) if rows else []
    table = [in_columns(header, [list(row.values()) for row in rows], header[1:]), ""] if rows else []
    return [*table, *_notes(outcomes), summary(outcomes, seed)]


def listed(drills: Sequence[Drill] = DRILLS) -> str:
    """Return every drill with what it does."""
    return in_columns(("drill", "what it does"), [(drill.name, drill.about) for drill in drills])


def summary(outcomes: Sequence[Outcome], seed: int) -> str:
    """Return the sum in one sentence."""
    found, beside = total(outcomes), peer_total(outcomes)
    run = [one for one in outcomes if not one.not_run]
    failed = sum(bool(one.failed) for one in outcomes)
    not_run = f", {len(outcomes) - len(run)} not run" if len(run) < len(outcomes) else ""
    not_run += f", {failed} FAILED" if failed else ""
    peer = ""
    if beside is not None:
        peer = f"; the peer: {beside.captured:,} captured, {beside.lost:,} lost, {beside.twice:,} twice"
    return (
        f"seed {seed}: {len(run)} drills{not_run}, {sum(one.blows for one in run):,} faults: captured "
        f"{found.captured:,} = finished {found.finished:,} + dropped {_dropped(found)} + lost {found.lost:,}; twice "
        f"{found.twice:,}; in hand of killed devices {found.in_hand:,}{peer}"
    )


def rows_of(outcomes: Sequence[Outcome]) -> list[dict[str, str]]:
    """Return a row for each drill that was gone through; with the peer's figures, if it took part."""
    beside = peer_total(outcomes) is not None
    return [_row(one, beside=beside) for one in outcomes if not one.not_run]


def _row(one: Outcome, *, beside: bool) -> dict[str, str]:
    counts = one.counts
    figures = [one.blows, counts.captured, counts.finished]
    cells = [one.drill.name, *map(str, figures), _dropped(counts)]
    cells += map(str, (counts.lost, counts.twice, counts.in_hand, one.resent))
    row = dict(zip(COLUMNS, cells, strict=True))
    if beside:
        peer = one.peer or Counts()
        row |= dict(zip(PEER, map(str, (peer.captured, peer.lost, peer.twice)), strict=True))
    return row


def _dropped(counts: Counts) -> str:
    reasons = ", ".join(f"{number} {reason}" for reason, number in counts.dropped.items())
    return reasons or "0"


def _notes(outcomes: Sequence[Outcome]) -> list[str]:
    said = [f"{one.drill.name}: {note}" for one in outcomes for note in one.notes]
    said += [f"{one.drill.name} failed: {one.failed}" for one in outcomes if one.failed]
    return said + [f"{one.drill.name} was not run: {one.not_run}" for one in outcomes if one.not_run]


def as_json(outcomes: Sequence[Outcome], seed: int) -> dict[str, Any]:
    """Return all of it as plain values."""
    beside = peer_total(outcomes)
    drills = [
        {
            "name": one.drill.name,
            "faults": one.blows,
            "seconds": round(one.seconds, 1),
            **asdict(one.counts),
            "resent": one.resent,
            "failed": one.failed,
            **({"peer": asdict(one.peer)} if one.peer else {}),
            "notes": list(one.notes),
        }
        for one in outcomes
        if not one.not_run
    ]
    return {
        "seed": seed,
        **asdict(total(outcomes)),
        "drills": drills,
        "not_run": {one.drill.name: one.not_run for one in outcomes if one.not_run},
        **({"peer": asdict(beside)} if beside else {}),
    }


def save(folder: Path, outcomes: Sequence[Outcome], seed: int, command: str, *, is_over: bool = True) -> None:
    """Write faults.md and faults.csv; of a run that is not over, the page says so."""
    rows = rows_of(outcomes)
    if not rows:
        return
    write_csv(folder / "faults.csv", rows)
    header = list(rows[0])
    about = {one.drill.name: one.drill.about for one in outcomes}
    table = [
        f"| {' | '.join([*header[:1], 'what befell it', *header[1:]])} |",
        f"|{'---|' * 2}{'--:|' * (len(header) - 1)}",
        *(f"| {' | '.join([name, about[name], *cells])} |" for name, *cells in (list(row.values()) for row in rows)),
    ]
    notes = [f"- {note}" for note in _notes(outcomes)]
    text = [ABOUT, f"`{command}`, seed {seed}, on {machine()}:", "", *table, "", _sentence(summary(outcomes, seed))]
    text += [] if is_over else ["", UNFINISHED]
    (folder / "faults.md").write_text("\n".join([*text, *(["", *notes] if notes else [])]) + "\n", encoding="utf-8")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
