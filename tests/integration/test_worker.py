"""Real workers between a real broker and a real store: every frame exactly once, whatever happens to whom."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import redis

from cloud_worker.embedded_store import start_store
from cloud_worker.store import BITMAPS, RedisStore
from headwater import messages
from headwater.children import Child, start
from headwater.errors import StoreError
from headwater.messages import VERSION, Dead, Frame, Journey, Journeys, Prediction, Record, Result, encode
from headwater.probes import free_port
from headwater.properties import publish_properties
from headwater.session import Address, Callbacks, Received, Session
from models.bundle import Bundle, BundleError
from tests.cloud_worker.fleet import BOOT, TOPICS, Camera, make_bundle, real_store, run_in_thread, stored_records
from tests.models import tflite_files
from tests.servers import BrokerUnderTest, StoreUnderTest, eventually

READY_S, DONE_S = 30.0, 40.0
YEAR_S = 365 * 24 * 3600
ANSWER_S = 5.0
"""So long an answer may take that is on its way: a process that starts beside it may have all cores."""


class Device:
    """A camera on a real broker that sends again what is not answered in time, as the edge does."""

    def __init__(self, camera: Camera, broker_url: str, resend_s: float = 1.0) -> None:
        self.camera, self.resend_s = camera, resend_s
        self.results: dict[int, Result] = {}
        self.answers: Counter[int] = Counter()
        self.sent: Counter[int] = Counter()
        self.waited_s: dict[int, float] = {}
        """From the first sending of a frame to its first answer."""
        self.deads: list[Dead] = []
        self.resent = 0
        self._open: dict[int, tuple[Frame, float]] = {}
        self._first_s: dict[int, float] = {}
        self._lock = threading.Lock()
        topics = [(TOPICS.of_device(camera.device, "result"), 1), (TOPICS.dead, 1)]
        callbacks = Callbacks(on_message=self._on_message)
        self.session = Session(Address.parse(broker_url), f"device-{camera.device}", callbacks, subscriptions=topics)
        self.session.start(10)

    def _on_message(self, message: Received) -> None:
        if message.topic == TOPICS.dead:
            self.deads.append(messages.decode_json(Dead, message.payload))
        else:
            result = messages.decode(Result, message.payload, 1_000_000)
            assert message.correlation == str(result.id).encode()
            with self._lock:
                sequence = result.id.sequence
                self._open.pop(sequence, None)
                self.results[sequence] = result
                self.answers[sequence] += 1
                if sequence in self._first_s:
                    self.waited_s.setdefault(sequence, time.monotonic() - self._first_s[sequence])
        self.session.ack(message)

    def send(self, sequence: int, split: str | None = None, **changes: object) -> None:
        frame = self.camera.frame(sequence, split, **changes)
        with self._lock:
            self._first_s[sequence] = time.monotonic()
            self._open[sequence] = (frame, self._first_s[sequence])
        self._publish(frame)

    def _publish(self, frame: Frame) -> None:
        self.sent[frame.id.sequence] += 1
        self.publish(encode(frame), correlation=str(frame.id).encode())

    def publish(self, payload: bytes, correlation: bytes | None = None) -> None:
        topic = TOPICS.of_device(self.camera.device, "frame")
        self.session.publish(topic, payload, properties=publish_properties(correlation=correlation, expiry_s=600))

    def resend(self) -> None:
        """Send again what was not answered in time."""
        now_s = time.monotonic()
        with self._lock:
            late = [frame for frame, at_s in self._open.values() if now_s - at_s > self.resend_s]
            self._open |= {frame.id.sequence: (frame, now_s) for frame in late}
            self.resent += len(late)
        for frame in late:
            self._publish(frame)

    def all_answered(self) -> bool:
        self.resend()
        with self._lock:
            return not self._open

    def answered(self, count: int) -> bool:
        self.resend()
        return len(self.results) >= count


class Site:
    """A broker, a store, a bundle, and what was started on them."""

    def __init__(self, broker: BrokerUnderTest, store: StoreUnderTest, folder: Path) -> None:
        self.broker, self.store, self.folder = broker, store, folder
        self.bundle = make_bundle(folder)
        self.workers: list[Child] = []
        self.devices: list[Device] = []

    def worker(
        self, *flags: str, ready_s: float = READY_S, program: Sequence[str] = ("headwater", "worker"), name: str = ""
    ) -> Child:
        name = name or f"w{len(self.workers) + 1}"
        log = self.folder.parent / f"{name}.log"
        addresses = ["--broker", self.broker.url, "--store", self.store.url, "--bundles", str(self.folder)]
        own = ["--name", name, *(flags if "--processes" in flags else ("--processes", "1", *flags))]
        command = [sys.executable, "-m", *program, *addresses, *own]
        child = start(name, command, log=log)
        self.workers.append(child)
        assert child.wait_for_line("ready worker", ready_s) == f"ready worker {name}"
        return child

    def device(self, bundle: Bundle | None = None, name: str = "cam1", resend_s: float = 1.0) -> Device:
        device = Device(Camera(bundle or self.bundle, name), self.broker.url, resend_s)
        self.devices.append(device)
        return device

    def records(self) -> list[Record]:
        return stored_records(self.store.url)

    def close(self) -> None:
        for device in self.devices:
            device.session.stop()
        for worker in self.workers:
            worker.stop()


def assert_each_once(site: Site, device: Device, count: int) -> None:
    """Every frame is answered rightly, and in the store exactly once."""
    assert eventually(device.all_answered, DONE_S), f"unanswered: {count - len(device.results)} of {count}"
    stored = Counter(record.sequence for record in site.records())
    assert stored == Counter(range(count))
    for sequence, result in device.results.items():
        assert result.refused is None
        assert result.predictions == device.camera.expected(sequence)


def test_every_split_is_finished_exactly(site: Site) -> None:
    """Pictures, activations at each cut, finished frames: the same answers, recorded with all stages."""
    worker, device = site.worker(), site.device(resend_s=DONE_S)
    splits = ["image", "device", *device.camera.cuts]
    for sequence in range(4 * len(splits)):
        device.send(sequence, splits[sequence % len(splits)])
    assert_each_once(site, device, 4 * len(splits))
    for record in site.records():
        assert record.predictions == device.camera.expected(record.sequence)
        assert record.finished_by == ("device" if record.split == "device" else "worker")
        assert {"capture", "inbox", "batch", "store"} <= set(record.stages_ns)
    assert max(device.answers.values()) == 1
    assert worker.stop() == 0
    assert "answered=" in worker.last_words()


def test_nobody_takes_turns_in_a_group_whose_name_only_workers_know(site: Site, tmp_path: Path) -> None:
    """Two workers with the same file share the frames; who joins the group that others have takes none from them."""
    word = tmp_path / "group"
    word.write_text("f00d-and-drink\n")
    workers = [site.worker("--group-file", str(word)) for _ in range(2)]
    device = site.device(resend_s=600.0)
    topics = [(TOPICS.shared("frame"), 1)]
    intruder = Session(Address.parse(site.broker.url), "intruder", Callbacks(), subscriptions=topics)
    intruder.start(10)
    for sequence in range(40):
        device.send(sequence)
    assert_each_once(site, device, 40)
    intruder.stop()
    assert device.resent == 0
    assert {record.worker for record in site.records()} == {"w1", "w2"}
    assert not any("f00d" in worker.last_words() for worker in workers)


def children_of(pid: int) -> set[int]:
    """Return the worker processes under a parent: those that run Python's spawn."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {int(child) for child in found if b"spawn_main" in _command_line(int(child))}


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_several_processes_share_the_frames_and_one_that_dies_is_replaced(site: Site) -> None:
    """Both answer under names of their own; after SIGKILL of one another takes its seat, and no frame is lost."""
    worker, device = site.worker("--processes", "2"), site.device()
    for sequence in range(40):
        device.send(sequence)
    assert_each_once(site, device, 40)
    assert {record.worker for record in site.records()} == {"w1.1", "w1.2"}
    before = children_of(worker.pid)
    assert len(before) == 2
    os.kill(min(before), signal.SIGKILL)
    for sequence in range(40, 80):
        device.send(sequence)
    assert_each_once(site, device, 80)
    assert eventually(lambda: len(children_of(worker.pid) - before) == 1, 20.0)
    assert worker.stop() == 0
    assert not any(_command_line(pid) for pid in before)


