"""Access lists for mosquitto that hold each fleet apart, made from the one that ships."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from headwater.errors import SettingsError
from headwater.topics import checked_name

HEADER = """# Who may do what, for these fleets alone: {fleets}. Written by: headwater broker access {arguments}
# Each role is a user of its own in every fleet, such as worker-{first}. What is not said here is forbidden.
"""


@dataclass(frozen=True)
class Fleet:
    """A fleet and its devices; one alone may have none: then every user may speak in it as a device of its own name."""

    name: str
    devices: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Fleet:
        """Return the fleet in `FLEET` or `FLEET=DEVICE,DEVICE`. Raises: SettingsError."""
        name, mark, listed = text.partition("=")
        devices = tuple(dict.fromkeys(listed.split(","))) if mark else ()
        checked_name("fleet", name)
        for device in devices:
            checked_name("device", device)
        return cls(name, devices)

    def __str__(self) -> str:
        return f"{self.name}={','.join(self.devices)}" if self.devices else self.name


def shipped_access() -> str:
    """Return the access list that ships, for all fleets at once."""
    return files("broker").joinpath("acl").read_text()


def access_list(fleets: Sequence[Fleet]) -> str:
    """Return an access list in which nobody reaches beyond a fleet. Raises: SettingsError where names clash."""
    if not fleets:
        raise SettingsError("fleets: got none, expected at least one, such as demo or demo=camera-1,camera-2")
    patterns, roles = _parts(shipped_access())
    _check_names(fleets, list(roles))
    parts = [
        HEADER.format(fleets=", ".join(one.name for one in fleets), arguments=_words(fleets), first=fleets[0].name)
    ]
    for fleet in fleets:
        own = [_within(line, fleet.name) for line in patterns]
        if not fleet.devices:
            parts.append("\n".join([f"# Every user, as a device of its own name in {fleet.name}.", *own, ""]))
        for device in fleet.devices:
            named = (line.replace("pattern ", "topic ").replace("%u", device) for line in own)
            parts.append("\n".join([f"user {device}", *named, ""]))
        for role, lines in roles.items():
            parts.append("\n".join([f"user {role}-{fleet.name}", *(_within(line, fleet.name) for line in lines), ""]))
    return "\n".join(parts)


def _parts(text: str) -> tuple[list[str], dict[str, list[str]]]:
    """Return the lines for every device, and those of each other user."""
    patterns: list[str] = []
    roles: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("pattern "):
            patterns.append(line)
        elif line.startswith("user "):
            roles[line.removeprefix("user ")] = []
        elif line.startswith("topic "):
            roles[next(reversed(roles))].append(line)
    return patterns, roles


def _within(line: str, fleet: str) -> str:
    """Return a line of the shipped list with the one fleet where it says any."""
    for any_fleet, one in (
        ("headwater/v1/+/", f"headwater/v1/{fleet}/"),
        ("homeassistant/device/+/", f"homeassistant/device/{fleet}/"),
        ("homeassistant/#", f"homeassistant/device/{fleet}/#"),
    ):
        line = line.replace(any_fleet, one)
    return line


def _check_names(fleets: Sequence[Fleet], roles: Sequence[str]) -> None:
    """Pass if no user means two things, and none reaches into a fleet not its own. Raises: SettingsError."""
    users = [f"{role}-{fleet.name}" for fleet in fleets for role in roles]
    users += [device for fleet in fleets for device in fleet.devices]
    open_ = next((fleet.name for fleet in fleets if not fleet.devices), None)
    if open_ is not None and len(fleets) > 1:
        raise SettingsError(
            f"fleets: got {open_} without devices beside others, and every user of theirs could speak in it; name its"
            f" devices, {open_}=DEVICE,…, or give it a list of its own"
        )
    twice = sorted({user for user in users if users.count(user) > 1})
    if twice:
        raise SettingsError(f"users: {', '.join(twice)} would mean two things; give each device and fleet its own name")


def _words(fleets: Sequence[Fleet]) -> str:
    return " ".join(map(str, fleets))
