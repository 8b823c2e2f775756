"""One process that fuzzes. What it has in hand lies in a shared file: an input that ends or holds it is known."""

from __future__ import annotations

import json
import logging
import mmap
import resource
import struct
import sys
import time
from pathlib import Path

from tests.fuzz.engine import Explorer, name_of
from tests.fuzz.judge import judged
from tests.fuzz.targets import kept, named

HEADER = struct.Struct("<QdI")
"""Inputs done, when the one in hand was begun (monotonic clock), and how long that is; its bytes follow."""
MOST_BYTES = 1 << 20
HEADROOM_BYTES = 1 << 30
"""So much address space a process may take beside what it has when it begins."""
TELL_EVERY_S = 2.0
MOST_KEPT = 5_000


class Bench:
    """What a process is at, for the one that watches it."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), HEADER.size + MOST_BYTES)

    def begin(self, done: int, data: bytes) -> None:
        """Note the input that is taken in hand."""
        HEADER.pack_into(self._memory, 0, done, time.monotonic(), len(data))
        self._memory[HEADER.size : HEADER.size + len(data)] = data

    def end(self, done: int) -> None:
        """Note that nothing is in hand."""
        HEADER.pack_into(self._memory, 0, done, 0.0, 0)


def bound_memory() -> None:
    """Let this process take only so much more than it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + HEADROOM_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def tell(path: Path, explorer: Explorer) -> None:
    """Write down what has been reached and found."""
    findings = path.parent / "findings"
    for data in explorer.findings.values():
        findings.mkdir(exist_ok=True)
        (findings / name_of(data)).write_bytes(data)
    said = {
        "lines": sorted(explorer.coverage.places()),
        "answers": sorted(explorer.coverage.answers),
        "findings": {reason: name_of(data) for reason, data in explorer.findings.items()},
    }
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(said))
    draft.rename(path)


def main(name: str, number: str, inputs: str, until_s: str, seed: str, corpus: str, folder: str) -> None:
    """Judge so many inputs, or until a moment of the monotonic clock."""
    logging.disable(logging.CRITICAL)
    place, shared = Path(folder), Path(corpus)
    known = {path.name for path in shared.iterdir()}
    explorer = Explorer(named(name), [*kept(name), *((shared / one).read_bytes() for one in sorted(known))], int(seed))
    bench, told_s = Bench(place / f"bench-{number}"), time.monotonic()
    for data in explorer.target.samples():
        judged(explorer.target, data)  # loads what is loaded late
    bound_memory()
    while explorer.done < int(inputs) and time.monotonic() < float(until_s):
        data = explorer.next()[:MOST_BYTES]
        bench.begin(explorer.done, data)
        is_kept = explorer.judge(data)
        bench.end(explorer.done)  # the time it takes to make the next one is not this one's
        if is_kept and len(known) < MOST_KEPT and (own := name_of(data)) not in known:
            known.add(own)
            (shared / own).write_bytes(data)
        if time.monotonic() - told_s > TELL_EVERY_S:
            tell(place / f"told-{number}.json", explorer)
            for path in shared.iterdir():
                if path.name not in known:
                    known.add(path.name)
                    explorer.take(path.read_bytes())
            told_s = time.monotonic()
    bench.end(explorer.done)
    tell(place / f"told-{number}.json", explorer)


if __name__ == "__main__":
    main(*sys.argv[1:])
