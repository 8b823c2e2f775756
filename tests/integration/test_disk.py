"""The spool on real disks that are full, limited, read-only or taken away, under a real device."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.spool import Key, Spool
from headwater.errors import SpoolError
from tests.edge.samples import exit_bundle
from tests.integration.test_device import Bench, figures, summary, wait_until
from tests.integration.test_sight import Looker
from tests.integration.test_worker import Site
from tests.servers import BrokerUnderTest

SMALL_BYTES = 16 * 2**20
MESSAGE = bytes(40_000)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MB of its own; without the right to mount one the test is left out, and fails with CI set."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_BYTES}", "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs the right to mount a file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Take the rest of a disk."""
    filler = folder / "filler"
    with filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    return filler


def keys(numbers: range) -> list[Key]:
    """Return frames."""
    return [Key("0123abcd", number) for number in numbers]


def add_each(spool: Spool, frames: list[Key]) -> None:
    """Add frames, one by one."""
    for one in frames:
        spool.commit([(one, MESSAGE)], [])


def test_on_a_full_disk_frames_are_forgotten_and_make_room_for_others(disk: Path) -> None:
    """What is confirmed leaves a disk that is full to the last byte, and new frames take its place."""
    spool = Spool(disk / "cam1.sqlite", 10**9)
    add_each(spool, keys(range(60)))
    fill(disk)
    refused = 0
    for one in keys(range(60, 100)):
        try:
            spool.commit([(one, MESSAGE)], [])
        except SpoolError:
            refused += 1
    assert refused == 40
    there = spool.keys()
    fill(disk)
    spool.commit([], there[:20])
    assert len(spool) == len(there) - 20
    spool.commit([(one, MESSAGE) for one in keys(range(100, 105))], [])
    left = spool.keys()
    spool.close()
    (disk / "filler").unlink()
    again = Spool(disk / "cam1.sqlite", 10**9)
    assert again.keys() == left
    assert all(again.read(one) == MESSAGE for one in left)
    again.close()


def test_a_write_that_the_system_refuses_changes_nothing(tmp_path: Path) -> None:
    """A limit on the size of files, met by the real write: an error with what to do, then space, then all is well."""
    spool = Spool(tmp_path / "cam1.sqlite", 10**9)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, hard))
    try:
        with pytest.raises(SpoolError, match="free disk space or give --spool another folder"):
            add_each(spool, keys(range(100)))
        held = spool.keys()
        assert 0 < len(held) <= 2 * 500_000 // len(MESSAGE)  # as much in the file, and in its journal
        assert all(spool.read(one) == MESSAGE for one in held)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    spool.commit([(Key("0123abcd", 500), MESSAGE)], held[:1])
    kept = spool.keys()
    assert kept == [*held[1:], Key("0123abcd", 500)]
    spool.close()
    again = Spool(tmp_path / "cam1.sqlite", 10**9)
    assert again.keys() == kept
    again.close()


def test_a_spool_that_cannot_be_made_anew_whole_stays_as_it_is(disk: Path) -> None:
    """Room for its journal and not for the file beside it: nothing is put in place of the old one, which lacks none."""
    path = disk / "cam1.sqlite"
    spool = Spool(path, 10**9)
    spool.commit([(one, MESSAGE) for one in keys(range(30))], [])
    spool.close()
    with sqlite3.connect(path) as other:  # as an earlier version made it
        other.execute("ALTER TABLE frames DROP COLUMN answer")
    other.close()
    filler = fill(disk)
    os.truncate(filler, filler.stat().st_size - 45 * len(MESSAGE))
    with pytest.raises(SpoolError, match="disk is full"):
        Spool(path, 10**9)
    assert sorted(one.name for one in disk.iterdir()) == ["cam1.sqlite", "filler"]
    filler.unlink()
    spool = Spool(path, 10**9)
    assert (spool.keys(), spool.lost_before) == (keys(range(30)), 0)
    assert all(spool.read(one) == MESSAGE for one in keys(range(30)))
    spool.close()


def test_a_device_on_a_full_disk_goes_on_while_there_is_a_link(bench: Bench, disk: Path) -> None:
    """Frames go through memory; nothing is lost, and the folder is finished to the last picture."""
    worker = bench.worker()
    device = bench.device("--spool", str(disk), "--rate", "40", pictures=120)
    wait_until(lambda: worker.different >= 20)
    fill(disk)
    assert figures(summary(device)) == (120, 120, {}, 0)
    assert worker.different == 120


