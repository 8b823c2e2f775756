"""Devices: what they say, what their frames say, and when one is stale."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from headwater.messages import VERSION, Decision, Status, encode_json
from headwater.session import Address, Received
from tests.headwater.samples import DECISION
from tests.servers import BrokerUnderTest, eventually
from tests.visualizer.fake_fleet import FakeDevice, broker_session, say
from visualizer.devices import STALE_S, Heard, StatusReader, device_rows, is_will, state_of
from visualizer.window import Sighting

NOW_NS = 1_790_000_000 * 10**9
S = 10**9


def reader() -> StatusReader:
    return StatusReader(Address("127.0.0.1", 1), "demo", lambda: NOW_NS)


def received(device: str, payload: bytes, kind: str = "status") -> Received:
    return Received(f"headwater/v1/demo/{device}/{kind}", payload, 0, 0, 1)


def heard(*, online: bool = True, ago_s: float = 1.0, clock_off_s: float = 0.0, retained: bool = False) -> Heard:
    status = FakeDevice("cam1").status(NOW_NS + int(clock_off_s * S), online=online, captured_ago_s=ago_s)
    return Heard(status, NOW_NS, retained)


@pytest.mark.parametrize(
    ("one", "state"),
    [
        (heard(), "online"),
        (heard(online=False), "offline"),
        (heard(ago_s=STALE_S + 1), "stale"),
        (heard(clock_off_s=-3600), "online"),
        (heard(clock_off_s=3600, ago_s=STALE_S + 1), "stale"),
        (heard(clock_off_s=-3600, retained=True), "stale"),
    ],
)
def test_a_device_is_stale_by_its_own_clock(one: Heard, state: str) -> None:
    """Online with an old picture is stale; a clock an hour wrong changes nothing, unless the word is old."""
    assert state_of(one, NOW_NS) == state


def test_a_device_that_fell_silent_becomes_stale() -> None:
    """The age grows while no further status comes, though the last one was fresh."""
    assert state_of(heard(), NOW_NS + int((STALE_S + 2) * S)) == "stale"


def test_rows_join_both_sources() -> None:
    """A device that speaks is shown by its word, a silent one by its frames; both once, by name."""
    silent, speaking = FakeDevice("a"), FakeDevice("b")
    sightings = [Sighting(f"{n}-0", device.record(NOW_NS)) for n, device in enumerate((silent, silent, speaking))]
    rows = device_rows([Heard(speaking.status(NOW_NS), NOW_NS, False)], sightings, NOW_NS)
    assert [(row.name, row.state, row.frames) for row in rows] == [("a", "seen", 2), ("b", "online", 1)]
    assert rows[0].frames_per_s == pytest.approx(2 / 60)
    assert rows[0].split == "block_5_add"


def test_a_bad_status_is_counted_and_skipped() -> None:
    """Junk, another's name and a far too long one leave the list as it is."""
    statuses = reader()
    good = encode_json(FakeDevice("cam1").status(NOW_NS))
    for device, payload in (("cam1", b"{"), ("cam2", good), ("cam1", b"\xff" * 10), ("cam1", b" " * 70_000)):
        statuses.take(received(device, payload))
    assert (statuses.heard(), statuses.refused) == ([], 4)
    statuses.take(received("cam1", good))
    assert [one.status.device for one in statuses.heard()] == ["cam1"]


def test_an_emptied_status_forgets_the_device() -> None:
    """Clearing the retained message takes the device off the page."""
    statuses = reader()
    statuses.take(received("cam1", encode_json(FakeDevice("cam1").status(NOW_NS))))
    statuses.take(received("cam1", b""))
    assert statuses.heard() == []


def test_a_device_that_is_gone_keeps_what_it_said_last() -> None:
    """The will, written at its start, only takes it offline; by itself it tells no time of a last word."""
    statuses, said = reader(), FakeDevice("cam1").status(NOW_NS)
    will = Status(VERSION, "cam1", online=False, since_ns=said.since_ns, sent_ns=said.since_ns)
    statuses.take(received("cam1", encode_json(said)))
    statuses.take(received("cam1", encode_json(will)))
    assert statuses.heard()[0].status == replace(said, online=False)
    assert is_will(will)
    assert not is_will(replace(said, online=False))
    later = replace(will, since_ns=NOW_NS + 1, sent_ns=NOW_NS + 1)
    statuses.take(received("cam1", encode_json(later)))
    assert statuses.heard()[0].status == later


def test_a_decision_is_shown_with_the_device_that_made_it() -> None:
    """One of an earlier run, of a device that is gone or taken back is not; what is none of ours is counted."""
    statuses, said = reader(), FakeDevice("cam1").status(NOW_NS)
    late = replace(DECISION, at_ns=said.since_ns + S)

    def shown() -> Decision | None:
        (row,) = device_rows(statuses.heard(), [], NOW_NS)
        return row.decision

    statuses.take(received("cam1", encode_json(said)))
    assert shown() is None
    statuses.take(received("cam1", encode_json(late), "decision"))
    assert shown() == late
    for payload in (b"{", encode_json(replace(late, device="cam2"))):
        statuses.take(received("cam1", payload, "decision"))
    assert (shown(), statuses.refused) == (late, 2)
    statuses.take(received("cam1", encode_json(replace(said, online=False))))
    assert shown() is None
    statuses.take(received("cam1", encode_json(replace(said, since_ns=late.at_ns + 1, sent_ns=late.at_ns + 2))))
    assert shown() is None
    statuses.take(received("cam1", encode_json(said)))
    assert shown() == late
    statuses.take(received("cam1", b"", "decision"))
    assert shown() is None


def test_only_the_first_status_of_a_connection_may_be_an_old_one() -> None:
    """What comes after it is live."""
    statuses = reader()
    payload = encode_json(FakeDevice("cam1").status(NOW_NS))
    statuses.take(received("cam1", payload))
    assert statuses.heard()[0].retained
    statuses.take(received("cam1", payload))
    assert not statuses.heard()[0].retained


def test_statuses_come_from_a_real_broker_and_survive_its_restart(mosquitto: BrokerUnderTest) -> None:
    """Retained words are there at once; the broker's absence is noted, and its return."""
    statuses = StatusReader(Address.parse(mosquitto.url), "demo")
    session = broker_session(mosquitto.url)
    try:
        say(session, FakeDevice("cam1").status(NOW_NS))
        statuses.start()
        assert eventually(statuses.heard)[0].status.device == "cam1"
        assert statuses.connection is not None
        assert eventually(lambda: statuses.connection.there)
        mosquitto.stop()
        assert eventually(lambda: not statuses.connection.there)
        mosquitto.start()
        assert eventually(lambda: statuses.connection.there, 30)
    finally:
        session.stop()
        statuses.stop()
