"""The device as a process against a real broker: nothing is lost, whatever goes away."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge.spool import Spool
from headwater.children import Child, start
from headwater.messages import SettingsApplied, decode_json
from models.bundle import SHIPPED
from tests.edge.samples import bundle_folder, write_pictures
from tests.integration.fake_worker import FakeWorker
from tests.servers import BrokerUnderTest, eventually, peak_bytes

START_S, END_S = 30.0, 60.0
MEMORY_LIMIT_BYTES = 200 * 2**20


class Bench:
    """A place for devices: pictures, a bundle, a spool, and workers that are put away afterwards."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        self.bundle = bundle_folder(folder / "tiny")
        self.spool = folder / "spool"
        self.children: list[Child] = []
        self.workers: list[FakeWorker] = []

    def device(self, *arguments: str, pictures: int = 40) -> Child:
        """Start a device on that many pictures; arguments win over what stands here."""
        source = write_pictures(self.folder / f"pictures-{pictures}", pictures)
        usual = {
            **{"--source": source, "--bundle": self.bundle, "--spool": self.spool, "--broker": self.url},
            **{"--name": "cam1", "--split": "add", "--timeout": "1"},
        }
        flags = [text for flag, value in usual.items() if flag not in arguments for text in (flag, str(value))]
        command = [sys.executable, "-m", "headwater", "edge", "--json", *flags, *arguments]
        child = start("device", command)
        self.children.append(child)
        child.wait_for_line("ready device cam1", START_S)
        return child

    def worker(self, *, answers: bool = True) -> FakeWorker:
        """Start a fake worker."""
        self.workers.append(FakeWorker(self.url, answers=answers))
        return self.workers[-1]

    def left(self) -> list[int]:
        """Return the numbers of the frames in the spool, when no device runs."""
        spool = Spool(self.spool / "demo" / "cam1.sqlite", 10**9)
        numbers = [key.sequence for key in spool.keys()]  # noqa: SIM118  not a dict
        spool.close()
        return numbers

    def close(self) -> None:
        """End what runs."""
        for child in self.children:
            child.kill()
        for worker in self.workers:
            worker.stop()


def summary(device: Child) -> dict[str, Any]:
    """Return the device's figures at its end; its books balance."""
    found: dict[str, Any] = json.loads(device.wait_for_line("{", END_S))
    assert device.wait(10) == 0
    ended = sum(found["finished"].values()) + sum(found["dropped"].values()) + found["in_flight"]
    assert found["captured"] + found["recovered"] == ended
    return found


def figures(found: dict[str, Any]) -> tuple[int, int, dict[str, int], int]:
    """Return (captured, finished by workers, dropped, in flight)."""
    return found["captured"], found["finished"]["worker"], found["dropped"], found["in_flight"]


def wait_until(what: Callable[[], object]) -> None:
    """Poll until it is so."""
    assert eventually(what, END_S)


def test_a_folder_is_finished_to_the_last_picture(bench: Bench) -> None:
    """Every picture comes to a worker once, in order, with its name, and the stages are told."""
    worker = bench.worker()
    found = summary(bench.device("--timeout", "60"))
    assert figures(found) == (40, 40, {}, 0)
    assert found["resent"] == 0
    assert [frame.name for frame in worker.frames] == [f"picture{n:04d}.png" for n in range(40)]
    assert {"capture", "crop", "head", "encode", "spool", "uplink", "downlink", "tail", "total"} == set(
        found["stages_ms"]
    )
    wait_until(lambda: worker.statuses and not worker.statuses[-1].online)
    assert worker.statuses[-1].finished.worker == 40
    assert bench.left() == []


def test_a_broker_restarted_in_mid_stream_loses_nothing(bench: Bench, mosquitto: BrokerUnderTest) -> None:
    """Frames captured while it is away are spooled, those in its queues are sent again."""
    worker = bench.worker()
    device = bench.device("--rate", "40", pictures=80)
    wait_until(lambda: worker.different > 20)
    mosquitto.kill()
    mosquitto.start()
    assert figures(summary(device)) == (80, 80, {}, 0)
    assert worker.different == 80


def test_a_broker_that_comes_later_gets_everything(bench: Bench, mosquitto: BrokerUnderTest) -> None:
    """Without a broker the device starts, captures and spools; nothing is lost when one comes."""
    mosquitto.stop()
    device = bench.device()
    wait_until((bench.spool / "demo" / "cam1.sqlite").exists)
    mosquitto.start()
    worker = bench.worker()
    assert figures(summary(device)) == (40, 40, {}, 0)
    assert worker.different == 40


def test_a_silent_worker_is_asked_again(bench: Bench) -> None:
    """Frames taken by a worker that never answers are sent again to one that does, and count once."""
    worker = bench.worker(answers=False)
    device = bench.device()
    wait_until(lambda: worker.different >= 32)
    worker.answers = True
    found = summary(device)
    assert figures(found) == (40, 40, {}, 0)
    assert found["resent"] >= 32
    assert worker.different == 40
    assert max(worker.came.values()) >= 2


def test_answering_twice_counts_once(bench: Bench) -> None:
    """Two workers that both answer every frame (as after a resend) change no figure."""
    first, second = bench.worker(), FakeWorker(bench.url)
    bench.workers.append(second)
    for worker in (first, second):
        publish = worker._session.publish
        worker._session.publish = lambda *a, publish=publish, **k: (publish(*a, **k), publish(*a, **k))[1]  # type: ignore[method-assign]
    assert figures(summary(bench.device())) == (40, 40, {}, 0)


