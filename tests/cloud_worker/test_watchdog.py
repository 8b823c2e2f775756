"""A worker whose thread has stopped turning ends; one that waits, works or sleeps does not."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from cloud_worker import watchdog
from cloud_worker.hand import REFUSED, Hand, key_of
from cloud_worker.progress import Progress
from cloud_worker.silence import Silence
from cloud_worker.watchdog import HUNG_STATUS, Watchdog, place_of
from tests.cloud_worker.fleet import deliver, run_in_thread

TICK_S, BOUND_S = 1.0, 20.0
BUSY_S = 1.0
"""Longer than a busy machine keeps a thread that works from its next beat."""


def looked(*looks: tuple[float, int, bool]) -> list[float]:
    """Return what is found at each look: (when, beats, whether it waits)."""
    silence = Silence(TICK_S, BOUND_S, 0.0)
    return [silence.look(now_s, beats, waits=waits) for now_s, beats, waits in looks]


def test_silence_grows_until_there_is_a_sign() -> None:
    """By the time between looks; a beat ends it."""
    found = looked((1, 5, False), (2, 5, False), (3.5, 5, False), (4.5, 6, False), (5.5, 6, False))
    assert found == [0, 1, 2.5, 0, 1]


def test_waiting_is_not_silence() -> None:
    """However long the store is away; when the wait is over, the silence begins anew."""
    found = looked((1, 5, False), (2, 5, True), (3, 5, True), (4, 5, False), (5, 5, False))
    assert found == [0, 0, 0, 1, 2]


def test_who_was_stopped_does_not_judge() -> None:
    """SIGSTOP or a suspended machine stop who looks, too: after that the silence begins anew."""
    found = looked((1, 5, False), (2, 5, False), (3, 5, False), (500, 5, False), (501, 5, False))
    assert found == [0, 1, 2, 0, 1]


def test_who_comes_late_counts_what_it_saw() -> None:
    """On a busy machine it looks seldom, and a short stop is none that it slept through: two ticks of it count."""
    assert looked((1, 5, False), (2, 5, False), (11, 5, False), (12, 5, False)) == [0, 1, 3, 4]
    assert looked((1, 5, False), (2, 5, False), (12.1, 5, False), (13, 5, False))[2] == 0


class Ended:
    """Takes the status instead of ending."""

    def __init__(self) -> None:
        self.status: list[int] = []
        self.is_over = threading.Event()

    def __call__(self, status: int) -> None:
        self.status.append(status)
        self.is_over.set()


def test_a_thread_that_hangs_ends_the_process(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With a status of its own; the last line says which frame and where; the next process refuses that one alone."""
    progress, ended = Progress(lambda: 0, Hand(tmp_path / "hand")), Ended()
    delivery, following = (deliver(b"x", correlation=f"cam1-9f3c2a1b-{n}".encode()) for n in (7, 8))
    for each in (delivery, following):
        each.key = key_of(each.message)
    with progress.in_hand(delivery), Watchdog("w1", progress, 0.2, ended).watching():
        assert ended.is_over.wait(30)
    with progress.in_hand(following):
        assert Hand(tmp_path / "hand").ended() == {delivery.key: REFUSED}
    assert ended.status == [HUNG_STATUS]
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "CRITICAL"]
    assert line.startswith("worker hung, its process ends worker=w1 for_s=0.")
    assert "cam1-9f3c2a1b-7" in line
    assert "threading.py" in line


def test_a_log_that_hangs_too_does_not_keep_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who no longer reads stderr must not be waited for."""
    stuck, ended, progress = threading.Event(), Ended(), Progress(lambda: 0)
    monkeypatch.setattr(watchdog, "LAST_WORDS_S", 0.05)
    monkeypatch.setattr(watchdog.log, "critical", lambda _line: stuck.wait(30))
    with Watchdog("w1", progress, 0.2, ended).watching():
        assert ended.is_over.wait(20)
    stuck.set()
    assert ended.status == [HUNG_STATUS]


def test_a_thread_that_works_or_waits_is_left_alone() -> None:
    """Beats of one, the wait of the other; and with 0 nobody looks at all."""
    ended, over = Ended(), threading.Event()
    working, waiting, unwatched = (Progress(lambda: 0) for _ in range(3))

    def work() -> None:
        while not over.wait(0.005):
            with working.in_hand():
                pass

    with (
        Watchdog("w1", working, BUSY_S, ended).watching(),
        Watchdog("w2", waiting, BUSY_S, ended).watching(),
        Watchdog("w3", unwatched, 0, ended).watching(),
        waiting.waiting(),
        unwatched.in_hand(),
    ):
        run_in_thread(work)
        assert not ended.is_over.wait(2.5 * BUSY_S)
        over.set()


def test_a_parent_sees_from_the_first_frame_on_that_it_runs() -> None:
    """And no longer when it is over, or where nobody watches."""
    watched, unwatched = Progress(lambda: 0), Progress(lambda: 0)
    with Watchdog("w1", watched, 3600.0).watching(), Watchdog("w2", unwatched, 0).watching():
        assert watched.hand.ticks == 1
        assert unwatched.hand.ticks == 0
    assert watched.hand.ticks == 0


def test_the_place_of_a_thread_is_a_line() -> None:
    """Where it is, and of a thread that is gone nowhere."""
    assert place_of(threading.get_ident()).endswith(" place_of")
    assert place_of(0) == "nowhere"
