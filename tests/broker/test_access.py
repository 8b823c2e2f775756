"""Access lists for fleets, made from the one that ships."""

from __future__ import annotations

import re

import pytest

from broker.access import Fleet, access_list, shipped_access
from headwater.cli import main
from headwater.errors import SettingsError


def rights(text: str) -> dict[str, list[str]]:
    """Return the lines of each user; those of patterns under an empty name."""
    found: dict[str, list[str]] = {"": []}
    user = ""
    for line in text.splitlines():
        if line.startswith("user "):
            user = line.removeprefix("user ")
            found[user] = []
        elif line.startswith("pattern "):
            found[""].append(line)
        elif line.startswith("topic "):
            found[user].append(line.removeprefix("topic "))
    return found


def test_every_right_names_its_fleet() -> None:
    """No wildcard stands where a fleet would; each role and each device is a user of its own."""
    found = rights(access_list([Fleet("demo", ("camera-1", "camera-2")), Fleet("harbour", ("quay-1",))]))
    roles = {"worker", "visualizer", "top", "operator", "homeassistant"}
    devices = {"camera-1": "demo", "camera-2": "demo", "quay-1": "harbour"}
    assert set(found) == {"", *devices, *(f"{role}-{fleet}" for role in roles for fleet in ("demo", "harbour"))}
    assert found[""] == []
    for user, lines in found.items():
        fleet = devices.get(user) or user.partition("-")[2]
        for line in lines:
            _, topic = line.split()
            assert topic == "homeassistant/status" or re.match(rf"(headwater/v1|homeassistant/device)/{fleet}/", topic)


def test_a_device_may_what_the_shipped_list_lets_it() -> None:
    """Its own topics in its own fleet, line by line."""
    found = rights(access_list([Fleet("demo", ("camera-1",))]))
    shipped = [line for line in shipped_access().splitlines() if line.startswith("pattern ")]
    assert found["camera-1"] == [line.removeprefix("pattern ").replace("/+/%u", "/demo/camera-1") for line in shipped]
    assert "write headwater/v1/demo/camera-1/frame" in found["camera-1"]


def test_a_fleet_without_devices_takes_whoever_has_a_user() -> None:
    """As a device of that user's own name, and in that fleet alone."""
    found = rights(access_list([Fleet("demo")]))
    assert "pattern write headwater/v1/demo/%u/frame" in found[""]
    assert all("/+/%u" not in line for line in found[""])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "fleets: got none"),
        (["de/mo"], "fleet: got 'de/mo'"),
        (["demo=camera+1"], r"device: got 'camera\+1'"),
        (["demo="], "device: got ''"),
        (["demo=a", "demo=b"], "users: homeassistant-demo, operator-demo, .* would mean two things"),
        (["demo=a", "harbour=a"], "users: a would mean two things"),
        (["demo=a", "harbour"], "fleets: got harbour without devices beside others"),
        (["demo=worker-demo"], "users: worker-demo would mean two things"),
    ],
)
def test_names_that_cannot_be_are_refused(words: list[str], message: str) -> None:
    """A user is one thing, and a name can stand in a topic."""
    with pytest.raises(SettingsError, match=message):
        access_list([Fleet.parse(one) for one in words])


def test_the_command_prints_the_list_and_how_it_was_made(capsys: pytest.CaptureFixture[str]) -> None:
    """The first line repeats the call."""
    with pytest.raises(SystemExit) as ended:
        main(["broker", "access", "demo=camera-1,camera-2", "harbour=quay-1"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert "headwater broker access demo=camera-1,camera-2 harbour=quay-1\n" in out
    assert out == access_list([Fleet("demo", ("camera-1", "camera-2")), Fleet("harbour", ("quay-1",))])