def test_a_killed_device_delivers_at_its_next_start(bench: Bench) -> None:
    """After SIGKILL the frames that were in the spool come, with their own ids and times, and none is counted twice."""
    worker = bench.worker(answers=False)
    device = bench.device("--rate", "100", pictures=300)
    wait_until(lambda: worker.different >= 20)
    device.kill()
    left = bench.left()
    assert len(left) >= 20
    before = {str(frame.id): frame.captured_ns for frame in worker.frames}
    wait_until(lambda: any(not status.online for status in worker.statuses))  # the last will
    worker.answers = True
    found = summary(bench.device(pictures=40))
    assert found["recovered"] == len(left)
    assert (found["captured"], found["finished"]["worker"]) == (40, 40 + len(left))
    assert (found["dropped"], found["in_flight"]) == ({}, 0)
    again = [frame for frame in worker.frames if str(frame.id) in before]
    assert all(frame.captured_ns == before[str(frame.id)] for frame in again)
    assert bench.left() == []


def test_settings_change_the_split_live(bench: Bench) -> None:
    """image, a cut, device: each holds from one frame to the next, none is lost, and each is answered, retained."""
    worker = bench.worker()
    device = bench.device("--split", "image", "--rate", "30", "--loop")
    for split in ("conv_a", "device"):
        wait_until(lambda: worker.frames)
        worker.tell("cam1", b'{"version":1,"split":"%s"}' % split.encode())
        wait_until(lambda split=split: worker.frames[-1].split == split)
    worker.tell("cam1", b'{"version":1,"split":"conv_b"}')
    wait_until(lambda: len(worker.applied) == 3)
    device.signal(signal.SIGTERM)
    found = summary(device)
    assert found["finished"]["device"] > 0
    assert sum(found["finished"].values()) == found["captured"]
    assert list(dict.fromkeys(frame.split for frame in worker.frames)) == ["image", "conv_a", "device"]
    assert worker.different == found["captured"]
    late = bench.worker()
    wait_until(lambda: late.applied)
    kept = decode_json(SettingsApplied, late.applied[0])
    assert (kept.split, kept.refused is not None) == ("device", True)


def test_sigterm_drains_and_says_goodbye(bench: Bench) -> None:
    """Told to stop, even twice, it waits for results, ends with status 0 and its figures, and leaves nothing behind."""
    worker = bench.worker()
    device = bench.device("--rate", "40", "--loop")
    wait_until(lambda: worker.different >= 20)
    for _ in range(20):
        device.signal(signal.SIGTERM)
        device.signal(signal.SIGINT)
    found = summary(device)
    assert found["in_flight"] == 0
    assert found["finished"]["worker"] == found["captured"] == worker.different
    wait_until(lambda: not worker.statuses[-1].online)
    assert worker.statuses[-1].captured == found["captured"]


def test_sigterm_without_a_worker_keeps_the_frames(bench: Bench) -> None:
    """Within the drain time it ends, and what nobody answered is in the spool."""
    worker = bench.worker(answers=False)
    device = bench.device("--drain", "0.5")
    wait_until(lambda: worker.different >= 32)
    device.signal(signal.SIGTERM)
    found = summary(device)
    assert found["in_flight"] == len(bench.left()) == found["captured"]


def test_a_source_that_fails_still_delivers_what_it_gave(bench: Bench) -> None:
    """The frames before come to a worker; then the process ends with status 2 and the source's one line."""
    worker = bench.worker()
    pictures = write_pictures(bench.folder / "some", 20)
    device = bench.device("--source", str(pictures), "--loop", "--rate", "50")
    wait_until(lambda: worker.different >= 10)
    for picture in pictures.iterdir():
        picture.unlink()
    assert device.wait(END_S) == 2
    assert device.last_words().startswith("headwater: error: folder")
    assert bench.left() == []


def test_a_second_device_of_the_name_is_refused(bench: Bench) -> None:
    """One line and status 2, and the first one goes on."""
    worker = bench.worker()
    first = bench.device("--loop", "--rate", "20")
    arguments = ["--name", "cam1", "--spool", str(bench.spool), "--bundle", str(bench.bundle), "--source", "pattern:"]
    second = start("second", [sys.executable, "-m", "headwater", "edge", "--broker", bench.url, *arguments])
    bench.children.append(second)
    assert second.wait(END_S) == 2
    assert "is another device running with this name" in second.last_words()
    came = worker.different
    wait_until(lambda: worker.different > came + 5)
    first.signal(signal.SIGTERM)
    assert summary(first)["in_flight"] == 0


def test_the_spool_holds_a_file_back_instead_of_dropping(bench: Bench) -> None:
    """A folder larger than the spool waits for results; not a frame is dropped, and the bound holds."""
    worker = bench.worker(answers=False)
    device = bench.device("--spool-bytes", "20000", pictures=80)
    wait_until(lambda: worker.statuses and worker.statuses[-1].spool_bytes > 15_000)
    worker.answers = True
    assert figures(summary(device)) == (80, 80, {}, 0)
    assert max(status.spool_bytes for status in worker.statuses) <= 20_000


def test_a_device_stays_within_its_memory(bench: Bench) -> None:
    """300 pictures through the shipped model take at most 200 MB resident."""
    bundle = SHIPPED / "litter"
    worker = bench.worker()
    device = bench.device("--bundle", str(bundle), "--split", "device", "--loop", "--rate", "60", "--frames", "1000")
    wait_until(lambda: worker.different >= 300)
    assert peak_bytes(device.pid) <= MEMORY_LIMIT_BYTES
    device.signal(signal.SIGTERM)
    assert summary(device)["in_flight"] == 0
