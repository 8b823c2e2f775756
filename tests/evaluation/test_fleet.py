"""A real run beside its prediction, from frames made by hand."""

import csv
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from evaluation.fleet import Run, busy_share, check_load, compare, sentence
from evaluation.fleet_report import save, table
from evaluation.paced import slower
from evaluation.running import Seen
from headwater.errors import HeadwaterError, SettingsError
from headwater.messages import VERSION, Record, StoredJourney
from planning.times import FORMAT, CloudTimes, FrameTimes

MS = 1_000_000
KIND = CloudTimes((1000.0,), (0.004,), (0.003,), 0.0005, 0.0005, 5e-5, 5e-5)
TIMES = FrameTimes(
    FORMAT, "a machine", 0.2, "litter", "image", "png", (0.01,), (0.0001,), (0.002,), 300.0, 0.0, KIND, KIND
)


def seen(number: int, at_ms: float) -> Seen:
    """Return a frame that the store had begun to write at so many ms: 3 ms of tail before, 1 ms of store behind."""
    stages_ns = {"crop": 2 * MS, "head": 8 * MS, "inbox": MS, "decode": MS, "tail": 2 * MS, "store": MS}
    record = Record(
        VERSION, "measured", f"camera-{number}", "00000000", number, 0, round(at_ms * MS), "litter", "0" * 64, "image",
        "png", 1000, "worker", "worker-1", [], stages_ns,
    )  # fmt: skip
    return Seen(record, StoredJourney(f"camera-{number}", "00000000", number, MS, MS, 0, 17 * MS))


def test_stages_are_summed_by_who_takes_them() -> None:
    """Device, inbox, worker; the latency is the journey's own."""
    one = seen(0, 100)
    assert (one.device_s, one.inbox_s, one.worker_s, one.latency_s) == (0.01, 0.001, 0.004, 0.017)


def test_a_frame_that_its_device_finished_is_answered_before_it_travels() -> None:
    """Its result comes back later all the same."""
    one = seen(0, 100)
    left = replace(one, record=msgspec.structs.replace(one.record, finished_by="device"))
    assert (left.latency_s, left.back_s) == (0.01, 0.017)


def test_a_device_whose_frames_wait_for_each_other_is_measured_more_slowly() -> None:
    """100 ms of head at 20 pictures a second: the source waits, which is no time of a frame's own."""

    def frames(head_ms: int, waited_ms: int) -> list[Seen]:
        stages_ns = {"capture": 2 * MS, "head": head_ms * MS, "tail": 8 * MS}
        made = [seen(number, 100.0 * number) for number in range(60)]
        late = [{**stages_ns, "capture": (2 + waited_ms * (number > 3)) * MS} for number in range(60)]
        return [
            replace(one, record=msgspec.structs.replace(one.record, stages_ns=stages))
            for one, stages in zip(made, late, strict=True)
        ]

    assert slower(frames(10, 0), 20.0) is None
    assert slower(frames(100, 300), 20.0) == pytest.approx(0.3 / 0.11)
    assert slower(frames(100, 0), 0.3 / 0.11) is None
    assert slower(frames(20, 0), 20.0) == 10.0, "at least half as many"
    with pytest.raises(HeadwaterError, match="no frame came back"):
        slower([], 20.0)


def test_a_worker_is_busy_where_some_frame_is() -> None:
    """Spans that overlap count once: 4 ms, 6 ms of two, and a rest between."""
    assert busy_share([seen(0, 3), seen(1, 103), seen(2, 105)]) == pytest.approx((4 + 6) / 106)


def run() -> Run:
    """Return what a fleet of 20 did for 10 s."""
    return Run(20, 2.0, 10.0, tuple(seen(n, 25.0 * n) for n in range(400)), 410, 0, 0, 0.2, 0.3)


def test_every_figure_stands_beside_its_prediction(tmp_path: Path) -> None:
    """As a row, a line of the table and a line of CSV; predictions follow from the times alone."""
    pytest.importorskip("matplotlib")
    rows = compare(run(), TIMES, 1)
    found = {row.what: row for row in rows}
    assert found["worker busy"].predicted == pytest.approx(0.16, rel=0.05)
    assert found["worker busy"].measured == pytest.approx(0.16, rel=0.01)
    assert found["capture to answer, p50"].predicted == pytest.approx(10 + 0.1 + 2 + 4, abs=0.1)
    assert found["capture to answer, p50"].ratio == pytest.approx(16.1 / 17, rel=0.01)
    save(tmp_path, rows, TIMES)
    with (tmp_path / "fleet.csv").open() as file:
        assert [row["what"] for row in csv.DictReader(file)] == [row.what for row in rows]
    assert len(table(rows).splitlines()) == len(rows) + 1


def test_a_rate_that_one_worker_cannot_bear_is_refused_before_it_runs() -> None:
    """The line says which would do: 1 / (3 + 0.5 / 6 + 0.5) ms for 20 devices, six frames being 20 ms old."""
    check_load(20, [1.0, 13.9], TIMES)
    with pytest.raises(SettingsError, match=r"got 20/s of 20 devices, expected under 1[34][.\d]*/s, what the worker"):
        check_load(20, [1.0, 20.0], TIMES)


def test_a_crowded_machine_is_named() -> None:
    """Where all cores were busy, the comparison says so."""
    assert "waited for each other" not in sentence(run(), TIMES)
    assert "waited for each other" in sentence(replace(run(), machine_cpu=0.9), TIMES)