def test_the_processes_of_a_killed_parent_die_with_it(site: Site) -> None:
    """SIGKILL of the parent leaves no worker behind."""
    worker = site.worker("--processes", "2")
    children = children_of(worker.pid)
    assert len(children) == 2
    os.kill(worker.pid, signal.SIGKILL)
    assert eventually(lambda: not any(_command_line(pid) for pid in children), 10.0)


def test_a_parent_of_one_process_is_small(site: Site) -> None:
    """It has loaded neither numpy nor LiteRT, which its process has."""
    worker, device = site.worker(), site.device()
    device.send(0, "image")
    assert_each_once(site, device, 1)
    (child,) = children_of(worker.pid)
    assert {"numpy", "ai_edge_litert"} <= packages_of(child)
    assert not {"numpy", "ai_edge_litert"} & packages_of(worker.pid)
    assert worker.stop() == 0


def packages_of(pid: int) -> set[str]:
    """Return which packages' compiled parts a process has loaded. Source: proc(5), /proc/PID/maps."""
    return set(re.findall(r"-packages/(\w+)/\S+\.so", Path(f"/proc/{pid}/maps").read_text()))


@pytest.mark.parametrize("processes", ["1", "2"])
def test_ctrl_c_stops_a_worker_in_order(site: Site, processes: str) -> None:
    """A terminal sends it to parent and processes alike: what was sent is answered, the status is 0, no traceback."""
    worker, device = site.worker("--processes", processes), site.device()
    for sequence in range(20):
        device.send(sequence)
    worker.signal_all(signal.SIGINT)
    assert worker.wait(DONE_S) == 0
    log = (site.folder.parent / "w1.log").read_text()
    assert log.count(" stopped worker=w1") == int(processes)
    assert "Traceback" not in log
    site.worker()
    assert_each_once(site, device, 20)


