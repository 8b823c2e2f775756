"""What Home Assistant is told of a device: by its own rules, under names that it takes, and only when it is wanted."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from edge import commands
from edge.commands import EdgeSettings
from edge.control import Control
from edge.home_assistant import Told, checked_prefix, discovery, discovery_topic, plain
from edge.plan import Plan
from edge.splits import cut_points
from headwater import cli
from headwater.errors import SettingsError
from headwater.messages import (
    VERSION,
    FinishedCounts,
    SettingsApplied,
    SettingsChange,
    Status,
    decode_json,
    encode_json,
)
from headwater.topics import Topics
from models.engine import Engine
from planning.decide import Limits
from tests.edge.home_assistant_rules import checked, command, rendered
from tests.edge.samples import tiny_bundle
from tests.headwater.samples import STATUS

TOPICS = Topics("demo")
TOLD = Told("cam1", "litter", ("auto", "image", "device", "block_5_add"), has_exits=True, has_temperature=True)
GONE = Status(VERSION, "cam1", online=False, since_ns=STATUS.since_ns, sent_ns=STATUS.since_ns)


def components(told: Told = TOLD) -> dict[str, dict[str, Any]]:
    """Return what Home Assistant makes of the message."""
    payload = json.dumps(discovery(TOPICS, told)).encode()
    return checked(discovery_topic("homeassistant", TOPICS, told.name), payload)


def states(status: Status) -> dict[str, str]:
    """Return what every component of the status shows."""
    payload = encode_json(status)
    return {
        key: rendered(one["value_template"], payload)
        for key, one in components().items()
        if one["state_topic"] == TOPICS.of_device("cam1", "status")
    }


def test_the_message_keeps_to_home_assistant_s_rules() -> None:
    """Topic, device, origin and every component; what a device can never have is left out."""
    every = {
        "connected", "frames_per_s", "finished", "last_finished", "split", "dropped", "in_flight", "spool",
        "round_trip", "left_early", "temperature", "set_split",
    }  # fmt: skip
    assert components().keys() == every
    plain_one = components(Told("cam1", "litter", ("auto",), has_exits=False, has_temperature=False))
    assert plain_one.keys() == every - {"left_early", "temperature"}


def test_figures_are_those_of_the_status() -> None:
    """Each template finds its figure in the message that the device publishes anyway."""
    status = replace(
        STATUS, finished=FinishedCounts(4, 27), exits={"exit1": 2, "exit2": 1}, dropped={"overflow": 1, "expired": 2},
        in_flight=3, spool_bytes=4711,
    )  # fmt: skip
    assert states(status) == {
        "connected": "ON", "frames_per_s": "4.5", "finished": "31", "split": "block_5_add", "dropped": "3",
        "in_flight": "3", "spool": "4711", "round_trip": "1.25", "left_early": "3", "temperature": "61.5",
        "last_finished": str(datetime.fromtimestamp(1_789_990_000, UTC)),
    }  # fmt: skip


def test_a_will_tells_that_the_device_is_gone_and_no_figure() -> None:
    """Numbers stay as they are (an empty text is passed over), so that no meter seems to have begun again."""
    found = states(GONE)
    assert found.pop("connected") == "OFF"
    assert {key for key, state in found.items() if state == ""} == {
        "frames_per_s", "finished", "dropped", "in_flight", "spool", "left_early",
    }  # fmt: skip
    assert {key for key, state in found.items() if state == "None"} == {
        "split", "round_trip", "temperature", "last_finished",
    }  # fmt: skip


def test_what_nobody_knows_yet_is_unknown_and_nought_degrees_are_not() -> None:
    """None is Home Assistant's word for unknown."""
    new = replace(STATUS, link=None, last_finished_ns=None, temperature_c=0.0)
    found = states(new)
    assert (found["round_trip"], found["last_finished"], found["temperature"]) == ("None", "None", "0.0")


def test_all_is_unavailable_without_the_device_but_its_connection() -> None:
    """Availability is the status's own word; whether there is a connection can be told when there is none."""
    for key, one in components().items():
        assert one["availability_topic"] == TOPICS.of_device("cam1", "status")
        told = [rendered(one["availability_template"], encode_json(status)) for status in (STATUS, GONE)]
        assert told == (["online", "online"] if key == "connected" else ["online", "offline"]), key


