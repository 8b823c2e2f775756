"""What becomes of operators' wishes, at a broker that keeps what it is told; a device answers when a test says so."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import replace

from headwater.errors import BrokerError, TooLarge
from headwater.messages import VERSION, SettingsApplied, SettingsChange, decode_json, encode_json
from headwater.session import Address, Callbacks, Received
from tests.servers import eventually
from visualizer.setter import DeviceSetter

DEVICE = "camera-1"
TOPIC = f"headwater/v1/demo/{DEVICE}/settings"
HELD = SettingsApplied(VERSION, DEVICE, "image", "jpeg:90", "all", {"exit1": {"litter": 0.25}})
BEFORE = SettingsChange(VERSION, "image", "jpeg:90")
WISH = replace(BEFORE, split="auto", codec=None)
WHY = "split: got 'auto', expected better"


class FakeSession:
    """A broker that is there, and what it was told of one device."""

    def __init__(self, _address: Address, _client_id: str, callbacks: Callbacks, **_more: Any) -> None:
        self.take, self.is_connected, self.limit_bytes = callbacks.on_message, True, 10_000
        self.told: list[SettingsChange | None] = []

    def publish(self, topic: str, payload: bytes, *, retain: bool) -> int:
        """Keep it, unless it is too long."""
        assert (topic, retain) == (TOPIC, True)
        if len(payload) > self.limit_bytes:
            raise TooLarge("message", len(payload), self.limit_bytes)
        self.told.append(decode_json(SettingsChange, payload) if payload else None)
        return len(self.told)

    def say(self, said: Struct | None, *, retained: bool = False) -> None:
        """Say something in the name of the device, or of somebody else who sets it."""
        topic = f"{TOPIC}/applied" if isinstance(said, SettingsApplied) else TOPIC
        self.take(Received(topic, b"" if said is None else encode_json(said), 0, 0, 0, retained=retained))

    def refuse(self, **more: Any) -> None:
        """Answer that all stays as it is."""
        self.say(replace(HELD, refused=WHY), **more)


Fleet = tuple[DeviceSetter, FakeSession]


def made(monkeypatch: pytest.MonkeyPatch, answer_s: float) -> Fleet:
    """Return a setter that has heard of a device and what is wanted of it, and its broker."""
    sessions: list[FakeSession] = []

    def session(*args: Any, **more: Any) -> FakeSession:
        sessions.append(FakeSession(*args, **more))
        return sessions[0]

    monkeypatch.setattr("visualizer.setter.Session", session)
    setter = DeviceSetter(Address.parse("mqtt://127.0.0.1:1"), "demo", answer_s)
    sessions[0].say(BEFORE, retained=True)
    sessions[0].say(HELD, retained=True)
    return setter, sessions[0]


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Fleet:
    """A device that nobody waits for."""
    return made(monkeypatch, 0.001)


@pytest.fixture
def lively(monkeypatch: pytest.MonkeyPatch) -> Fleet:
    """A device that is waited for."""
    return made(monkeypatch, 10.0)


@pytest.fixture
def operators() -> Iterator[ThreadPoolExecutor]:
    """People who set devices at the same time."""
    with ThreadPoolExecutor(4) as pool:
        yield pool


def waited(session: FakeSession, told: int, answer: SettingsApplied, wish: Future[Any]) -> Any:
    """Answer for the device once the broker has been told so often, and return what the operator gets."""
    assert eventually(lambda: len(session.told) >= told)
    session.say(answer)
    return wish.result(5)


def test_a_refusal_that_comes_late_is_taken_back(silent: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    """However late; a greeting, which repeats what held, is no answer. The log has it."""
    setter, session = silent
    assert setter.set(DEVICE, "auto", {}) is None
    assert setter.wanted(DEVICE) == WISH
    session.say(HELD)
    session.say(WISH)
    session.refuse()
    assert session.told == [WISH, BEFORE]
    assert setter.wanted(DEVICE) == BEFORE
    session.refuse()
    assert session.told == [WISH, BEFORE]
    assert "refused settings taken back device=camera-1 reason=" in caplog.text


def test_what_a_device_has_taken_stays_whatever_it_refuses_later(silent: Fleet) -> None:
    """Such as the wish of somebody else, which is theirs to take back."""
    setter, session = silent
    assert setter.set(DEVICE, "auto", {}) is None
    session.say(replace(HELD, split="auto"))
    session.say(replace(WISH, split="block_99"))
    session.refuse()
    assert session.told == [WISH]


def test_what_others_have_set_since_is_not_overwritten(silent: Fleet) -> None:
    """The refusal may be of theirs; what they want stays, and the next wish leaves it out, as it was refused."""
    setter, session = silent
    assert setter.set(DEVICE, "auto", {}) is None
    session.say(replace(BEFORE, split="block_99"))
    session.refuse()
    assert session.told == [WISH]
    assert setter.set(DEVICE, "device", {}) is None
    assert session.told[-1] == SettingsChange(VERSION, "device")


def test_all_that_was_not_answered_goes_back_together(silent: Fleet) -> None:
    """Later wishes go on top of earlier ones, also after a refusal of long ago; back goes what the device had last."""
    setter, session = silent
    session.refuse()
    session.say(BEFORE)
    assert setter.set(DEVICE, "auto", {}) is None
    assert setter.set(DEVICE, None, {"exit1": {"litter": 9.0}}) is None
    assert session.told[-1] == replace(WISH, thresholds={"exit1": {"litter": 9.0}})
    session.refuse()
    assert session.told[-1] == BEFORE


def test_what_the_broker_repeats_is_no_answer(silent: Fleet) -> None:
    """When the connection comes back it hands out the last words again; only where they are others they are new."""
    setter, session = silent
    session.refuse()
    session.say(BEFORE)
    assert setter.set(DEVICE, "auto", {}) is None
    session.say(WISH, retained=True)
    session.refuse(retained=True)
    assert session.told == [WISH]
    session.say(replace(HELD, refused="something else"), retained=True)
    assert session.told == [WISH, BEFORE]


def test_what_was_refused_before_the_site_came_is_left_out(silent: Fleet) -> None:
    """Whichever of the two the broker hands out first."""
    setter, session = silent
    session.refuse(retained=True)
    session.say(BEFORE, retained=True)
    assert setter.set(DEVICE, "auto", {}) is None
    assert session.told == [SettingsChange(VERSION, "auto")]


def test_a_wish_that_is_too_long_changes_nothing(silent: Fleet) -> None:
    """Neither what the site shows nor what later wishes go on top of."""
    setter, session = silent
    session.limit_bytes = 100
    much = {f"exit{n}": {"litter": 1.0} for n in range(30)}
    with pytest.raises(TooLarge, match="is over the limit of 100 B"):
        setter.set(DEVICE, "auto", much)
    assert setter.wanted(DEVICE) == BEFORE
    session.refuse()
    session.say(BEFORE)
    assert setter.set(DEVICE, "auto", {}) is None
    assert session.told == [WISH]


def test_what_is_too_long_to_be_taken_back_is_an_error_in_the_log(
    silent: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    """The limit is the broker's, who may have changed it."""
    setter, session = silent
    assert setter.set(DEVICE, "auto", {}) is None
    session.limit_bytes = 0
    session.refuse()
    assert session.told == [WISH]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "refused settings not taken back device=camera-1" in caplog.text