def test_ctrl_c_at_the_start_is_no_fault(site: Site) -> None:
    """While the process waits for a store that is away: status 0, no traceback, and nothing is left behind."""
    site.store.stop()
    log = site.folder.parent / "w.log"
    at = ["--broker", site.broker.url, "--store", site.store.url, "--name", "w"]
    worker = start("w", [sys.executable, "-m", "headwater", "worker", *at, "--processes", "1"], log=log)
    assert eventually(lambda: "settings" in log.read_text(), READY_S)
    children = children_of(worker.pid)
    worker.signal_all(signal.SIGINT)
    assert worker.wait(READY_S) == 0
    assert "Traceback" not in log.read_text()
    assert len(children) == 1
    assert not any(_command_line(pid) for pid in children)


def test_the_shipped_litter_bundle_is_known_to_every_worker(site: Site) -> None:
    """Without any --bundles a worker has the models that Headwater ships."""
    try:
        litter = Bundle.load("litter")
    except BundleError:
        pytest.skip("no litter bundle in this checkout")
    site.worker()
    device = site.device(litter)
    splits = ["image", "device", *device.camera.cuts[::8]]
    for sequence, split in enumerate(splits):
        device.send(sequence, split)
    assert_each_once(site, device, len(splits))


def test_a_store_adds_each_frame_once(valkey: StoreUnderTest) -> None:
    """One script marks and adds: over bitmaps, boots and devices, within a batch, and when it must be loaded again."""
    store = real_store(valkey.url)
    first = [record(sequence) for sequence in (0, 1, 65535, 65536, 1)]
    assert store.add(first) == [True, True, True, True, False]
    with redis.Redis.from_url(valkey.url) as client:
        client.script_flush()
        assert store.add([record(0), record(2), record(0, device="cam2"), record(0, boot="00000000")]) == [
            False, True, True, True,
        ]  # fmt: skip
        assert sorted(client.keys("headwater:demo:seen:cam1:*")) == [
            b"headwater:demo:seen:cam1:00000000:0",
            f"headwater:demo:seen:cam1:{BOOT}:0".encode(),
            f"headwater:demo:seen:cam1:{BOOT}:1".encode(),
        ]
        assert YEAR_S - 60 < client.ttl(f"headwater:demo:seen:cam1:{BOOT}:0") <= YEAR_S
    assert len(stored_records(valkey.url)) == 7
    store.close()


