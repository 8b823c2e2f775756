"""Faults in mid-stream, on real servers and real processes: every frame is finished exactly once."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from headwater.probes import free_port
from models.pictures import encode_jpeg
from tests.end_to_end.stream import device, figures, records, said, stored_once, wait_until, worker
from tests.servers import BrokerUnderTest, StoreUnderTest

FRAMES, RATE = 150, 25
AWAY_S = 10.0
SEVERAL_FRAMES_BYTES = 400_000
BACKLOG = 10_000
SENT_TWICE = 0.02
"""Of a backlog at most this share is sent again: docs/device.md, the workers' pace."""


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of ten small pictures."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    random = np.random.default_rng(1)
    for number in range(10):
        picture = random.integers(0, 255, (240, 320, 3), np.uint8)
        (folder / f"{number}.jpg").write_bytes(encode_jpeg(picture, 85))
    return folder


def arguments(split: str) -> list[str]:
    """Return the flags of a device that streams in a loop with a short patience."""
    return ["--loop", "--rate", str(RATE), "--frames", str(FRAMES), "--split", split, "--timeout", "2"]


def half_way(store: str) -> bool:
    """Tell whether a third of the frames is stored."""
    return len(records(store)) >= FRAMES // 3


@pytest.mark.timeout(180)
def test_one_of_two_workers_is_killed(
    mosquitto: BrokerUnderTest, valkey: StoreUnderTest, pictures: Path, tmp_path: Path
) -> None:
    """kill -9 of one of two workers in mid-stream: what it held is sent again, and nothing is stored twice."""
    workers = [worker(f"worker-{n}", mosquitto.url, valkey.url) for n in (1, 2)]
    running = device(mosquitto.url, tmp_path / "spool", pictures, *arguments("image"))
    wait_until(lambda: half_way(valkey.url))
    workers[0].kill()
    summary = figures(running)
    workers[1].stop()
    assert summary["finished"]["worker"] == summary["captured"] == FRAMES
    assert (summary["dropped"], summary["in_flight"]) == ({}, 0)
    assert stored_once(valkey.url, FRAMES)


@pytest.mark.timeout(180)
def test_the_broker_is_restarted(
    mosquitto: BrokerUnderTest, valkey: StoreUnderTest, pictures: Path, tmp_path: Path
) -> None:
    """A restart of mosquitto in mid-stream: device and worker come back by themselves, every frame is finished once."""
    running_worker = worker("worker-1", mosquitto.url, valkey.url)
    running = device(mosquitto.url, tmp_path / "spool", pictures, *arguments("image"))
    wait_until(lambda: half_way(valkey.url))
    mosquitto.restart()
    summary = figures(running)
    running_worker.stop()
    assert summary["finished"]["worker"] == summary["captured"] == FRAMES
    assert (summary["dropped"], summary["in_flight"]) == ({}, 0)
    assert stored_once(valkey.url, FRAMES)


@pytest.mark.timeout(180)
def test_the_store_is_away_for_ten_seconds(
    mosquitto: BrokerUnderTest, valkey: StoreUnderTest, pictures: Path, tmp_path: Path
) -> None:
    """Valkey away for 10 s in mid-stream: the worker keeps what it has in hand, and every frame is finished once."""
    running_worker = worker("worker-1", mosquitto.url, valkey.url)
    running = device(mosquitto.url, tmp_path / "spool", pictures, *arguments("device"))
    wait_until(lambda: half_way(valkey.url))
    valkey.stop()
    threading.Event().wait(AWAY_S)
    valkey.start()
    summary = figures(running)
    running_worker.stop()
    assert summary["finished"]["device"] == summary["captured"] == FRAMES
    assert (summary["dropped"], summary["in_flight"]) == ({}, 0)
    assert stored_once(valkey.url, FRAMES)


@pytest.mark.timeout(180)
def test_the_device_is_killed_and_comes_back(
    mosquitto: BrokerUnderTest, valkey: StoreUnderTest, pictures: Path, tmp_path: Path
) -> None:
    """kill -9 of a device while no worker runs: its next start delivers what the spool holds, once."""
    running = device(mosquitto.url, tmp_path / "spool", pictures, *arguments("image"))
    log = tmp_path / "spool" / "demo" / "camera-1.sqlite-wal"
    wait_until(lambda: log.exists() and log.stat().st_size > SEVERAL_FRAMES_BYTES)
    assert running.alive
    running.kill()
    running_worker = worker("worker-1", mosquitto.url, valkey.url)
    again = device(mosquitto.url, tmp_path / "spool", pictures, *arguments("image"))
    summary = figures(again)
    running_worker.stop()
    assert summary["captured"] == FRAMES
    assert summary["recovered"] > 0
    assert summary["finished"]["worker"] == FRAMES + summary["recovered"]
    assert stored_once(valkey.url, FRAMES + summary["recovered"])


@pytest.mark.timeout(500)
def test_ten_thousand_frames_wait_for_a_worker(
    mosquitto: BrokerUnderTest, valkey: StoreUnderTest, tmp_path: Path
) -> None:
    """Spooled while there is a broker and no worker: when one comes each is stored once, and few were sent twice."""
    port = free_port()
    flags = ["--bundle", "mnist", "--split", "device", "--frames", str(BACKLOG), "--timeout", "2"]
    running = device(mosquitto.url, tmp_path / "spool", Path("pattern:32x32"), *flags, "--metrics", str(port))
    wait_until(lambda: said(port, "headwater_edge_spool_frames") == BACKLOG, 150.0)
    assert said(port, "headwater_edge_frames_captured_total") == BACKLOG
    running_worker = worker("worker-1", mosquitto.url, valkey.url)
    summary = figures(running, 240.0)
    running_worker.stop()
    assert summary["finished"] == {"device": BACKLOG, "worker": 0}
    assert (summary["captured"], summary["dropped"], summary["in_flight"]) == (BACKLOG, {}, 0)
    assert 0 < summary["resent"] <= SENT_TWICE * BACKLOG
    assert stored_once(valkey.url, BACKLOG)
