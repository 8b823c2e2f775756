"""One more container like those that Compose made: what the engine says of one in, what it is to be told out. Pure.

Compose finds its containers by their labels; both docker-compose 1.29 and Compose v2 do. What is copied is all that the
engine keeps of a container's making, so that limits, mounts, security options and health check are those of the others.
Source: Docker Engine API 1.41, ContainerInspect and ContainerCreate; docker-compose 1.29.2, compose/const.py;
Compose v2, pkg/api/labels.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final, Self

from headwater.errors import EngineError

PROJECT: Final = "com.docker.compose.project"
SERVICE: Final = "com.docker.compose.service"
NUMBER: Final = "com.docker.compose.container-number"
ONE_OFF: Final = "com.docker.compose.oneoff"
REPLACES: Final = "com.docker.compose.replace"
OURS: Final = "headwater.autoscale"
"""The label of the containers that we made."""
_SHORT_ID: Final = 12
_ENDPOINT: Final = ("Aliases", "DriverOpts")


@dataclass(frozen=True)
class Container:
    """One container of the service."""

    id: str
    name: str
    number: int
    state: str
    created_s: float
    """Seconds since 1970."""
    is_ours: bool
    """Made here, not by Compose."""

    @classmethod
    def listed(cls, one: Mapping[str, Any]) -> Self:
        """Return a container from an engine's list."""
        labels, names = one["Labels"], one.get("Names") or [one["Id"]]
        return cls(
            one["Id"],
            names[0].removeprefix("/"),
            int(labels.get(NUMBER, 0)),
            one["State"],
            one["Created"],
            OURS in labels,
        )


@dataclass(frozen=True)
class Plan:
    """How the next container is made."""

    name: str
    config: dict[str, Any]
    """The body of ContainerCreate; it knows one network."""
    networks: dict[str, dict[str, Any]]
    """The other networks, and how the container is known there."""


def plan(found: Mapping[str, Any], number: int, image: str) -> Plan:
    """Return how to make a container like the one found, under another number. Raises: EngineError."""
    why = fixed(found)
    if why:
        raise EngineError(f"service {_labels(found)[SERVICE]} cannot be scaled: {why}")
    name = f"{_base_name(found)}{number}"
    endpoints = {network: _endpoint(found, one, name) for network, one in _networks(found).items()}
    first = _first_network(found)
    config = deepcopy(dict(found["Config"]))
    config["Labels"] = {key: text for key, text in config["Labels"].items() if key != REPLACES}
    config["Labels"] |= {NUMBER: str(number), OURS: "made"}
    config["Image"] = image
    if found["Id"].startswith(config.get("Hostname") or "-"):
        config["Hostname"] = ""  # the engine's own choice: each gets its own
    config["HostConfig"] = deepcopy(found["HostConfig"])
    if first is not None:
        config["NetworkingConfig"] = {"EndpointsConfig": {first: endpoints.pop(first)}}
    return Plan(name, config, endpoints)


def fixed(found: Mapping[str, Any]) -> str:
    """Return what of a container cannot be there twice, as words; nothing where it can be copied."""
    return next(_fixed(found), "")


def _fixed(found: Mapping[str, Any]) -> Iterator[str]:
    host = found["HostConfig"]
    if not _base_name(found):
        yield f"its container_name is {_name(found)}; leave container_name out of the compose file"
    if host["NetworkMode"] == "host" or host["NetworkMode"].startswith("container:"):
        yield f"its network_mode is {host['NetworkMode']}; give it a network of its own"
    for inside, bindings in (host.get("PortBindings") or {}).items():
        for binding in bindings or ():
            if binding.get("HostPort", "") not in ("", "0") and "-" not in binding["HostPort"]:
                yield f"it publishes {inside} at port {binding['HostPort']} of the host; leave the host's port out"
    for network, one in _networks(found).items():
        ipam = one.get("IPAMConfig") or {}
        if ipam.get("IPv4Address") or ipam.get("IPv6Address"):
            yield f"it has a fixed address in the network {network}; leave the address out"
        if one.get("Links") or host.get("Links"):
            yield "it has links; put both services on one network instead"
    if found["Config"].get("MacAddress"):
        yield f"its mac_address is {found['Config']['MacAddress']}; leave mac_address out"


def stop_within_s(found: Mapping[str, Any]) -> int:
    """Return how long a container may take to stop: its stop_grace_period, else the engine's 10 s."""
    given = found["Config"].get("StopTimeout")
    return 10 if given is None else int(given)


def _first_network(found: Mapping[str, Any]) -> str | None:
    """Return the name of the network that the container was made with, which the engine may know by its id."""
    mode, networks = found["HostConfig"]["NetworkMode"], _networks(found)
    return next(
        (name for name, one in networks.items() if mode in (name, one.get("NetworkID"))), next(iter(networks), None)
    )


def _endpoint(found: Mapping[str, Any], one: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return how the new container is known in a network: as the other one, with its own name instead of that one's."""
    endpoint = {key: deepcopy(one[key]) for key in _ENDPOINT if one.get(key)}
    if "Aliases" in endpoint:
        others = {found["Id"][:_SHORT_ID]: None, _name(found): name}
        endpoint["Aliases"] = [alias for was in endpoint["Aliases"] if (alias := others.get(was, was)) is not None]
    return endpoint


def _base_name(found: Mapping[str, Any]) -> str:
    """Return the name without its number, as Compose gives names; empty where somebody else gave it."""
    labels = _labels(found)
    project, service = re.escape(labels[PROJECT].lstrip("-_")), re.escape(labels[SERVICE])
    matched = re.fullmatch(rf"({project}[-_]{service}[-_]){labels[NUMBER]}", _name(found))
    return matched[1] if matched else ""


def _name(found: Mapping[str, Any]) -> str:
    return str(found["Name"]).removeprefix("/")


def _labels(found: Mapping[str, Any]) -> Mapping[str, str]:
    labels: Mapping[str, str] = found["Config"]["Labels"]
    return labels


def _networks(found: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    networks: Mapping[str, Mapping[str, Any]] = found["NetworkSettings"].get("Networks") or {}
    return networks