def test_a_device_whose_folder_is_taken_away_makes_it_anew(bench: Bench) -> None:
    """In mid-stream, with the frames that nobody has answered: none is lost, and a kill after it loses none."""
    worker = bench.worker(answers=False)
    device = bench.device("--rate", "40", "--loop")
    wait_until(lambda: worker.statuses and worker.statuses[-1].in_flight >= 40)
    bench.spool.rename(bench.folder / "elsewhere")
    wait_until((bench.spool / "demo" / "cam1.sqlite").exists)
    before = len(worker.statuses)
    wait_until(lambda: len(worker.statuses) > before)
    device.kill()
    left = bench.left()
    assert left == list(range(len(left)))
    assert len(left) >= 40


def test_a_device_with_a_damaged_spool_starts_and_says_so(bench: Bench) -> None:
    """What is there is set aside, the run is whole."""
    path = bench.spool / "demo" / "cam1.sqlite"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"this was a spool" * 1000)
    worker = bench.worker()
    assert figures(summary(bench.device())) == (40, 40, {}, 0)
    assert worker.different == 40
    (aside,) = [one for one in path.parent.iterdir() if ".damaged-" in one.name]
    assert aside.read_bytes() == b"this was a spool" * 1000


@pytest.mark.parametrize("durable", ["power", "process"])
def test_a_device_killed_at_any_moment_loses_no_frame_that_it_has_sent(bench: Bench, durable: str) -> None:
    """Again and again: what a worker saw and did not answer is in the spool of the next start, once."""
    worker = bench.worker(answers=False)
    seen: set[str] = set()
    for round_ in range(3):
        device = bench.device("--durable", durable, "--rate", "60", "--loop", "--window", "1000", "--timeout", "60")
        wait_until(lambda seen=seen: len({str(frame.id) for frame in worker.frames} - seen) >= 10)
        device.kill()
        seen = {str(frame.id) for frame in worker.frames}
        spool = Spool(bench.spool / "demo" / "cam1.sqlite", 10**9)
        left = {f"cam1-{one.boot}-{one.sequence}" for one in spool.keys()}  # noqa: SIM118  not a dict
        spool.close()
        assert seen <= left, round_
    worker.answers = True
    found = summary(bench.device("--durable", durable, pictures=40))
    assert found["recovered"] >= len(seen)
    assert found["finished"]["worker"] == found["recovered"] + 40
    assert found["dropped"] == {}


def test_without_a_disk_nothing_is_left_and_nothing_in_flight(bench: Bench) -> None:
    """--durable off: told to stop, what has no answer is dropped and counted; no file was made."""
    worker = bench.worker(answers=False)
    device = bench.device("--durable", "off", "--drain", "0", "--rate", "40", "--loop")
    wait_until(lambda: worker.different >= 20)
    device.signal(signal.SIGTERM)
    found = summary(device)
    assert found["in_flight"] == 0
    assert found["dropped"] == {"stopped": found["captured"]}
    assert not list(bench.spool.rglob("*.sqlite*"))


def test_late_answers_are_recorded_as_finished_on_the_device(bench: Bench) -> None:
    """A process with --late answer says at --help what it does, and refuses it where nothing is ever late."""
    command = [sys.executable, "-m", "headwater", "edge", "--source", "pattern:", "--late", "answer"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert done.stderr.strip().endswith("no frame is ever late without --expire; add --expire SECONDS")
    worker = bench.worker(answers=False)
    device = bench.device("--expire", "1", "--late", "answer", "--split", "device", "--frames", "5")
    wait_until(lambda: max(worker.came.values(), default=0) >= 2)
    worker.answers = True
    found = summary(device)
    assert (found["finished"], found["dropped"]) == ({"device": 5, "worker": 0}, {})


def test_frames_too_late_for_a_worker_are_answered_from_their_exit(
    bench: Bench, site: Site, mosquitto: BrokerUnderTest
) -> None:
    """The broker is away for longer than they are worth: none is dropped, each is recorded as its exit said."""
    exit_bundle(site.folder / "early", 0.0)  # of which no frame leaves early: the exit is never sure enough
    looker, flags = Looker(), ["--split", "conv_b", "--expire", "1", "--late", "answer"]
    mosquitto.stop()
    device = bench.device("--bundle", str(site.folder / "early"), *flags, *looker.flags)
    wait_until(lambda: looker.samples()["headwater_edge_frames_late_total"] == 40)
    mosquitto.start()
    site.worker()
    found = summary(device)
    assert (found["captured"], found["late"], found["exits"]) == (40, 40, {"exit1": 40})
    assert (found["finished"], found["dropped"], found["in_flight"]) == ({"device": 40, "worker": 0}, {}, 0)
    records = site.records()
    assert sorted(record.sequence for record in records) == list(range(40))
    assert {(record.finished_by, record.exit, record.codec) for record in records} == {("device", "exit1", "late")}
