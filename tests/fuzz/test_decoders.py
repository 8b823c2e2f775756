"""Every decoder, at every run of the tests: what is kept of earlier fuzzing, and some hundred inputs made anew."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.judge import ROOT, judged
from tests.fuzz.spoil import OPERATIONS, Pool, pool_of
from tests.fuzz.targets import CORPUS, TARGETS, kept, named

HERE = [name for name, target in TARGETS.items() if not target.alone]
ALONE = [name for name, target in TARGETS.items() if target.alone]
MOST_KEPT_BYTES = 200_000


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Log nothing: thousands of refusals are logged."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@cache
def pool(name: str) -> Pool:
    """Return what inputs for a target are made of; what is loaded late is loaded."""
    samples = named(name).samples()
    for data in samples:
        judged(named(name), data)
    return pool_of(named(name), samples)


@pytest.mark.parametrize("name", HERE)
def test_valid_samples_are_taken(name: str) -> None:
    """What inputs are made of is right itself, so that they get further than to the first check."""
    verdicts = [judged(named(name), data) for data in pool(name).samples]
    assert not any(verdict.finding for verdict in verdicts)
    assert verdicts[0].said.startswith("taken")


@pytest.mark.parametrize("name", HERE)
def test_what_was_kept_breaks_no_rule(name: str) -> None:
    """Inputs that once led to something new, or broke the rule, give a value or an error of ours, in bounds."""
    pool(name)
    found = {number: judged(named(name), data, weigh=True).finding for number, data in enumerate(kept(name))}
    assert found
    assert [finding for finding in found.values() if finding] == []


@pytest.mark.parametrize("name", ALONE)
def test_what_was_kept_ends_no_process(name: str) -> None:
    """What may end the process is replayed in one of its own: each input is judged, and none broke the rule."""
    files = [str(path) for path in sorted((CORPUS / name).iterdir())]
    command = [sys.executable, "-m", "tests.fuzz", name, "--replay", *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.partition(": ")[0] for line in done.stdout.splitlines()] == files


@pytest.mark.parametrize("name", HERE)
def test_spoilt_samples_give_a_value_or_an_error_of_ours(name: str) -> None:
    """Cut, flipped, spliced, with other lengths, numbers and meanings: nothing else is raised, and bounds are kept."""
    target, known = named(name), pool(name)
    steps = st.lists(st.tuples(st.integers(0, len(OPERATIONS) - 1), st.integers(0, 2**32 - 1)), min_size=1, max_size=5)

    @settings(
        max_examples=target.examples, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.sampled_from(known.samples), steps)
    def check(data: bytes, ways: list[tuple[int, int]]) -> None:
        for operation, seed in ways:
            data = OPERATIONS[operation](data, Random(seed), known)[: target.most_bytes]
        assert judged(target, data, weigh=True).finding == ""

    check()


def test_little_is_kept() -> None:
    """The inputs in the project stay small, and each belongs to a target."""
    assert {folder.name for folder in CORPUS.iterdir()} <= set(TARGETS)
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < MOST_KEPT_BYTES
