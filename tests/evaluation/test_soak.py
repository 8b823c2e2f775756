"""Samples without processes: what counts as flat, and what does not."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.load import Counts, Latencies, Schedule
from evaluation.load_run import Loaded, Part
from evaluation.soak import Sample, not_flat, slope, trends
from evaluation.soak_report import lines
from evaluation.soak_run import Soaked, Watch, history_of
from headwater.children import Child, start
from headwater.cli import main
from tests.servers import eventually

HOUR_S = 3600


def samples(process: str, megabytes: list[float], files: list[int] | None = None) -> list[Sample]:
    """Return a sample every ten seconds."""
    return [Sample(10.0 * n, process, round(one * 1e6), files[n] if files else 9, 4) for n, one in enumerate(megabytes)]


@given(st.floats(-1e6, 1e6), st.floats(-1e3, 1e3), st.integers(2, 1000))
def test_the_slope_of_a_line_is_found(level: float, rise: float, count: int) -> None:
    """However many samples there are."""
    at_s = [float(n) for n in range(count)]
    assert slope(at_s, [level + rise * one for one in at_s]) == pytest.approx(rise, abs=1e-6)


def test_a_few_outliers_do_not_move_the_slope() -> None:
    """A store that writes its file anew is large for a moment."""
    values = np.full(100, 50.0)
    values[[80, 81, 99]] = 500.0
    assert slope(list(range(100)), list(values)) == 0.0
    assert slope([1.0], [5.0]) == slope([], []) == slope([3.0, 3.0], [1.0, 2.0]) == 0.0


def test_warm_up_does_not_count() -> None:
    """What grew before and is flat afterwards is flat."""
    found = trends(samples("worker", [10.0 * n for n in range(10)] + [100.0] * 20), 100.0)
    assert [(one.process, round(one.first_bytes / 1e6), one.rise_bytes, one.grown) for one in found] == [
        ("worker", 100, 0.0, ())
    ]
    assert found[0].seconds == 190.0


@pytest.mark.parametrize(
    ("level", "rise", "grown"),
    [(50.0, 1.9, ()), (50.0, 2.1, ("memory",)), (500.0, 9.0, ()), (500.0, 11.0, ("memory",)), (50.0, -20.0, ())],
)
def test_memory_may_rise_by_two_megabytes_or_two_per_cent(level: float, rise: float, grown: tuple[str, ...]) -> None:
    """Over the whole time, whichever is more; falling is fine."""
    (found,) = trends(samples("worker", list(np.linspace(level, level + rise, 101))), 0.0)
    assert found.grown == grown
    assert found.rise_bytes / 1e6 == pytest.approx(rise, abs=0.01)
    assert found.first_bytes / 1e6 == pytest.approx(level, abs=0.01)
    assert found.bytes_per_hour == pytest.approx(found.rise_bytes / 1000 * HOUR_S)


def test_a_leak_of_files_is_no_matter_of_memory() -> None:
    """One more every now and then; one that comes and goes is none."""
    leak, flicker = [9 + n // 20 for n in range(100)], [9 + n % 2 for n in range(100)]
    found = trends([*samples("a", [5.0] * 100, leak), *samples("b", [5.0] * 100, flicker)], 0.0)
    assert not_flat(found) == ["a: open files"]


def test_a_process_that_ended_is_not_flat() -> None:
    """Whatever another one holds that took its place."""
    found = trends(
        [
            *samples("broker", [5.0] * 100),
            *samples("worker 7", [5.0] * 60),
            *(Sample(600.0 + 10 * n, "worker 8", 5_000_000, 9, 4) for n in range(40)),
        ],
        0.0,
    )
    assert not_flat(found) == ["worker 7: ended before its time"]


def test_too_few_samples_show_nothing() -> None:
    """One moment has no trend."""
    assert trends(samples("worker", [5.0] * 3), 20.0) == []


def test_the_store_is_filled_six_times_before_it_counts() -> None:
    """In the warm-up, a third of all."""
    assert history_of(Schedule(200, 1.0), 1800) == 20_000
    assert history_of(Schedule(2, 1.0), 6) == 1000


def test_a_soak_too_short_for_its_looks_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is started: it could show no trend."""
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", "soak", "--minutes", "0.1"])
    assert ended.value.code == 2
    assert (
        "--every: got 5, expected at most 1.3, for 3 looks after the warm-up of 0.1 minutes" in capsys.readouterr().err
    )


def test_no_trend_is_no_flat_process() -> None:
    """Nothing was seen, and that is said."""
    part = Part("load", 0.5, 1.0, 1, 1)
    found = Soaked(Loaded(2, 1.0, 5.0, 0.6, 9.0, Counts(3, 3), Latencies(), (part,)), (), (), (), 2.0)
    said = "\n".join(lines(found))
    assert "no process was looked at twice after the warm-up" in said
    assert "flat: every process" not in said


@pytest.fixture
def sleeper() -> Iterator[Child]:
    """A process with a file open that prints when it has it."""
    code = f"import time; file = open({__file__!r}); print('open', flush=True); time.sleep(60)"
    with start("sleeper", [sys.executable, "-S", "-c", code]) as child:
        child.wait_for_line("open", 20)
        yield child


def test_processes_are_looked_at(sleeper: Child) -> None:
    """Memory, files and threads of each; one that is gone has no sample."""
    watch = Watch({"worker": os.getpid(), "broker": sleeper.pid}, lambda: 17, 1.0)
    watch.look(3.0)
    found = {one.process: one for one in watch.samples}
    assert watch.answered == [(3.0, 17)]
    assert {"worker", "broker", "worker 1"} <= set(found)
    assert found["broker"].resident_bytes in {one.resident_bytes for name, one in found.items() if name[-1].isdigit()}
    assert found["broker"].threads == 1
    assert found["broker"].files == len(list(Path(f"/proc/{sleeper.pid}/fd").iterdir()))
    assert 1_000_000 < found["broker"].resident_bytes < 100_000_000
    sleeper.kill()
    watch.look(4.0)
    assert [one.process for one in watch.samples if one.at_s == 4.0].count("broker") == 0


def test_what_python_starts_beside_workers_is_none() -> None:
    """Its resource tracker would have the number of a worker."""
    with start("tracker", [sys.executable, "-S", "-c", "import time; time.sleep(60)", "resource_tracker"]) as tracker:
        watch = Watch({"worker": os.getpid()}, lambda: 0, 1.0)
        watch.look(1.0)
        assert tracker.pid not in watch._numbers


def test_a_watch_looks_until_it_is_over() -> None:
    """Again and again."""
    watch = Watch({"load": os.getpid()}, lambda: 0, 0.001)
    with watch.watching():
        assert eventually(lambda: len(watch.answered) >= 3)
    count = len(watch.samples)
    assert count >= 3
    assert {one.process for one in watch.samples} == {"load"}
