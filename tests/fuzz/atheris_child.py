"""One process that fuzzes with Atheris: LLVM's libFuzzer, led by the bytecode of our decoders and by what they compare.

The other loop is led by lines and answers. This one sees branches and comparisons too, and nothing of what is native.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path
from random import Random

import atheris

from tests.fuzz.engine import PARTS, name_of

with atheris.instrument_imports(include=list(PARTS)):
    from tests.fuzz.child import MOST_BYTES, TELL_EVERY_S, Bench, bound_memory, tell
    from tests.fuzz.engine import Explorer
    from tests.fuzz.judge import judged
    from tests.fuzz.spoil import spoilt
    from tests.fuzz.targets import kept, named


def main(name: str, number: str, inputs: str, until_s: str, seed: str, corpus: str, folder: str) -> None:
    """Judge so many inputs, or until a moment of the monotonic clock; takes what `tests.fuzz.child` takes."""
    logging.disable(logging.CRITICAL)
    place, target, told_s = Path(folder), named(name), time.monotonic()
    explorer, bench = Explorer(target, kept(name), int(seed)), Bench(place / f"bench-{number}")
    for data in explorer.inputs:
        judged(target, data)
        (Path(corpus) / name_of(data)).write_bytes(data)
    bound_memory()

    def one(data: bytes) -> None:
        nonlocal told_s
        bench.begin(explorer.done, data[:MOST_BYTES])
        explorer.note(judged(target, data), data)
        bench.end(explorer.done)  # the time it takes to make the next one is not this one's
        is_over = explorer.done >= int(inputs) or time.monotonic() > float(until_s)
        if is_over or time.monotonic() - told_s > TELL_EVERY_S:
            tell(place / f"told-{number}.json", explorer)
            told_s = time.monotonic()
        if is_over:
            os._exit(0)

    def other(data: bytes, most_bytes: int, drawn: int) -> bytes:
        return spoilt(data, Random(drawn), explorer.pool)[:most_bytes]

    options = [f"-seed={int(seed) % 2**31 + 1}", f"-max_len={target.most_bytes}", "-rss_limit_mb=0", "-timeout=0"]
    atheris.Setup([sys.argv[0], *options, "-verbosity=0", corpus], one, custom_mutator=other)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
