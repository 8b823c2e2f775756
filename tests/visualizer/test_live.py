"""What a browser is told, and what not."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter

import pytest
from msgspec.structs import replace
from starlette.websockets import WebSocketDisconnect

from headwater.messages import Prediction
from tests.visualizer.fake_fleet import FakeDevice
from tests.visualizer.listed_store import ListedStore
from visualizer import live
from visualizer.callbacks import Source
from visualizer.devices import NoBroker
from visualizer.live import Bell, Browser, News, same_origin
from visualizer.reader import Connection
from visualizer.window import Window


def source(capacity: int = 10) -> tuple[News, FakeDevice]:
    return News(Window(capacity), NoBroker(), lambda: Connection(True, 0)), FakeDevice("cam1")


def test_a_new_browser_is_told_everything_once() -> None:
    """First all rows, tasks and the header; then, with nothing new, nothing at all."""
    news, device = source()
    for n in range(3):
        news.window.add(f"{n}-0", device.record(n))
    browser = Browser()
    told = browser.news(news)
    assert told["reset"]
    assert [row[1][-1] for row in told["rows"]] == ["0", "1", "2"]
    assert told["header"]["frames"] == 3
    assert told["header"]["broker"] is None
    assert told["tasks"][0]["task"] == "litter"
    assert browser.news(news) == {}


def test_only_new_rows_follow() -> None:
    """The second message holds one row, not the window."""
    news, device = source()
    news.window.add("1-0", device.record(1))
    browser = Browser()
    browser.news(news)
    news.window.add("2-0", device.record(2))
    told = browser.news(news)
    assert (len(told["rows"]), "reset" in told, told["serial"]) == (1, False, 1)


def test_a_browser_that_returns_gets_only_what_it_missed() -> None:
    """It names the run and the last serial it has; another run means a fresh start."""
    news, device = source()
    for n in range(4):
        news.window.add(f"{n}-0", device.record(n))
    back = Browser.of({"run": news.window.run, "after": "1"}, news.window.run)
    assert len(back.news(news)["rows"]) == 2
    for query in ({"run": "other", "after": "1"}, {"run": news.window.run, "after": "²"}, {}):
        assert Browser.of(query, news.window.run).news(news)["reset"]


def test_a_browser_that_missed_too_much_starts_afresh() -> None:
    """What the window has forgotten cannot be made up for."""
    news, device = source(capacity=3)
    back = Browser(serial=0)
    for n in range(8):
        news.window.add(f"{n}-0", device.record(n))
    told = back.news(news)
    assert told["reset"]
    assert len(told["rows"]) == 3


def test_tasks_of_older_frames_are_told_to_all() -> None:
    """A task that only the archive knows gets a colour and a filter in every browser, at once and only once."""
    (news, device), store, rung = source(), ListedStore(), []
    news.window.add("1-0", device.record(1))
    browser = Browser()
    browser.news(news)
    species = Prediction("species", "owl", None, 0.9, [0.1, 0.9])
    store.add(replace(device.record(900_000_000), predictions=[species]))
    pages = Source(store, news.window, NoBroker(), "demo", lambda: 10**13, lambda: rung.append(1))
    for _ in range(2):
        answer = pages.past({"from_ms": 0, "to_ms": 9000, "token": 1})
        assert (sorted(answer), len(answer["rows"])) == (["rows", "thinned", "token"], 1)
    assert rung == [1]
    told = browser.news(news)
    assert [task["task"] for task in told["tasks"]] == ["litter", "species"]
    assert "rows" not in told
    assert browser.news(news) == {}


def test_the_journey_of_the_watched_frame_is_told_once() -> None:
    """The details panel is made again when the round trip is reported."""
    news, device = source()
    record = device.record(1)
    news.window.add("1-0", record)
    browser = Browser(watched="cam1-9f3c2a1b-0")
    assert "journey" not in browser.news(news)
    news.window.add_journey(device.journey(record))
    assert browser.news(news)["journey"] == "cam1-9f3c2a1b-0"
    assert "journey" not in browser.news(news)


def test_other_sites_may_not_listen() -> None:
    """A page from elsewhere is refused, and so is a client that does not say where it is from."""
    host = "127.0.0.1:8050"
    assert same_origin({"origin": f"http://{host}", "host": host})
    assert not same_origin({"origin": "http://evil.example", "host": host})
    assert not same_origin({"host": host})
    assert not same_origin({"origin": "null", "host": host})


class Socket:
    """A websocket of a page of this site: says `words` at once, then waits, until it is told to leave."""

    def __init__(self, words: int = 0) -> None:
        host = "127.0.0.1:8050"
        self.headers, self.query_params = {"origin": f"http://{host}", "host": host}, {}
        self.words, self.sent, self.closed = words, 0, None
        self.may_accept, self.leaves = asyncio.Event(), asyncio.Event()

    async def accept(self) -> None:
        """Take as long as a slow network."""
        await self.may_accept.wait()

    async def close(self, code: int) -> None:
        """Note that it was refused."""
        self.closed = code

    async def send_text(self, _: str) -> None:
        """Count."""
        self.sent += 1

    async def receive_text(self) -> str:
        """Return the next word; each comes in a turn of its own, as from a network."""
        await asyncio.sleep(0)
        if self.words:
            self.words -= 1
            return "x"
        await self.leaves.wait()
        raise WebSocketDisconnect


def test_browsers_count_before_they_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Handshakes under way are within the limit too, and one that fails gives its place back."""
    monkeypatch.setattr(live, "MOST_BROWSERS", 2)

    async def five_at_once() -> tuple[list[int | None], int | None]:
        serve = live.Live(source()[0], Bell())
        sockets = [Socket() for _ in range(5)]
        calls = [asyncio.create_task(serve(one)) for one in sockets]
        await asyncio.sleep(0)
        for call in calls[:2]:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        late = Socket()
        late.may_accept.set()
        late.leaves.set()
        await serve(late)
        return [one.closed for one in sockets], late.closed

    assert asyncio.run(asyncio.wait_for(five_at_once(), 5)) == ([None, None, 1008, 1008, 1008], None)