def test_two_who_set_one_device_get_their_own_answers(lively: Fleet, operators: ThreadPoolExecutor) -> None:
    """The second waits for the first; what the second is refused goes back to what the first has set."""
    setter, session = lively
    first = operators.submit(setter.set, DEVICE, "auto", {})
    assert eventually(lambda: len(session.told) == 1)
    second = operators.submit(setter.set, DEVICE, None, {"exit1": {"litter": 9.0}})
    assert not eventually(lambda: len(session.told) > 1, 0.3)
    taken = replace(HELD, split="auto")
    assert waited(session, 1, taken, first) == taken
    refused = replace(taken, refused="thresholds: got 9.0")
    assert waited(session, 2, refused, second) == refused
    assert session.told == [WISH, replace(WISH, thresholds={"exit1": {"litter": 9.0}}), WISH]


def test_a_wish_that_fails_gives_its_turn_on(lively: Fleet, operators: ThreadPoolExecutor) -> None:
    """Because it is too long, or because the broker is away."""
    setter, session = lively
    session.limit_bytes = 0
    with pytest.raises(TooLarge):
        setter.set(DEVICE, "auto", {})
    session.limit_bytes, session.is_connected = 10_000, False
    with pytest.raises(BrokerError, match="the broker is away, so nothing was set"):
        setter.set(DEVICE, "auto", {})
    session.is_connected = True
    taken = replace(HELD, split="auto")
    assert waited(session, 1, taken, operators.submit(setter.set, DEVICE, "auto", {})) == taken


def test_an_answer_to_an_earlier_wish_is_not_taken_for_this_ones(silent: Fleet) -> None:
    """The device is slow: its word on the first comes after the second was sent, which it then refuses."""
    setter, session = silent
    assert setter.set(DEVICE, "auto", {}) is None
    assert setter.set(DEVICE, None, {"exit1": {"litter": 9.0}}) is None
    session.say(replace(HELD, split="auto"))
    session.refuse()
    assert session.told[-1] == BEFORE


def test_a_first_greeting_is_no_answer(silent: Fleet) -> None:
    """Of a device that had said nothing before, and whose word on the first wish comes after the second was sent."""
    setter, session = silent
    setter._applied.clear()
    assert setter.set(DEVICE, "device", {}) is None
    session.say(replace(HELD, split="add"))
    assert setter.set(DEVICE, "block_99", {}) is None
    session.say(replace(HELD, split="device"))
    session.refuse()
    assert session.told[-1] == BEFORE


def test_a_cut_point_by_number_is_answered_by_its_name(lively: Fleet, operators: ThreadPoolExecutor) -> None:
    """Which the site cannot know; so is what is wanted after it."""
    setter, session = lively
    now = replace(HELD, split="block_1_add")
    session.say(now)
    taken = replace(now, split="block_5_add", codec="native")
    assert waited(session, 1, taken, operators.submit(setter.set, DEVICE, "#5", {})) == taken
    taken = replace(taken, thresholds={"exit1": {"litter": 0.5}})
    wish = operators.submit(setter.set, DEVICE, None, {"exit1": {"litter": 0.5}})
    assert waited(session, 2, taken, wish) == taken