def record(sequence: int, device: str = "cam1", boot: str = BOOT) -> Record:
    return Record(
        1, "demo", device, boot, sequence, 1, 2, "tiny", "ab" * 32, "image", "png", 10, "worker", "w1",
        [Prediction("litter", "dirty", None, 0.5, [0.5, 0.5])], {"tail": 3},
    )  # fmt: skip


def test_whoever_invents_numbers_has_no_more_than_a_device_s_share(valkey: StoreUnderTest) -> None:
    """Random sequence numbers and boots: so many bitmaps are kept, the last ones, and no other device's are touched."""
    store, random = real_store(valkey.url), np.random.default_rng(1)
    assert store.add([record(7, device="cam2")]) == [True]
    with redis.Redis.from_url(valkey.url) as client:
        before = int(client.info("memory")["used_memory_dataset"])
        numbers = [int(one) for one in random.integers(0, 2**40, 4 * BITMAPS)]
        boots = [f"{one:08x}" for one in random.integers(0, 2**32, 4 * BITMAPS)]
        for number, boot in zip(numbers, boots, strict=True):
            assert store.add([record(number | 0xFFFF, boot=boot)]) == [True]
        assert len(client.keys("headwater:demo:seen:cam1:*")) == BITMAPS
        known = client.lrange("headwater:demo:seen:cam1", 0, -1)
        assert sorted(known) == sorted(client.keys("headwater:demo:seen:cam1:*"))
        assert YEAR_S - 60 < client.ttl("headwater:demo:seen:cam1") <= YEAR_S
        records = 4 * BITMAPS * 1000
        assert int(client.info("memory")["used_memory_dataset"]) - before < BITMAPS * 12_000 + records
    latest = [record(number | 0xFFFF, boot=boot) for number, boot in zip(numbers, boots, strict=True)]
    assert store.add(latest[-BITMAPS:]) == [False] * BITMAPS
    assert store.add([record(7, device="cam2")]) == [False]
    store.close()


def test_a_bitmap_that_was_forgotten_counts_once(valkey: StoreUnderTest) -> None:
    """One that expired and comes again is the newest, not also the oldest."""
    store = real_store(valkey.url)
    for number in range(BITMAPS):
        store.add([record(number * 65536)])
    with redis.Redis.from_url(valkey.url) as client:
        client.delete(f"headwater:demo:seen:cam1:{BOOT}:0")
        assert store.add([record(0)]) == [True]
        assert client.lrange("headwater:demo:seen:cam1", -1, -1) == [f"headwater:demo:seen:cam1:{BOOT}:0".encode()]
    assert store.add([record(BITMAPS * 65536)]) == [True]
    assert store.add([record(0), record(65536)]) == [False, True]
    store.close()


def test_a_full_store_marks_nothing_as_seen(valkey: StoreUnderTest) -> None:
    """A frame that could not be added for want of memory is new once there is room."""
    store = real_store(valkey.url)
    with redis.Redis.from_url(valkey.url) as client:
        client.config_set("maxmemory", "1mb")
        with pytest.raises(StoreError, match="memory"):
            store.add([record(1)])
        client.config_set("maxmemory", "0")
    assert store.add([record(1)]) == [True]
    store.close()


