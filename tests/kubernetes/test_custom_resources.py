"""Resources of EMQX's and Redis's operators and of KEDA have the fields that these know, and say what we mean."""

from __future__ import annotations

import copy
import re
from typing import Any

import jsonschema
import kubernetes_validate
import pytest

from tests.kubernetes.cluster import OVERLAYS, ROOT, composed, of_kind, one
from tests.kubernetes.custom_resources import SCHEMAS, check
from tests.metrics_page import told

NEWEST = kubernetes_validate.latest_version()
FOUND = [(overlay, kind) for overlay in OVERLAYS if overlay != "development" for kind in SCHEMAS]


@pytest.mark.parametrize(("overlay", "kind"), [pair for pair in FOUND if pair != ("operators", "ScaledObject")])
def test_the_fields_are_known(overlay: str, kind: str) -> None:
    """One of each kind, and nothing in it that its operator would drop silently."""
    (resource,) = of_kind(overlay, kind)
    check(resource, NEWEST)


def wrong(resource: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return a copy with another value at a path."""
    changed = copy.deepcopy(resource)
    *keys, last = path.split(".")
    inner = changed
    for key in keys:
        inner = inner[key]
    inner[last] = value
    return changed


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("EMQX", "spec.replicas", 3),
        ("EMQX", "apiVersion", "apps.emqx.io/v2alpha1"),
        ("EMQX", "spec.coreTemplate.spec.resources", {"limit": {"cpu": "1"}}),
        ("Redis", "spec.redisConfig.maxmemory", "1gb"),
        ("Redis", "spec.podSecurityContext", {"runAsUsers": 1000}),
        ("ScaledObject", "spec.minReplicas", 2),
        ("ScaledObject", "spec.advanced.horizontalPodAutoscalerConfig.behavior", {"scaleUp": {"policy": []}}),
    ],
)
def test_a_wrong_field_would_be_seen(kind: str, path: str, value: Any) -> None:
    """In the resource, and in what is of Kubernetes inside it."""
    (resource,) = of_kind("keda", kind)
    with pytest.raises((jsonschema.ValidationError, kubernetes_validate.ValidationError)):
        check(wrong(resource, path, value), NEWEST)


def test_emqx_has_the_limits_of_mosquitto() -> None:
    """Packets, frames in flight and waiting: broker/mosquitto.conf's. TLS alone, users from the secret."""
    (resource,) = of_kind("operators", "EMQX")
    said = resource["spec"]["config"]["data"]
    settings = dict(re.findall(r"^([\w.]+) = (\S+)$", said, re.M))
    conf = dict(re.findall(r"^(max_\w+) (\d+)$", (ROOT / "broker/mosquitto.conf").read_text(), re.M))
    assert int(settings["mqtt.max_packet_size"].removesuffix("MB")) * 2**20 == int(conf["max_packet_size"])
    assert settings["mqtt.max_inflight"] == conf["max_inflight_messages"]
    assert settings["mqtt.max_mqueue_len"] == conf["max_queued_messages"]
    assert {name for name, value in settings.items() if value == "false"} == {
        f"listeners.{kind}.default.enable" for kind in ("tcp", "ws", "wss")
    }
    core = resource["spec"]["coreTemplate"]["spec"]
    (mount,) = core["extraVolumeMounts"]
    secrets = {thing["metadata"]["name"]: set(thing["data"]) for thing in of_kind("operators", "Secret")}
    (volume,) = core["extraVolumes"]
    maps = {thing["metadata"]["name"]: set(thing["data"]) for thing in of_kind("operators", "ConfigMap")}
    kinds = [(kind, what["name"]) for source in volume["projected"]["sources"] for kind, what in source.items()]
    there = {key for kind, name in kinds for key in (maps if kind == "configMap" else secrets)[name]}
    named = re.findall(r'(?:certfile|keyfile|bootstrap_file|path) = "(.+)/([\w.]+)"', said)
    assert {folder for folder, _ in named} == {mount["mountPath"]}
    assert {file for _, file in named} == there == {"broker_certificate", "broker_key", "broker_users.csv", "acl.conf"}
    assert 'bind = "0.0.0.0:8883"' in said


def test_redis_keeps_what_ours_keeps() -> None:
    """Its memory, and what happens when that is full, are those of compose/store/store.conf; its volume lasts."""
    ours = dict(re.findall(r"^(\w+(?:-\w+)?) (.+)$", (ROOT / "compose/store/store.conf").read_text(), re.M))
    said = one("operators", "ConfigMap", "store")["data"]["redis-additional.conf"]
    theirs = dict(re.findall(r"^(\w+(?:-\w+)?) (.+)$", said, re.M))
    assert theirs
    assert {key: ours[key] for key in theirs} == theirs
    assert {"maxmemory", "maxmemory-policy", "appendfsync"} <= set(theirs)
    (resource,) = of_kind("operators", "Redis")
    assert resource["spec"]["storage"]["volumeClaimTemplate"]["spec"]["accessModes"] == ["ReadWriteOnce"]
    limits = composed()["services"]["store"]["deploy"]["resources"]["limits"]
    assert resource["spec"]["kubernetesConfig"]["resources"]["limits"]["memory"] == limits["memory"].replace("M", "Mi")


def test_keda_asks_for_a_figure_that_workers_tell() -> None:
    """Its name is in docs/metrics.md, a gauge without labels of its own; the namespace is the overlay's."""
    (resource,) = of_kind("keda", "ScaledObject")
    (trigger,) = resource["spec"]["triggers"]
    query = trigger["metadata"]["query"]
    ((name, labels),) = re.findall(r"(headwater_\w+)\{(.*?)\}", query)
    assert told("worker")[name] == ("gauge", ())
    assert labels == 'namespace="headwater"'
    assert float(trigger["metadata"]["threshold"]) == 8
    inflight = re.search(r"^mqtt.max_inflight = (\d+)$", of_kind("keda", "EMQX")[0]["spec"]["config"]["data"], re.M)
    assert inflight is not None
    most = resource["spec"]["maxReplicaCount"] / resource["spec"]["minReplicaCount"]
    assert int(inflight[1]) >= most * 8  # the fewest workers with full inboxes ask for all of them
    assert query.count("(") == query.count(")")
    annotations = one("keda", "Deployment", "worker")["spec"]["template"]["metadata"]["annotations"]
    assert annotations == {"prometheus.io/scrape": "true", "prometheus.io/port": "9464"}
