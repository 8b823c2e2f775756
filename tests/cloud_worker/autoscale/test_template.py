"""One more container is like the others, but for what must be its own."""

from __future__ import annotations

from typing import Any

import pytest

from cloud_worker.autoscale.template import OURS, Container, fixed, plan, stop_within_s
from headwater.errors import EngineError
from tests.cloud_worker.autoscale.containers import ID_1, inspected, labels


def test_a_copy_has_everything_of_the_other() -> None:
    """Image, variables, command, health check, user, limits, mounts, security: all that the engine keeps."""
    found = inspected()
    made = plan(found, 3, "headwater/worker:0.1.0")
    assert made.config["HostConfig"] == found["HostConfig"]
    own = {"Labels", "Hostname", "HostConfig", "NetworkingConfig"}
    assert {key: made.config[key] for key in made.config if key not in own} == {
        key: value for key, value in found["Config"].items() if key not in own
    }


@pytest.mark.parametrize(("separator", "name"), [("_", "headwater_worker_3"), ("-", "headwater-worker-3")])
def test_a_copy_is_one_of_compose_s(separator: str, name: str) -> None:
    """Labels with the next number and our own, the name as that Compose gives it, its own host name."""
    made = plan(inspected(separator, config_Labels=labels(1) | {"com.docker.compose.replace": "x"}), 3, "i")
    assert made.name == name
    assert made.config["Labels"] == labels(3) | {OURS: "made"}
    assert (made.config["Hostname"], made.config["Image"]) == ("", "i")


def test_a_host_name_that_somebody_gave_stays() -> None:
    """It is not the container's own id."""
    assert plan(inspected(config_Hostname="tail"), 2, "i").config["Hostname"] == "tail"
    assert plan(inspected(config_Hostname=""), 2, "i").config["Hostname"] == ""


@pytest.mark.parametrize(
    ("mode", "first", "other"),
    [
        ("headwater_messages", "headwater_messages", "headwater_records"),
        ("f00", "headwater_records", "headwater_messages"),
    ],
)
def test_the_network_of_its_making_comes_first(mode: str, first: str, other: str) -> None:
    """By its name or by its id."""
    made = plan(inspected(NetworkMode=mode), 2, "i")
    assert list(made.config["NetworkingConfig"]["EndpointsConfig"]) == [first]
    assert list(made.networks) == [other]


@pytest.mark.parametrize(("separator", "known"), [("_", ["worker"]), ("-", ["headwater-worker-2", "worker"])])
def test_a_copy_is_in_the_same_networks_under_its_own_name(separator: str, known: list[str]) -> None:
    """The network of its making first, as the engine takes one at a time; no address or id of the other goes along."""
    made = plan(inspected(separator), 2, "i")
    assert made.config["NetworkingConfig"] == {"EndpointsConfig": {"headwater_messages": {"Aliases": known}}}
    assert made.networks == {"headwater_records": {"Aliases": known}}


def test_a_container_without_networks_of_its_own_is_copied_too() -> None:
    """The engine's default network knows no aliases."""
    found = inspected(NetworkMode="default")
    found["NetworkSettings"]["Networks"] = {"bridge": {"Aliases": None, "IPAMConfig": None}}
    assert plan(found, 2, "i").config["NetworkingConfig"] == {"EndpointsConfig": {"bridge": {}}}
    found["NetworkSettings"]["Networks"] = {}
    assert "NetworkingConfig" not in plan(found, 2, "i").config


def test_copying_changes_nothing_of_the_other() -> None:
    """What was found is only read."""
    found, same = inspected(), inspected()
    made = plan(found, 2, "i")
    made.config["HostConfig"]["Binds"].append("more")
    made.config["NetworkingConfig"]["EndpointsConfig"]["headwater_messages"]["Aliases"].append("more")
    assert found == same


def with_network(**known: Any) -> dict[str, Any]:
    found = inspected()
    found["NetworkSettings"]["Networks"]["headwater_records"] |= known
    return found


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (inspected() | {"Name": "/tail"}, "container_name is tail"),
        (inspected() | {"Name": "/headwater_worker_2"}, "container_name is headwater_worker_2"),
        (inspected(NetworkMode="host"), "network_mode is host"),
        (inspected(NetworkMode="container:abc"), "network_mode is container:abc"),
        (inspected(PortBindings={"9464/tcp": [{"HostIp": "", "HostPort": "9464"}]}), "9464/tcp at port 9464"),
        (with_network(IPAMConfig={"IPv4Address": "172.30.0.7"}), "fixed address in the network headwater_records"),
        (with_network(Links=["store:db"]), "it has links"),
        (inspected(config_MacAddress="02:42:ac:12:00:03"), "mac_address is 02:42"),
    ],
)
def test_what_cannot_be_there_twice_is_refused(found: dict[str, Any], words: str) -> None:
    """With what it is and what to do."""
    assert words in fixed(found)
    with pytest.raises(EngineError, match=r"service worker cannot be scaled: .*; "):
        plan(found, 2, "i")


@pytest.mark.parametrize("port", ["", "0", "8000-8010"])
def test_ports_that_the_engine_chooses_are_no_hindrance(port: str) -> None:
    """Any free one, or one of a range."""
    assert fixed(inspected(PortBindings={"9464/tcp": [{"HostIp": "127.0.0.1", "HostPort": port}], "1/tcp": None})) == ""


def test_the_time_to_stop_is_the_compose_file_s() -> None:
    """Else the engine's own."""
    assert stop_within_s(inspected()) == 20
    assert stop_within_s(inspected(config_StopTimeout=None)) == 10
    assert stop_within_s(inspected(config_StopTimeout=0)) == 0


def test_a_listed_container_is_read() -> None:
    """Its number and who made it stand in its labels."""
    listed = {"Id": ID_1, "Names": ["/a_b_2"], "State": "running", "Created": 5, "Labels": labels(2)}
    assert Container.listed(listed) == Container(ID_1, "a_b_2", 2, "running", 5, False)
    assert Container.listed(listed | {"Labels": labels(2) | {OURS: "made"}}).is_ours
