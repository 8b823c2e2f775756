"""Counters lose no count, whichever thread adds."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import pytest

from headwater.metrics import Counters


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Let threads interrupt one another all the time."""
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval_s)


def test_counts_are_named_and_sorted() -> None:
    """A count begins at nought, and reading one makes none."""
    counters = Counters()
    counters.add("b")
    counters.add("a", 3)
    assert counters["missing"] == 0
    assert list(counters.snapshot().items()) == [("a", 3), ("b", 1)]


def test_a_snapshot_is_a_copy() -> None:
    """What is counted later does not change a snapshot."""
    counters = Counters()
    before = counters.snapshot()
    counters.add("a")
    assert before == {}


@pytest.mark.usefixtures("hasty_threads")
def test_no_count_is_lost_between_threads() -> None:
    """Four threads that add at once add up."""
    counters = Counters()
    threads = [threading.Thread(target=lambda: [counters.add("n") for _ in range(2000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counters["n"] == 8000
