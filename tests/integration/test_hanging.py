"""A frame that hangs or crashes a worker ends that process, not the fleet; whoever waits or is stopped goes on."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from cloud_worker.watchdog import HUNG_STATUS
from headwater.errors import ChildError
from tests.integration.test_sight import Looker
from tests.integration.test_worker import Device, Site, children_of
from tests.servers import eventually

POISONED = ("tests.integration.poisoned_worker",)
SOON = ("--hang-after", "1")
DONE_S = 60.0


def log_of(site: Site, name: str = "w1") -> str:
    return (site.folder.parent / f"{name}.log").read_text()


def send(device: Device, count: int, poison: int, name: str) -> None:
    """Send some frames, one of which has a name of its own."""
    for sequence in range(count):
        device.send(sequence, **({"name": name} if sequence == poison else {}))


def assert_all_but(site: Site, device: Device, count: int, poison: int) -> None:
    """One frame is refused as poison, all others are answered and stored once."""
    assert eventually(device.all_answered, DONE_S), f"unanswered: {count - len(device.results)} of {count}"
    assert {n for n, result in device.results.items() if result.refused} == {poison}
    assert "hung or crashed" in (device.results[poison].refused or "")
    assert sorted(record.sequence for record in site.records()) == [n for n in range(count) if n != poison]
    assert {dead.error for dead in device.deads} == {"PoisonFrame"}


@pytest.mark.parametrize(
    ("name", "status"), [("hang", HUNG_STATUS), ("crash", -signal.SIGSEGV), ("seize", -signal.SIGKILL)]
)
def test_a_poisonous_frame_ends_a_process_and_is_refused_by_all(each_site: Site, name: str, status: int) -> None:
    """The one that had it is replaced; the frame comes again from its device, and none of them runs it."""
    worker, device = each_site.worker("--processes", "2", *SOON, program=POISONED), each_site.device(resend_s=4.0)
    send(device, 20, 7, name)
    assert_all_but(each_site, device, 20, 7)
    log = log_of(each_site)
    ends = log.count("worker process ended, another starts")
    assert 1 <= ends <= 2  # the other one had it, too, where this machine was too slow to end the first in 4 s
    assert log.count(f"status={status} in_s=") == ends
    assert "it had frames in hand worker=w1." in log
    assert log.count("worker hung, its process ends worker=w1.") == (ends if name == "hang" else 0)
    assert log.count("worker hung with all its threads, killed worker=w1.") == (ends if name == "seize" else 0)
    assert worker.stop() == 0


@pytest.mark.parametrize(("name", "status"), [("hang", HUNG_STATUS), ("crash", -signal.SIGSEGV)])
def test_one_process_alone_is_started_again_too(site: Site, name: str, status: int) -> None:
    """Under the plain name and at the port that were asked for, and the next one refuses the frame."""
    looker = Looker()
    worker, device = site.worker(*SOON, *looker.flags, program=POISONED), site.device(resend_s=4.0)
    before = children_of(worker.pid)
    send(device, 10, 3, name)
    assert_all_but(site, device, 10, 3)
    assert log_of(site).count(f"worker process ended, another starts worker=w1 status={status} in_s=") == 1
    assert {record.worker for record in site.records()} == {"w1"}
    said = looker.turns(200)
    assert said["name"] == "w1"
    assert said["counts"]["refused"] >= 1
    assert len(before) == len(children_of(worker.pid) - before) == 1
    assert worker.stop() == 0


def test_a_worker_without_a_parent_says_that_it_hangs_and_ends(each_site: Site) -> None:
    """With its own status, for a supervisor; whoever is started with the same file refuses the frame."""
    flags = (*SOON, "--in-hand-file", str(each_site.folder.parent / "in-hand"))
    first, device = each_site.worker(*flags, program=POISONED), each_site.device(resend_s=2.0)
    assert children_of(first.pid) == set()
    send(device, 20, 7, "hang")
    assert first.wait(DONE_S) == HUNG_STATUS
    assert "worker hung, its process ends worker=w1" in first.last_words()
    assert f"frame=\"b'cam1-{device.camera.boot}-7'\"" in first.last_words()
    assert "poisoned_worker.py" in log_of(each_site) or "threading.py" in log_of(each_site)
    each_site.worker(*flags, program=POISONED)
    assert_all_but(each_site, device, 20, 7)


def test_who_waits_for_a_broker_to_let_it_go_does_not_hang(site: Site, tmp_path: Path) -> None:
    """A broker that no longer answers holds up the end for two seconds; that is longer than the bound, and no hang."""
    worker = site.worker(*SOON, "--in-hand-file", str(tmp_path / "in-hand"))
    site.broker.pause()
    try:
        worker.signal(signal.SIGTERM)
        assert worker.wait(DONE_S) == 0
    finally:
        site.broker.resume()
    assert "worker hung" not in log_of(site)


def test_a_process_that_is_stopped_is_not_killed_for_it(site: Site) -> None:
    """SIGSTOP of one of two, for longer than parent and watchdog wait: it goes on afterwards, the other meanwhile."""
    worker, device = site.worker("--processes", "2", *SOON), site.device(resend_s=2.0)
    before = children_of(worker.pid)
    os.kill(min(before), signal.SIGSTOP)
    for sequence in range(20):
        device.send(sequence)
    assert eventually(device.all_answered, DONE_S)
    assert not eventually(lambda: children_of(worker.pid) != before, 4.0)
    os.kill(min(before), signal.SIGCONT)
    assert not eventually(lambda: children_of(worker.pid) != before, 1.5)
    assert worker.stop() == 0
    assert "killed" not in log_of(site)


def test_who_waits_or_is_stopped_does_not_hang(each_site: Site) -> None:
    """A store that is away, a broker that is away, SIGSTOP in the middle of frames: each longer than the bound."""
    worker, device = each_site.worker(*SOON, program=POISONED), each_site.device(resend_s=2.0)
    device.send(0)
    assert eventually(device.all_answered, DONE_S)
    each_site.store.stop()
    device.send(1)
    assert not eventually(device.all_answered, 2.5)
    each_site.store.start()
    assert eventually(device.all_answered, DONE_S)
    for sequence in range(2, 6):
        device.send(sequence, name="slow")
    worker.signal_all(signal.SIGSTOP)
    assert not eventually(device.all_answered, 2.5)
    worker.signal_all(signal.SIGCONT)
    assert eventually(device.all_answered, DONE_S)
    each_site.broker.stop()
    with pytest.raises(ChildError, match="still runs"):
        worker.wait(2.5)
    each_site.broker.start()
    device.send(6)
    assert eventually(device.all_answered, DONE_S)
    assert "worker hung" not in log_of(each_site)
    assert "worker process ended" not in log_of(each_site)
    assert sorted({record.sequence for record in each_site.records()}) == list(range(7))
    assert worker.stop() == 0
