"""Fuzz decoders with several processes: `python -m tests.fuzz frame --inputs 10000000`, or `make fuzz ARGS="…"`."""

from __future__ import annotations

import argparse
import logging
import math
import shutil
import sys
from pathlib import Path

from headwater.host import usable_cores
from tests.fuzz.engine import chosen, name_of
from tests.fuzz.judge import ROOT, judged
from tests.fuzz.page import record
from tests.fuzz.runs import CHILDREN, run
from tests.fuzz.targets import CORPUS, TARGETS, kept, named

KEPT_INPUTS, KEPT_BYTES = 24, 6_000
"""Of inputs that are kept in the project for one target."""


def arguments() -> argparse.ArgumentParser:
    """Return what can be said on the command line."""
    parser = argparse.ArgumentParser("python -m tests.fuzz", description="Fuzz decoders; exit status 1 with findings.")
    parser.add_argument("target", nargs="*", help=f"all, or: {', '.join(TARGETS)}")
    parser.add_argument("--inputs", type=int, default=100_000, help="how many, with those of earlier runs (100000)")
    parser.add_argument("--seconds", type=float, default=math.inf, help="at most so long for each target")
    parser.add_argument("--processes", type=int, default=usable_cores(), help="how many side by side (one a core)")
    parser.add_argument(
        "--guide", choices=sorted(CHILDREN), default="lines", help="what leads: our loop (lines), or atheris"
    )
    parser.add_argument("--folder", type=Path, default=ROOT / ".cache/fuzz", help="what is remembered (.cache/fuzz)")
    parser.add_argument("--corpus", type=Path, help="a folder of inputs to begin with, and to add to")
    parser.add_argument("--fresh", action="store_true", help="forget earlier runs, and begin to count anew")
    parser.add_argument("--record", action="store_true", help="write the result into docs/results/fuzz.md")
    parser.add_argument("--keep", action="store_true", help="keep the inputs that lead furthest in tests/fuzz/corpus")
    parser.add_argument("--replay", type=Path, nargs="+", help="judge these files only")
    return parser


def main() -> int:
    """Run what the command line says."""
    parser = arguments()
    wish = parser.parse_args()
    logging.disable(logging.CRITICAL)  # thousands of refusals are logged
    names = list(TARGETS) if wish.target == ["all"] else wish.target
    unknown = [name for name in names if name not in TARGETS and ":" not in name]
    if unknown or not names:
        parser.error(f"target: got {', '.join(unknown) or 'none'}, expected all, or: {', '.join(TARGETS)}")
    if wish.replay:
        return replayed(names[0], wish.replay)
    with_findings = [name for name in names if fuzzed(name, wish)]
    return 1 if with_findings else 0


def replayed(name: str, files: list[Path]) -> int:
    """Say what a decoder makes of some files, once it has loaded what it loads late."""
    for data in named(name).samples():
        judged(named(name), data)
    verdicts = [(path, judged(named(name), path.read_bytes(), weigh=True)) for path in files]
    for path, verdict in verdicts:
        print(f"{path}: {verdict.finding or verdict.said}")
    return 1 if any(verdict.finding for _, verdict in verdicts) else 0


def fuzzed(name: str, wish: argparse.Namespace) -> bool:
    """Fuzz one target and return whether there are findings."""
    folder = wish.folder / name.replace(":", "-")
    corpus = wish.corpus or folder / "corpus"
    if wish.fresh:
        shutil.rmtree(folder, ignore_errors=True)
    bounds = {"inputs": wish.inputs, "seconds": wish.seconds, "processes": wish.processes}
    tally = run(name, folder, corpus, say=said, guide=wish.guide, **bounds)
    for reason, file in sorted(tally.findings.items()):
        said(f"  {reason}: {folder / 'findings' / file}")
    if wish.keep:
        keep(name, corpus)
    if wish.record:
        record(name, tally)
    return bool(tally.findings)


def said(line: str) -> None:
    """Say one line at once."""
    print(line, flush=True)


def keep(name: str, corpus: Path) -> None:
    """Put the inputs that lead furthest into the project, instead of those that did before; findings stay."""
    place = CORPUS / name
    place.mkdir(parents=True, exist_ok=True)
    found = [path for path in place.iterdir() if path.name.startswith("found-")]
    inputs = [*kept(name), *(path.read_bytes() for path in corpus.iterdir())]
    for path in place.iterdir():
        if path not in found:
            path.unlink()
    for data in chosen(named(name), inputs, KEPT_INPUTS, KEPT_BYTES):
        (place / name_of(data)).write_bytes(data)


if __name__ == "__main__":
    sys.exit(main())
