"""What workers tell becomes how long frames wait, also where they tell nothing any more."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from cloud_worker.autoscale.ask import COMMAND, END, answers
from cloud_worker.autoscale.waiting import SILENT_S, Heard, Told, looked, told
from cloud_worker.figures import FIGURES
from headwater.prometheus import Figures
from headwater.sight import Sight
from headwater.sight_server import SightServer
from headwater.verdict import Verdict

READING = {
    "headwater_worker_busy_seconds_total": 7.5,
    "headwater_worker_inbox_oldest_seconds": 1.25,
    "headwater_worker_connected": 1.0,
    "headwater_worker_store_up": 0.0,
}


def exposition() -> bytes:
    """What a worker that finished two frames shows."""
    figures = Figures(FIGURES, lambda: READING)
    for inbox_s, batch_s in ((0.1, 0.02), (0.3, 0.04)):
        stages = {"inbox": inbox_s, "batch": batch_s, "tail": 0.5}
        figures.observe_stages("headwater_worker_stage_seconds", {one: int(s * 1e9) for one, s in stages.items()})
    return figures.exposition()


def test_a_worker_s_own_page_is_read() -> None:
    """The figures that a worker shows are those that are looked for; what is no such page tells nothing."""
    found = told(exposition().decode())
    assert found is not None
    assert (found.frames, found.busy_s, found.oldest_s) == (2, 7.5, 1.25)
    assert found.waited_s == pytest.approx(0.46)
    assert (found.is_connected, found.has_store) == (True, False)
    for other in ("", "nonsense {", "a 1.0\n", exposition().decode().replace("busy_seconds", "other")):
        assert told(other) is None


class Page:
    """A worker's page, on a thread of this process."""

    def __init__(self) -> None:
        self.server = SightServer("127.0.0.1", 0, Sight(exposition, lambda: Verdict("worker", "w", (), None, 0.0)))
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def page() -> Iterator[Page]:
    page = Page()
    yield page
    page.close()


@pytest.mark.parametrize("host", ["", "127.0.0.1:", "0.0.0.0:"])
def test_the_program_in_the_container_asks_every_process(page: Page, host: str) -> None:
    """As the image runs it, without anything of ours; at the container's own variable, one missing port passed over."""
    port = page.server.server_port
    for first in (port, port - 1):
        done = subprocess.run(
            [sys.executable, *COMMAND[1:]], env={"HEADWATER_METRICS": f"{host}{first}"}, capture_output=True, text=True,
            check=True, timeout=30,
        )  # fmt: skip
        assert done.stdout.count(END) >= 1
        assert answers(done.stdout)[0].frames == 2


def test_a_container_without_figures_tells_nothing(page: Page) -> None:
    """Nobody listens there, or what is printed is the engine's word that there is no Python."""
    page.server.shutdown()
    page.server.server_close()
    done = subprocess.run(
        [sys.executable, *COMMAND[1:]], env={"HEADWATER_METRICS": str(page.server.server_port)}, capture_output=True,
        text=True, check=True, timeout=30,
    )  # fmt: skip
    assert answers(done.stdout) == ()
    assert answers('OCI runtime exec failed: "python": executable file not found') == ()


def test_frames_wait_as_long_as_those_finished_lately_did() -> None:
    """The mean since the last look, at least what the oldest in the inbox waits now; the share of time worked."""
    before = {"a": Heard(10.0, (Told(100, 5.0, 50.0),)), "b": Heard(10.0, (Told(7, 1.0, 1.0),))}
    look, heard = looked(15.0, {"a": [Told(110, 8.0, 54.0)], "b": [Told(7, 1.0, 1.0, oldest_s=2.5)]}, before)
    assert (look.at_s, look.workers) == (15.0, 2)
    assert look.waits_s == pytest.approx((0.3, 2.5))
    assert look.busy == pytest.approx((0.8, 0.0))
    assert look.frame_s == pytest.approx(0.4)
    assert heard["a"].told == (Told(110, 8.0, 54.0),)


def test_the_first_look_knows_only_what_waits_now() -> None:
    """What was before, nobody asked for."""
    look, _ = looked(15.0, {"a": [Told(110, 800.0, 54.0, oldest_s=0.1)]}, {})
    assert (look.waits_s, look.busy, look.frame_s) == ((0.1,), (), 0.0)


def test_a_process_that_began_anew_counts_from_nought() -> None:
    """Its sums are smaller than they were."""
    look, _ = looked(15.0, {"a": [Told(4, 2.0, 1.0)]}, {"a": Heard(10.0, (Told(100, 5.0, 50.0),))})
    assert (look.waits_s, look.busy) == ((0.5,), (0.2,))


def test_several_processes_of_a_worker_are_one_worker() -> None:
    """Their mean; a process more or less than before cannot be told from another."""
    before = {"a": Heard(0.0, (Told(0, 0.0, 0.0), Told(0, 0.0, 0.0)))}
    look, _ = looked(10.0, {"a": [Told(10, 1.0, 10.0), Told(10, 3.0, 4.0)]}, before)
    assert (look.workers, look.waits_s, look.busy) == (1, pytest.approx((0.2,)), pytest.approx((0.7,)))
    look, _ = looked(10.0, {"a": [Told(10, 1.0, 10.0)]}, before)
    assert (look.waits_s, look.busy) == ((0.0,), ())


def test_frames_of_a_worker_that_falls_silent_go_on_waiting() -> None:
    """Since it was heard, once that is longer than a slow answer takes; one that just started tells nothing."""
    heard = {"a": Heard(10.0, (Told(1, 0.0, 0.0),))}
    for at_s, waits_s in ((10.0 + SILENT_S, ()), (40.0, (30.0,)), (70.0, (60.0,))):
        look, heard = looked(at_s, {"a": [], "new": []}, heard)
        assert (look.workers, look.waits_s, look.busy) == (2, waits_s, ())
    look, heard = looked(80.0, {"new": []}, heard)
    assert (look.waits_s, heard) == ((), {})


@pytest.mark.parametrize(
    ("first", "second", "trouble"),
    [
        (Told(0, 0, 0), Told(0, 0, 0), ""),
        (Told(0, 0, 0, has_store=False), Told(0, 0, 0), ""),
        (Told(0, 0, 0, has_store=False), Told(0, 0, 0, has_store=False), "the store is away"),
        (Told(0, 0, 0, is_connected=False), Told(0, 0, 0, is_connected=False), "the broker is away"),
    ],
)
def test_what_all_lack_no_other_worker_has(first: Told, second: Told, trouble: str) -> None:
    """A store or broker that one alone does not reach is no reason."""
    look, _ = looked(0.0, {"a": [first], "b": [second], "silent": []}, {})
    assert look.trouble == trouble
