"""The books of a run: counts, rates and percentiles."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest

from edge.ledger import DROPS, KEPT_JOURNEYS, RECENT_FRAMES, Ledger, stage_percentiles
from headwater.clock import STAGES


def test_every_captured_frame_is_in_one_count() -> None:
    """captured + recovered = finished + dropped + in flight, after each step."""
    ledger = Ledger(recovered=2)
    ledger.captured(5)
    assert ledger.counts().in_flight == 7
    ledger.finished("worker")
    ledger.finished("device")
    ledger.finished("device", reported=False)
    ledger.dropped("overflow", 2)
    ledger.dropped("overflow")
    counts = ledger.counts()
    assert (counts.captured, counts.recovered, counts.unreported, counts.in_flight) == (5, 2, 1, 1)
    assert (counts.finished, counts.dropped) == ({"device": 2, "worker": 1}, {"overflow": 3})


def test_counts_given_out_do_not_change() -> None:
    """What one has read stays as it was."""
    ledger = Ledger()
    before = ledger.counts()
    ledger.dropped("disk")
    ledger.finished("worker")
    assert (before.dropped, before.finished) == ({}, {"device": 0, "worker": 0})


def test_threads_may_write_at_once() -> None:
    """No count is lost between the head and the sender."""
    ledger = Ledger()

    def count() -> None:
        for _ in range(2000):
            ledger.captured()
            ledger.dropped("overflow")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = ledger.counts()
    assert (counts.captured, counts.dropped, counts.in_flight) == (8000, {"overflow": 8000}, 0)


def test_rates_are_those_of_the_last_frames() -> None:
    """Frames captured a second and bytes of a frame sent over the last half minute; without frames 0."""
    now = [100.0]
    ledger = Ledger(now_s=lambda: now[0])
    assert ledger.rates(0) == (0.0, 0.0)
    ledger.captured()
    ledger.sent(500, 100.0)
    assert ledger.rates(100.0) == (0.0, 500.0)
    for n in range(1, RECENT_FRAMES * 2):
        now[0] = 100.0 + n / 5
        ledger.captured()
        ledger.sent(1000, now[0])
    frames_per_s, bytes_per_frame = ledger.rates(100.0 + (RECENT_FRAMES * 2 - 1) / 5)
    assert frames_per_s == pytest.approx(5, rel=0.05)
    assert bytes_per_frame == 1000
    assert ledger.rates(1000.0) == (0.0, 0.0)


def test_frames_that_are_not_sent_count_as_captured_all_the_same() -> None:
    """A device that reports only what it looks for does not stand still."""
    now = [100.0]
    ledger = Ledger(now_s=lambda: now[0])
    for n in range(20):
        now[0] = 100.0 + n / 4
        ledger.captured()
        ledger.finished("device", reported=False)
    assert ledger.rates(now[0]) == (pytest.approx(4, rel=0.1), 0.0)


def test_the_summary_has_what_the_contract_names() -> None:
    """The keys of `--json`, also for a run without a frame."""
    summary = Ledger().summary()
    assert set(summary) == {
        *("captured", "recovered", "finished", "exits", "unreported", "dropped", "in_flight", "resent"),
        *("late", "results_again"),
        *("frames_per_s", "bytes_per_frame", "stages_ms"),
    }
    assert summary["stages_ms"] == {}
    assert summary["bytes_per_frame"] == 0


def test_bytes_per_frame_are_those_of_first_sendings() -> None:
    """What is sent again costs the link, but is no other frame."""
    ledger = Ledger()
    ledger.sent(1000, 1.0)
    ledger.sent(2000, 2.0)
    ledger.resent(7)
    summary = ledger.summary()
    assert (summary["bytes_per_frame"], summary["resent"]) == (1500.0, 7)


def test_percentiles_are_those_of_every_stage_that_occurs_in_the_frames_order() -> None:
    """p50, p95 and p99 in milliseconds; a stage that some frames lack counts those that have it."""
    journeys = [{"head": n * 1_000_000, "total": n * 2_000_000} for n in range(1, 101)]
    journeys[0]["tail"] = 5_000_000
    found = stage_percentiles(journeys)
    assert list(found) == [stage for stage in STAGES if stage in {"head", "tail"}] + ["total"]
    assert found["head"] == {"p50": 50.5, "p95": 95.05, "p99": 99.01}
    assert found["tail"] == {"p50": 5.0, "p95": 5.0, "p99": 5.0}
    assert found["total"]["p50"] == 101.0


def test_journeys_are_kept_within_a_bound() -> None:
    """A device that runs for months remembers the last ones."""
    ledger = Ledger()
    for n in range(KEPT_JOURNEYS + 10):
        ledger.journey({"head": n}, n)
    assert len(ledger._journeys) == KEPT_JOURNEYS


def test_every_reason_of_a_drop_is_told_with_what_to_do() -> None:
    """The table of docs/device.md has each of them, and no other."""
    page = (Path(__file__).parents[2] / "docs/device.md").read_text()
    table = page.partition("### What is dropped, and why\n")[2].partition("\n## ")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == DROPS
