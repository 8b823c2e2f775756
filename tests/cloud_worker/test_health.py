"""A worker is judged by what it finishes, not by being alive."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest

from cloud_worker.figures import KINDS
from cloud_worker.health import Seen, StoreWatch, reasons, waits_for_others
from headwater.errors import StoreError

LIMIT_S = 30.0


@pytest.mark.parametrize(
    ("seen", "first_words"),
    [
        (Seen(), []),
        (Seen(ended_s=9_000.0, finished_s=9_000.0), []),
        (Seen(in_hand_s=30.0, waiting_s=30.0, broker_away_s=30.0, store_away_s=30.0), []),
        (Seen(in_hand_s=31.0), ["one frame has been in hand for 31 s"]),
        (Seen(waiting_s=31.0), ["frames wait, and none was finished for 31 s"]),
        (Seen(waiting_s=31.0, ended_s=2.0), []),
        (Seen(waiting_s=0.1, ended_s=9_000.0), []),
        (Seen(waiting_s=50.0, ended_s=40.0), ["frames wait, and none was finished for 40 s"]),
        (Seen(broker_away_s=31.0), ["no connection to the broker for 31 s"]),
        (Seen(store_away_s=31.0), ["the store has taken nothing for 31 s"]),
        (Seen(in_hand_s=2.0, broker_away_s=60.0, store_away_s=45.0), ["no connection", "the store has taken nothing"]),
    ],
)
def test_a_worker_is_unwell_by_what_keeps_it_from_finishing(seen: Seen, first_words: list[str]) -> None:
    """Idle is well, and so is a frame that has only just come after a long silence; every reason is named."""
    found = reasons(seen, LIMIT_S)
    assert len(found) == len(first_words)
    assert all(one.startswith(words) for one, words in zip(found, first_words, strict=True))


@pytest.mark.parametrize(
    ("seen", "waits"),
    [
        (Seen(in_hand_s=31.0, waiting_s=31.0), False),
        (Seen(in_hand_s=31.0, store_away_s=0.1), True),
        (Seen(waiting_s=31.0, broker_away_s=31.0), True),
    ],
)
def test_a_worker_whose_broker_or_store_is_away_is_not_to_be_restarted(seen: Seen, waits: bool) -> None:
    """Whatever it has in hand is then stuck for a reason that a restart would find again."""
    assert waits_for_others(seen) is waits


class PaperServer:
    """A store that is there or not."""

    def __init__(self) -> None:
        self.is_there, self.asked = True, threading.Semaphore(0)

    def ping(self) -> None:
        self.asked.release()
        if not self.is_there:
            raise StoreError("away")


def test_a_store_is_away_since_it_first_did_not_answer() -> None:
    """Not since it was asked last; and it is back when it answers."""
    server, now_ns = PaperServer(), iter(range(10, 100, 10))
    watch = StoreWatch(server.ping, lambda: next(now_ns))
    watch.look()
    assert watch.away_since_ns is None
    server.is_there = False
    watch.look()
    watch.look()
    assert watch.away_since_ns == 20
    server.is_there = True
    watch.look()
    assert watch.away_since_ns is None


def test_a_watch_asks_until_it_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Again and again, and its thread ends when told."""
    monkeypatch.setattr("cloud_worker.health.LOOK_EVERY_S", 0.001)
    server, over = PaperServer(), threading.Event()
    thread = threading.Thread(target=StoreWatch(server.ping, lambda: 0).run, args=(over,), daemon=True)
    thread.start()
    for _ in range(3):
        assert server.asked.acquire(timeout=10)
    over.set()
    thread.join(10)
    assert not thread.is_alive()


def test_the_kinds_of_refusals_are_those_of_the_page() -> None:
    """The table of docs/worker.md tells each kind that is counted from the start, and no other."""
    page = (Path(__file__).parents[2] / "docs/worker.md").read_text()
    table = page.partition("## What is refused\n")[2].partition("\n## ")[0]
    assert tuple(re.findall(r"`refused_(\w+)`", table)) == KINDS
