"""Who may talk to whom, as NetworkPolicies say it.

Source: kubernetes.io, concepts, Network Policies: a pod that no policy of a direction selects is free in it; one that
is selected may do what any of these policies allows; a connection needs the right of both its ends.
"""

from __future__ import annotations

from typing import Any

from tests.kubernetes.cluster import Object, Pods, matches, of_kind

ELSEWHERE = None
"""Somebody outside the cluster."""


def may_connect(overlay: str, source: Pods | None, target: Pods | None, port: int) -> bool:
    """Tell whether a TCP connection from and to these pods, or elsewhere, at that port is let through."""
    policies = of_kind(overlay, "NetworkPolicy")
    leaves = source is None or _lets(policies, "Egress", source, target, port)
    return leaves and (target is None or _lets(policies, "Ingress", target, source, port))


def _lets(policies: list[Object], direction: str, pod: Pods, peer: Pods | None, port: int) -> bool:
    selecting = [
        policy["spec"]
        for policy in policies
        if direction in policy["spec"]["policyTypes"] and matches(policy["spec"]["podSelector"], pod.labels)
    ]
    key, peers = ("egress", "to") if direction == "Egress" else ("ingress", "from")
    rules = [rule for spec in selecting for rule in spec.get(key, [])]
    return not selecting or any(_is_peer(rule.get(peers), peer) and _has_port(rule, port) for rule in rules)


def _is_peer(wanted: list[Object] | None, peer: Pods | None) -> bool:
    """Tell whether a rule means this peer; one that names nobody means everybody, another namespace none of ours."""
    if wanted is None:
        return True
    if peer is None:
        return False
    return any("namespaceSelector" not in one and matches(one.get("podSelector"), peer.labels) for one in wanted)


def _has_port(rule: Object, port: int) -> bool:
    ports: list[dict[str, Any]] = rule["ports"]
    return any(one["protocol"] == "TCP" and one["port"] <= port <= one.get("endPort", one["port"]) for one in ports)