def test_an_unknown_model_and_garbage_do_not_stop_the_stream(each_site: Site) -> None:
    """Each is reported once, the device is told, and the frames around them are finished."""
    each_site.worker()
    device = each_site.device(resend_s=DONE_S)
    device.send(0)
    device.publish(b"\x93garbage", correlation=f"cam1-{BOOT}-900".encode())
    device.publish(b"")
    device.send(901, digest="ab" * 32)
    device.send(902, sent_ns=77, version=9)
    device.publish(encode(device.camera.frame(903))[:-10], correlation=f"cam1-{BOOT}-903".encode())
    device.send(1)
    assert eventually(lambda: device.all_answered() and len(device.deads) == 5, DONE_S)
    kinds = Counter(dead.error for dead in device.deads)
    assert kinds == {"Malformed": 3, "UnknownModel": 1, "UnknownVersion": 1}
    assert {n for n, result in device.results.items() if result.refused} == {900, 901, 902, 903}
    assert sorted(record.sequence for record in each_site.records()) == [0, 1]


def test_a_frame_over_the_limit_is_refused(site: Site) -> None:
    """The worker takes it in only to say no; the device is told by the correlation data."""
    site.worker("--max-frame-bytes", "2000")
    device = site.device()
    device.publish(bytes(3000), correlation=f"cam1-{BOOT}-5".encode())
    assert eventually(lambda: 5 in device.results)
    assert "over the limit" in (device.results[5].refused or "")


def test_a_bundle_that_is_added_later_is_found(site: Site) -> None:
    """An operator adds a folder, and the device's next frames are finished."""
    site.worker()
    elsewhere = site.folder.parent / "late.tflite"
    elsewhere.write_bytes(tflite_files.half_weights())
    device = site.device(Bundle.load(elsewhere))
    device.send(0, "image")
    assert eventually(lambda: 0 in device.results)
    assert device.results[0].refused
    elsewhere.rename(site.folder / "late.tflite")

    def is_finished() -> bool:
        if device.all_answered():
            device.send(1, "image")
        return 1 in device.results and device.results[1].refused is None

    assert eventually(is_finished, 15)
    assert device.results[1].predictions == device.camera.expected(1)


def test_sigterm_in_mid_stream_loses_nothing(each_site: Site) -> None:
    """The batch in hand is answered, the process ends with 0, the other worker goes on."""
    first, _second = each_site.worker("--inbox", "16"), each_site.worker("--inbox", "16")
    device = each_site.device()
    stream = run_in_thread(lambda: [device.send(sequence) for sequence in range(600)])
    assert eventually(lambda: device.answered(100))
    assert first.stop() == 0
    stream.join()
    assert_each_once(each_site, device, 600)


@contextlib.contextmanager
def streaming(device: Device) -> Iterator[list[int]]:
    """Let a device send a hundred frames a second meanwhile, and what is late once more; yield the numbers sent."""
    over, sent = threading.Event(), list[int]()

    def stream() -> None:
        while not over.wait(0.01):
            device.send(len(sent))
            sent.append(len(sent))
            device.resend()

    thread = run_in_thread(stream)
    try:
        yield sent
    finally:
        over.set()
        thread.join()


@pytest.mark.timeout(240)
def test_a_rolling_restart_keeps_no_frame_waiting_for_longer_than_a_time_out(each_site: Site) -> None:
    """Three workers, one after the other replaced in mid-stream: what each was given it finishes before it leaves.

    A frame that no one finished is sent again after its time-out: few are, and by then each is answered at once.
    """
    for _ in range(3):
        each_site.worker("--inbox", "64")
    device = each_site.device(resend_s=15.0)
    with streaming(device) as sent:
        for old in list(each_site.workers):
            answered = len(device.results)
            assert eventually(lambda: device.answered(answered + 50), DONE_S)  # noqa: B023
            assert old.stop() == 0
            each_site.worker("--inbox", "64")
    assert_each_once(each_site, device, len(sent))
    assert len(device.waited_s) == len(sent)
    assert max(device.waited_s.values()) <= device.resend_s + ANSWER_S
    assert max(device.sent.values()) <= 2
    assert device.resent <= len(sent) // 20