def test_the_words_of_one_browser_cost_the_others_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand words wake nobody else, and their own browser's task only so often."""
    news, _ = source()
    looks: Counter[Browser] = Counter()
    monkeypatch.setattr(Browser, "__hash__", object.__hash__)
    monkeypatch.setattr(Browser, "news", lambda browser, _: looks.update([browser]) or {})

    async def one_talks() -> None:
        serve, talker, other = live.Live(news, Bell()), Socket(words=1000), Socket()
        for one in (talker, other):
            one.may_accept.set()
        calls = [asyncio.create_task(serve(one)) for one in (talker, other)]
        await asyncio.sleep(5 * live.LOOK_EVERY_S)
        for one in (talker, other):
            one.leaves.set()
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    asyncio.run(asyncio.wait_for(one_talks(), 5))
    assert sorted(looks.values())[0] == 1
    assert 2 <= sorted(looks.values())[1] <= 10


def test_a_bell_rung_in_another_thread_wakes_all_who_listen() -> None:
    """Ringing before anybody listens is no error and is not kept; who has gone is not rung for."""

    async def two_sleepers(bell: Bell) -> list[bool]:
        bell.ring()
        gone, *events = [asyncio.Event() for _ in range(3)]
        with bell.heard_by(gone):
            pass
        with bell.heard_by(events[0]), bell.heard_by(events[1]):
            threading.Timer(0.01, bell.ring).start()
            await asyncio.wait_for(asyncio.gather(*(event.wait() for event in events)), 5)
        return [event.is_set() for event in (gone, *events)]

    assert asyncio.run(two_sleepers(Bell())) == [False, True, True]
