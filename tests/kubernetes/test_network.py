"""The cluster lets through what the networks of compose.yaml let through, and nothing else."""

from __future__ import annotations

import pytest

from tests.kubernetes.cluster import OURS, OVERLAYS, composed, of_kind, pods
from tests.kubernetes.network import ELSEWHERE, may_connect

SERVED = {"broker": {1883, 8883}, "store": {6379}}
"""Who is connected to, and where: what their images expose."""
PORTS = {53, 1883, 8883, 6379, 8050, 9464, 18083, 4370, 5369, 5370, 443}
AMONG_BROKERS = {4370, 5369, 5370}


def allowed(overlay: str) -> set[tuple[str, str, int]]:
    """Return (from, to, port) of everything that is let through between pods of ours."""
    found = pods(overlay)
    return {
        (source.component, target.component, port)
        for source in found
        for target in found
        for port in PORTS
        if may_connect(overlay, source, target, port)
    }


def edges_of_compose(present: set[str]) -> set[tuple[str, str, int]]:
    """Return the same of compose.yaml: whoever shares a network with a server, but for the servers, is its client."""
    services = composed()["services"]
    return {
        (client, server, port)
        for server, ports in SERVED.items()
        for client in services
        if client not in SERVED and set(services[client]["networks"]) & set(services[server]["networks"])
        if {client, server} <= present
        for port in ports
    }


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_edges_are_those_of_compose(overlay: str) -> None:
    """Worker, site and device reach the broker, worker and site the store; brokers of a cluster one another."""
    present = {one.component for one in pods(overlay)}
    assert {"worker", "visualizer", "broker", "store"} <= present <= OURS
    expected = edges_of_compose(present)
    assert ("visualizer", "store", 6379) in expected
    assert ("edge", "store", 6379) not in expected
    if overlay != "development":
        expected |= {("broker", "broker", port) for port in AMONG_BROKERS}
    assert allowed(overlay) == expected


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_from_elsewhere_only_devices_come_in(overlay: str) -> None:
    """To the broker's encrypted port, where it is published; the site, which asks for no password, is not."""
    found = {
        (target.component, port) for target in pods(overlay) for port in PORTS
        if may_connect(overlay, ELSEWHERE, target, port)
    }  # fmt: skip
    assert found == (set() if overlay == "development" else {("broker", 8883)})
    published = {
        (one["metadata"]["name"], port["port"])
        for one in of_kind(overlay, "Service")
        if one["spec"].get("type", "ClusterIP") != "ClusterIP"
        for port in one["spec"]["ports"]
    }
    assert published == found


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_out_of_the_cluster_only_names_are_asked_for(overlay: str) -> None:
    """At port 53, wherever a cluster's names are answered: a cache of the node's is no pod."""
    for source in pods(overlay):
        assert {port for port in PORTS if may_connect(overlay, source, ELSEWHERE, port)} == {53}, source.owner


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_pod_is_denied_first(overlay: str) -> None:
    """One policy selects all pods in both directions and allows nothing; names can be asked for by all."""
    found = {one["metadata"]["name"]: one["spec"] for one in of_kind(overlay, "NetworkPolicy")}
    assert found["nobody"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert found["names"]["podSelector"] == {}
    assert {(port["protocol"], port["port"]) for port in found["names"]["egress"][0]["ports"]} == {
        ("UDP", 53), ("TCP", 53),
    }  # fmt: skip