def test_kill_9_of_one_of_two_workers_loses_nothing(each_site: Site) -> None:
    """What the dead worker held is sent again by the device and finished by the other, each frame once."""
    first, _second = each_site.worker(), each_site.worker()
    device = each_site.device()
    for sequence in range(300):
        device.send(sequence)
        if sequence == 150:
            first.signal_all(signal.SIGSTOP)  # it now takes frames in and answers none
        if sequence == 250:
            first.kill()
    assert_each_once(each_site, device, 300)
    assert device.resent > 0


def test_a_stop_while_the_store_is_away_leaves_the_frames_to_others(site: Site) -> None:
    """The worker ends at once with 0; the frames in its hand are finished by the next one."""
    first, device = site.worker(), site.device()
    site.store.stop()
    for sequence in range(20):
        device.send(sequence)
    assert eventually(lambda: "store away" in first.last_words())
    began_s = time.monotonic()
    assert first.stop() == 0
    assert time.monotonic() - began_s < 5
    assert not device.results
    site.store.start()
    site.worker()
    assert_each_once(site, device, 20)


def test_valkey_away_for_some_seconds_loses_nothing(each_site: Site) -> None:
    """The batch in hand waits; resent frames are known again after the store is back."""
    each_site.worker()
    device = each_site.device()
    for sequence in range(200):
        device.send(sequence)
        if sequence == 100:
            assert eventually(lambda: device.answered(10))
            each_site.store.stop()
    assert not eventually(device.all_answered, 3)
    each_site.store.start()
    assert_each_once(each_site, device, 200)


def test_a_broker_restart_loses_nothing(each_site: Site) -> None:
    """Worker and device find the broker again; acknowledgements of the old connection are not used."""
    each_site.worker()
    device = each_site.device()
    for sequence in range(200):
        device.send(sequence)
        if sequence == 100:
            assert eventually(lambda: device.answered(10))
            each_site.broker.restart()
    assert_each_once(each_site, device, 200)


def test_a_hung_store_is_an_outage_too(site: Site) -> None:
    """A Valkey that accepts and never answers ends in a time-out and is asked again."""
    site.worker()
    device = site.device(resend_s=3.0)
    device.send(0)
    assert eventually(device.all_answered)
    site.store.pause()
    device.send(1)
    assert not eventually(device.all_answered, 6)
    site.store.resume()
    assert_each_once(site, device, 2)


def test_a_slow_store_makes_results_late_and_nothing_else(site: Site) -> None:
    """It takes each write two seconds later, within the worker's patience: no outage, each frame once."""
    worker, device = site.worker("--hang-after", "1"), site.device(resend_s=DONE_S)
    device.send(0)
    assert eventually(device.all_answered)
    with redis.Redis.from_url(site.store.url) as client:
        for sequence in range(1, 4):
            began_s = time.monotonic()
            client.client_pause(2000, all=False)
            device.send(sequence)
            assert eventually(device.all_answered, DONE_S)
            assert time.monotonic() - began_s >= 2
            assert device.results[sequence].stages_ns["store"] > 1e9
    assert_each_once(site, device, 4)
    assert worker.stop() == 0
    assert "store_outages" not in worker.last_words()


def test_journeys_end_in_their_stream(site: Site) -> None:
    """What the device measured is stored under its name."""
    site.worker()
    device = site.device()
    payload = encode(Journeys(1, [Journey(BOOT, 7, 10, 20, 5, 100)]))
    with redis.Redis.from_url(site.store.url) as client:

        def entries() -> list[bytes]:
            device.session.publish(TOPICS.of_device("cam1", "journey"), payload, qos=0)
            return [fields[b"journey"] for _, fields in client.xrange("headwater:demo:journeys")]

        found = eventually(entries)
    assert found[0] == (
        b'{"device":"cam1","boot":"9f3c2a1b","sequence":7,"uplink_ns":10,"downlink_ns":20,'
        b'"uncertainty_ns":5,"total_ns":100}'
    )