@pytest.mark.parametrize("split", ["device", 'conv "a" \\ <b>', "ä/ö"])
def test_a_chosen_split_is_an_operator_s_word(split: str) -> None:
    """What is sent is a change that the device reads; a name may hold whatever a model's tensors are called."""
    select = components()["set_split"]
    assert (select["qos"], select["retain"]) == (1, True)
    assert select["command_topic"] == TOPICS.of_device("cam1", "settings")
    sent = command(select["command_template"], split)
    assert decode_json(SettingsChange, sent) == SettingsChange(VERSION, split=split)


@pytest.mark.parametrize("split", ["auto", "conv_a", "image", "device"])
def test_the_split_that_holds_is_one_that_can_be_chosen(tmp_path: Path, split: str) -> None:
    """Also where it was told as a place or a tensor, and without an operator ever having said anything."""
    bundle = tiny_bundle(tmp_path / "tiny")
    engine = Engine(bundle.model_path, outputs=bundle.finals)
    control = Control("cam1", bundle, engine, Plan(split, "auto", "all"), None, Limits())
    applied: SettingsApplied = control.applied()
    assert applied.refused is None
    assert rendered(components()["set_split"]["value_template"], encode_json(applied)) == split
    assert split in control.splits
    first = cut_points(engine.graph)[0]
    by_place = Control("cam1", bundle, engine, Plan(f"#{first.index}", "auto", "all"), None, Limits())
    assert by_place.applied().split == first.name


@pytest.mark.parametrize("name", ["cam1", "camera-1", "a_b", "A9"])
def test_names_that_home_assistant_takes_stay(name: str) -> None:
    """So that an access list can hold them against a user's name."""
    assert plain(name) == name


def test_names_with_dots_become_others_and_stay_apart() -> None:
    """A dot cannot stand in a discovery topic; cam.1 is neither cam_1 nor cam-1."""
    found = {plain(name) for name in ("cam.1", "cam_1", "cam-1", "cam..1", "cam.1.")}
    assert len(found) == 5
    for name in ("cam.1", "a" * 63 + ".", "1.2.3.4"):
        assert re.fullmatch(r"[a-zA-Z0-9_-]+", plain(name))
        checked(discovery_topic("p", Topics("f.1"), name), json.dumps(discovery(TOPICS, TOLD)).encode())


def test_devices_of_two_fleets_are_two() -> None:
    """Neither topic nor identity is shared, also where fleet and name together read alike."""
    first, second = Topics("a"), Topics("a_b")
    one = discovery(first, Told("b_c", "m", (), has_exits=False, has_temperature=False))
    other = discovery(second, Told("c", "m", (), has_exits=False, has_temperature=False))
    assert one["device"]["identifiers"] != other["device"]["identifiers"]
    assert discovery_topic("p", first, "b_c") != discovery_topic("p", second, "c")
    shared = {part["unique_id"] for part in one["components"].values()}
    assert shared.isdisjoint(part["unique_id"] for part in other["components"].values())


@pytest.mark.parametrize("prefix", ["homeassistant", "ha", "house/ha", "a b"])
def test_prefixes_that_can_begin_a_topic_pass(prefix: str) -> None:
    """One level or several."""
    assert checked_prefix(prefix) == prefix


@pytest.mark.parametrize("prefix", ["", "/ha", "ha/", "a//b", "ha/#", "+/ha", "$share", "a\0", "x" * 129])
def test_other_prefixes_are_refused_in_one_line(prefix: str) -> None:
    """The flag is named, and what to give instead."""
    with pytest.raises(SettingsError, match=r"--home-assistant-prefix: got .*such as homeassistant"):
        checked_prefix(prefix)


class Seen(Exception):
    """The settings that a device would be built from."""


@pytest.mark.parametrize(
    ("words", "variable", "wanted"),
    [
        ((), None, None),
        (("--home-assistant",), None, True),
        (("--no-home-assistant",), None, False),
        ((), "true", True),
        ((), "false", False),
        (("--no-home-assistant",), "true", False),
    ],
)
def test_it_is_asked_for_and_taken_back_by_flag_or_variable(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], variable: str | None, wanted: bool | None
) -> None:
    """Nothing said is neither of the two."""

    def seen(settings: EdgeSettings) -> None:
        raise Seen(settings)

    monkeypatch.setattr(commands, "build_device", seen)
    monkeypatch.setattr(commands, "configure_logging", lambda *_: None)
    if variable is not None:
        monkeypatch.setenv("HEADWATER_HOME_ASSISTANT", variable)
    with pytest.raises(Seen) as found:
        cli.run(["edge", "--source", "pattern:", *words])
    assert found.value.args[0].home_assistant is wanted
