"""The site tells when it read a traced frame, and when the first browser was sent it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from headwater.messages import Record
from headwater.traces import Span
from tests.visualizer.fake_fleet import FakeDevice
from tests.visualizer.listed_store import ListedStore
from tests.visualizer.test_live import Socket
from visualizer.devices import NoBroker
from visualizer.live import Bell, Live, News
from visualizer.reader import Follower
from visualizer.traces import MOST_WAITING, SiteTraces
from visualizer.window import Window

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Bench:
    """A follower that tells, with a store, a clock and a collector of paper."""

    def __init__(self) -> None:
        self.store, self.device, self.told, self.ns = ListedStore(), FakeDevice("cam1"), list[Span](), 1000
        self.window = Window(5000)
        self.follower = Follower(self.store, self.window)
        self.traces = SiteTraces(self.tell, self.now_ns)
        self.follower.traces = self.traces

    def now_ns(self) -> int:
        self.ns += 10
        return self.ns

    def tell(self, spans: Sequence[Span]) -> None:
        self.told += spans

    def record(self, flags: str = "01") -> Record:
        return replace(self.device.record(1), traceparent=f"00-{TRACE}-{SPAN}-{flags}")

    @property
    def names(self) -> list[str]:
        return [span.name for span in self.told]


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.follower.fill()
    return made


def test_a_frame_is_told_when_it_is_read_and_when_it_is_first_sent(bench: Bench) -> None:
    """Below the worker's span; a second browser, or the same once more, adds nothing."""
    bench.store.add(bench.record())
    bench.follower.step()
    assert bench.names == ["read"]
    for _ in range(2):
        bench.traces.pushed(0)
    read, push = bench.told
    assert (read.name, read.kind, read.trace_id, read.parent_id) == ("read", "consumer", TRACE, SPAN)
    assert (push.name, push.trace_id, push.parent_id) == ("push", TRACE, read.span_id)
    assert (read.start_ns, read.end_ns, push.start_ns, push.end_ns) == (1010, 1020, 1020, 1030)
    assert read.facts == {
        "headwater.fleet": "demo",
        "headwater.device": "cam1",
        "headwater.frame.id": "cam1-9f3c2a1b-0",
    }


def test_only_what_a_browser_has_been_sent_is_told_as_sent(bench: Bench) -> None:
    """By the serial of the newest frame that it has."""
    for _ in range(3):
        bench.store.add(bench.record())
    bench.follower.step()
    bench.traces.pushed(-1)
    assert bench.names == ["read"] * 3
    bench.traces.pushed(1)
    assert bench.names == ["read"] * 3 + ["push"] * 2


def test_frames_that_are_not_traced_are_not_told(bench: Bench) -> None:
    """Without a traceparent, or with one whose device has not sampled it."""
    bench.store.add(bench.device.record(1))
    bench.store.add(bench.record("00"))
    bench.follower.step()
    bench.traces.pushed(5)
    assert (bench.told, bench.window.seen) == ([], 2)


def test_what_a_site_catches_up_with_is_not_told() -> None:
    """At its start and after an absence: the times would say when the site came."""
    bench = Bench()
    bench.store.add(bench.record())
    bench.follower.fill()
    bench.store.add(bench.record())
    bench.follower.fill()
    assert (bench.told, bench.window.seen) == ([], 2)
    bench.store.add(bench.record())
    bench.follower.step()
    assert bench.names == ["read"]


def test_a_record_that_is_there_already_is_told_once(bench: Bench) -> None:
    """The store may be read again from an earlier place."""
    record = bench.record()
    bench.store.add(record)
    bench.store.add(record)
    bench.follower.step()
    assert bench.names == ["read"]


def test_without_browsers_only_so_many_frames_are_remembered(bench: Bench) -> None:
    """The newest; the others are never told as sent."""
    for _ in range(MOST_WAITING + 10):
        bench.store.add(bench.record())
    bench.follower.step()
    bench.traces.pushed(10**6)
    assert (bench.names.count("read"), bench.names.count("push")) == (MOST_WAITING + 10, MOST_WAITING)


def test_a_browser_s_socket_says_what_it_was_sent(bench: Bench) -> None:
    """After the words have gone out, not before."""
    bench.store.add(bench.record())
    bench.follower.step()

    async def one_browser() -> None:
        bell = Bell()
        serve, browser = Live(News(bench.window, NoBroker(), lambda: bench.follower.connection), bell), Socket()
        serve.on_pushed = bench.traces.pushed
        browser.may_accept.set()
        call = asyncio.create_task(serve(browser))  # type: ignore[arg-type]
        while "push" not in bench.names:
            await asyncio.sleep(0.01)
        browser.leaves.set()
        await asyncio.wait_for(call, 5)

    asyncio.run(asyncio.wait_for(one_browser(), 10))
    assert bench.names == ["read", "push"]