def test_a_flood_over_a_small_inbox_ends_exactly_once(each_site: Site) -> None:
    """A worker whose inbox is full gives frames back; the device's resending finishes them all, with either broker."""
    each_site.worker("--inbox", "4", "--batch", "2")
    device = each_site.device()
    for sequence in range(200):
        device.send(sequence, device.camera.cuts[-1])
    assert_each_once(each_site, device, 200)


@pytest.mark.parametrize("processes", ["1", "2"])
def test_without_a_broker_a_worker_says_so(valkey: StoreUnderTest, tmp_path: Path, processes: str) -> None:
    """One line on stderr says what and where, and the status is 2."""
    url = f"mqtt://127.0.0.1:{free_port('127.0.0.1')}"
    command = [sys.executable, "-m", "headwater", "worker", "--broker", url, "--store", valkey.url]
    command += ["--processes", processes]
    worker = start("w", command, log=tmp_path / "w.log")
    assert worker.wait(30) == 2
    assert worker.last_words().startswith(f"headwater: error: no session with {url} within 10 s")
    log = (tmp_path / "w.log").read_text()
    assert log.count("no session with") == 1
    assert "Traceback" not in log


def test_without_a_store_a_worker_says_so(mosquitto: BrokerUnderTest, tmp_path: Path) -> None:
    """Of one that cannot be had, and of one that cannot be meant."""
    away = f"redis://127.0.0.1:{free_port('127.0.0.1')}"
    for url, words in ((away, "store"), ("http://127.0.0.1", "redis://")):
        command = [sys.executable, "-m", "headwater", "worker", "--broker", mosquitto.url, "--store", url]
        worker = start("w", [*command, "--processes", "1"], log=tmp_path / "w.log")
        assert worker.wait(30) == 2
        assert worker.last_words().startswith("headwater: error: ")
        assert words in worker.last_words()
    assert "Traceback" not in (tmp_path / "w.log").read_text()


def test_a_port_that_is_taken_is_said_in_one_line(site: Site, tmp_path: Path) -> None:
    """By the process, before it is ready, and passed on by its parent with the status 2."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "headwater", "worker", "--broker", site.broker.url, "--store", site.store.url]
        worker = start("w", [*command, "--processes", "1", "--metrics", port], log=tmp_path / "w.log")
        assert worker.wait(30) == 2
    assert worker.last_words().startswith(f"headwater: error: --metrics: cannot listen on 127.0.0.1:{port}")


def test_a_full_store_is_named_and_a_smaller_history_frees_it(tmp_path: Path) -> None:
    """At its maxmemory it says so, keeps what it has, and takes new records when fewer are to be kept."""
    with start_store(folder=tmp_path, append_only=False, max_memory_bytes=4_000_000) as running:
        store = RedisStore(running.url, "demo")
        with pytest.raises(StoreError, match=r"is full \(its maxmemory\); lower --history"):
            fill(store)
        sequence = len(stored_records(running.url))
        smaller = RedisStore(running.url, "demo", history=20)
        with pytest.raises(StoreError, match="full"):
            smaller.add([bulky_record(sequence)])
        assert smaller.add([bulky_record(sequence)]) == [True]
        store.close()
        smaller.close()


def fill(store: RedisStore) -> None:
    """Add records until the store refuses."""
    for sequence in range(1000):
        store.add([bulky_record(sequence)])


def bulky_record(sequence: int) -> Record:
    """Return a record with the scores of a thousand classes."""
    found = [Prediction("kind", "cat", None, 0.5, [0.123456789] * 1000)]
    return Record(
        version=VERSION, fleet="demo", device="cam1", boot="00000000", sequence=sequence, captured_ns=1, stored_ns=1,
        bundle="x", digest="0" * 64, split="device", codec="none", payload_bytes=1, finished_by="worker", worker="w",
        predictions=found, stages_ns={},
    )  # fmt: skip
