"""Following the store's streams into the window."""

from __future__ import annotations

import time

import pytest
import redis

from headwater.errors import StoreError
from headwater.messages import encode_json
from tests.servers import StoreUnderTest, eventually
from tests.visualizer.fake_fleet import FakeDevice, add
from tests.visualizer.listed_store import ListedStore
from visualizer.reader import Follower, RedisStore, entry_order
from visualizer.window import Window


def test_the_newest_entries_fill_the_window_and_news_follows() -> None:
    """At the start the window takes what is there; afterwards only what is new."""
    store, device = ListedStore(), FakeDevice("cam1")
    for _ in range(30):
        store.add(device.record(1))
    window = Window(10)
    follower = Follower(store, window)
    follower.fill()
    assert (window.count(), window.seen) == (10, 10)
    store.add(device.record(1))
    follower.step()
    assert window.newest(1)[0].record.sequence == 30
    assert follower.connection.there


def test_a_bad_entry_is_counted_and_the_stream_goes_on() -> None:
    """Junk, a missing field, NaN and a future version are skipped, one by one."""
    store, device = ListedStore(), FakeDevice("cam1")
    good = encode_json(device.record(1))
    for spoiled in (b"", b"{", good.replace(b'"version":1', b'"version":9'), good[:-20], b"[]" * 200_000, b"\xff"):
        store.add_raw("results", spoiled)
    store.add_raw("journeys", b"null")
    store.add(device.record(1))
    window = Window(10)
    Follower(store, window).fill()
    assert (window.count(), window.refused) == (1, 7)


def test_after_an_absence_the_gap_is_closed() -> None:
    """Frames stored while the site could not read are there afterwards, none twice."""
    store, device, window = ListedStore(), FakeDevice("cam1"), Window(100)
    follower = Follower(store, window)
    store.add(device.record(1))
    follower.fill()
    for _ in range(5):
        store.add(device.record(1))
    follower.fill()
    assert [s.record.sequence for s in window.newest(99)] == [0, 1, 2, 3, 4, 5]


def test_a_store_that_was_emptied_is_followed_from_its_beginning() -> None:
    """Ids may start again below those seen."""
    store, device, window = ListedStore(), FakeDevice("cam1"), Window(100)
    follower = Follower(store, window)
    store.add(device.record(1))
    store.add(device.record(1))
    follower.fill()
    store.streams = {"results": [], "journeys": []}
    store.next_id = 1
    follower.fill()
    store.add(device.record(1))
    follower.step()
    assert window.newest(1)[0].record.sequence == 2


def test_ids_compare_as_numbers() -> None:
    """9-0 is before 10-0, and 10-2 before 10-10."""
    assert sorted(["10-10", "9-0", "10-2"], key=entry_order) == ["9-0", "10-2", "10-10"]


def test_a_store_address_that_is_none_is_a_clear_error() -> None:
    """It names what was expected."""
    with pytest.raises(StoreError, match="expected redis://"):
        RedisStore("http://nowhere", "demo")


def test_a_real_store_is_followed_within_a_moment(valkey: StoreUnderTest) -> None:
    """A frame written to Valkey is in the window, with its journey, at once and not at the next look."""
    client, device, window = redis.Redis.from_url(valkey.url), FakeDevice("cam1"), Window(600)
    for _ in range(700):
        add(client, device.record(1))
    follower = Follower(RedisStore(valkey.url, "demo"), window)
    follower.start()
    try:
        assert eventually(lambda: window.count() == 600)
        took_s = []
        for record in [device.record(time.time_ns()) for _ in range(5)]:
            name, began_s = f"cam1-9f3c2a1b-{record.sequence}", time.monotonic()
            add(client, record)
            add(client, device.journey(record))
            assert eventually(lambda name=name: window.journey(name))
            took_s.append(time.monotonic() - began_s)
        assert min(took_s) < 0.5
    finally:
        follower.stop()
        client.close()


def test_a_store_that_goes_and_comes_back_loses_nothing(valkey: StoreUnderTest) -> None:
    """The absence is noted with its time; what was stored meanwhile arrives afterwards."""
    client, device, window = redis.Redis.from_url(valkey.url), FakeDevice("cam1"), Window(100)
    follower = Follower(RedisStore(valkey.url, "demo"), window)
    follower.start()
    try:
        add(client, device.record(1))
        assert eventually(lambda: window.count() == 1)
        valkey.stop()
        assert eventually(lambda: not follower.connection.there)
        valkey.start()
        add(client, device.record(1))
        assert eventually(lambda: window.count() == 2, 20)
        assert eventually(lambda: follower.connection.there)
    finally:
        follower.stop()
        client.close()


def test_the_site_may_start_before_its_store(valkey: StoreUnderTest) -> None:
    """A store that is not there yet is waited for."""
    valkey.stop()
    window = Window(100)
    follower = Follower(RedisStore(valkey.url, "demo"), window)
    follower.start()
    try:
        assert not follower.connection.there
        valkey.start()
        assert eventually(lambda: follower.connection.there, 20)
    finally:
        follower.stop()
