"""Kustomize puts the overlays together, Kubernetes' own schemas take them, and what they name is there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest

from headwater.sight import Sight
from headwater.verdict import Verdict
from tests.headwater.test_sight import Process, asked, serving
from tests.kubernetes.cluster import (
    NAMESPACE,
    OPERATED,
    OURS,
    OVERLAYS,
    ROOT,
    Object,
    composed,
    matches,
    names,
    objects,
    of_kind,
    one,
    own_pods,
    pods,
    walk,
)

CUSTOM = {*OPERATED, "ScaledObject"}
OLDEST, NEWEST = "1.30", kubernetes_validate.latest_version()
CLUSTER_WIDE = {"Namespace"}
DOCKERFILES = {
    "worker": "cloud_worker/Dockerfile",
    "visualizer": "visualizer/Dockerfile",
    "edge": "edge/Dockerfile",
    "broker": "broker/Dockerfile",
    "store": "compose/store/Dockerfile",
}
COMMANDS = {"worker": "worker", "visualizer": "visualizer", "edge": "edge"}
"""The command of each component of Python."""
NOT_OURS = {"SSL_CERT_FILE", "BROKER_USERS"}
"""Variables that Python and broker/container/start read."""
BYTES = {"Mi": 2**20, "Gi": 2**30, "M": 2**20}
"""Compose's M is Kubernetes' Mi."""


def settings() -> dict[str, set[str]]:
    """Return every variable of docs/variables.md, with the commands that have it."""
    rows = re.findall(r"^\| `(HEADWATER_\w+)` \| `[\w-]+` \| (.*) \|$", (ROOT / "docs/variables.md").read_text(), re.M)
    return {name: set(re.findall(r"\[([\w -]+)\]", commands)) for name, commands in rows}


def quantity(text: str) -> float:
    """Return a quantity in cores or bytes."""
    if text.endswith("m"):
        return float(text[:-1]) / 1000
    number, unit = re.fullmatch(r"([\d.]+)([A-Za-z]*)", text).groups()  # type: ignore[union-attr]
    return float(number) * BYTES.get(unit, 1)


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kubernetes_takes_it(overlay: str, version: str) -> None:
    """By the schemas of two versions, no field that is not theirs; each object once, all in one namespace."""
    found = objects(overlay)
    for thing in found:
        if thing["kind"] not in CUSTOM:
            kubernetes_validate.validate(thing, version, strict=True)
        assert thing["metadata"].get("namespace") == (None if thing["kind"] in CLUSTER_WIDE else NAMESPACE), thing
    ids = [(thing["kind"], thing["metadata"]["name"]) for thing in found]
    assert len(set(ids)) == len(ids)
    assert ("Namespace", NAMESPACE) in ids


def test_the_validator_would_see_a_wrong_field() -> None:
    """A misspelt key, a wrong type and an unknown kind are refused."""
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": [{"name": "a"}]}}
    kubernetes_validate.validate(pod, NEWEST, strict=True)
    for wrong in ({"readOnlyRootFileSystem": True}, {"runAsUser": "root"}):
        spec = {"containers": [{"name": "a", "securityContext": wrong}]}
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate({**pod, "spec": spec}, NEWEST, strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_pod_is_held_in(overlay: str) -> None:
    """The profile `restricted`, and more: a read-only root, no token, no variables of services, bounds."""
    assert len(own_pods(overlay)) == len([one for one in pods(overlay) if one.spec]) >= 2
    for pod, container in own_pods(overlay):
        spec = pod.spec or {}
        assert (spec["automountServiceAccountToken"], spec["enableServiceLinks"]) == (False, False), pod.owner
        assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & set(spec)
        context = spec["securityContext"]
        assert (context["runAsNonRoot"], context["runAsUser"], context["fsGroup"]) == (True, 10001, 10001)
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        }  # fmt: skip
        for what in ("requests", "limits"):
            assert set(container["resources"][what]) == {"cpu", "memory"}, pod.owner
        assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container), pod.owner
        mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
        assert mounts["secrets"]["readOnly"] is True
        assert not any(volume.keys() & {"hostPath"} for volume in spec["volumes"])
        assert {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}} in spec["volumes"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_namespace_enforces_what_holds(overlay: str) -> None:
    """All of it where all pods are ours; where operators make pods, that is warned about and not enforced."""
    labels = one(overlay, "Namespace", NAMESPACE)["metadata"]["labels"]
    levels = {key.removeprefix("pod-security.kubernetes.io/"): level for key, level in labels.items() if "pod-" in key}
    enforced = "restricted" if overlay == "development" else "baseline"
    assert levels == {"enforce": enforced, "warn": "restricted"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_is_named_is_there(overlay: str) -> None:
    """Secrets with their keys, ConfigMaps, Services of StatefulSets, service accounts; every volume that is mounted."""
    secrets = {thing["metadata"]["name"]: set(thing["data"]) for thing in of_kind(overlay, "Secret")}
    for path, found in [pair for thing in objects(overlay) for pair in walk(thing)]:
        where = path[-1] if path else ""
        if where == "secret" and not found.get("optional"):
            assert found.get("name", found.get("secretName")) in secrets, found
        if where in ("secretKeyRef", "redisSecret"):
            assert found["key"] in secrets[found["name"]]
        if where in ("configMapRef", "configMap"):
            assert found["name"] in names(overlay, "ConfigMap")
        if "additionalRedisConfig" in found:
            assert found["additionalRedisConfig"] in names(overlay, "ConfigMap")
        if "serviceAccountName" in found:
            assert found["serviceAccountName"] in names(overlay, "ServiceAccount")
    for thing in of_kind(overlay, "StatefulSet"):
        assert thing["spec"]["serviceName"] in names(overlay, "Service")
    for pod, container in own_pods(overlay):
        volumes = (pod.spec or {})["volumes"]
        owner = [thing for thing in of_kind(overlay, "StatefulSet") if thing["metadata"]["name"] == pod.owner]
        claimed = [claim["metadata"] for thing in owner for claim in thing["spec"].get("volumeClaimTemplates", [])]
        assert {mount["name"] for mount in container["volumeMounts"]} == {one["name"] for one in volumes + claimed}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_pod_sees_the_passwords_it_needs_and_no_other(overlay: str) -> None:
    """The files are those that its variables, and the scripts of its image, name; the device has none of the store."""
    by_script = {"broker": {"edge_password", "worker_password", "visualizer_password"}, "store": {"store_password"}}
    for pod, container in own_pods(overlay):
        variables = [one for one in container.get("env", []) if one["name"].endswith("PASSWORD_FILE")]
        needed = {Path(variable["value"]).name for variable in variables} | by_script.get(pod.component, set())
        encrypted = overlay != "development" and pod.component in COMMANDS
        assert secret_files(overlay, pod.spec or {}) == needed | ({"ca"} if encrypted else set()), pod.owner


def secret_files(overlay: str, spec: Object) -> set[str]:
    """Return the files of a pod's volume `secrets`, but for those of Secrets that are not there."""
    (volume,) = (volume for volume in spec["volumes"] if volume["name"] == "secrets")
    secrets = {thing["metadata"]["name"]: set(thing["data"]) for thing in of_kind(overlay, "Secret")}
    sources = [source["secret"]["name"] for source in volume["projected"]["sources"]]
    return set().union(*(secrets.get(name, set()) for name in sources))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_selectors_select(overlay: str) -> None:
    """Every owner its own pods alone, every Service pods that listen there, every budget and policy some."""
    found = pods(overlay)
    for thing in of_kind(overlay, "Deployment", "StatefulSet"):
        mine = [pod.owner for pod in found if matches(thing["spec"]["selector"], pod.labels)]
        assert mine == [thing["metadata"]["name"]]
    for thing in of_kind(overlay, "Service"):
        (pod,) = [pod for pod in found if matches({"matchLabels": thing["spec"]["selector"]}, pod.labels)]
        for port in thing["spec"]["ports"]:
            assert port["targetPort"] in pod.ports, thing["metadata"]["name"]
    for thing in of_kind(overlay, "PodDisruptionBudget"):
        assert any(matches(thing["spec"]["selector"], pod.labels) for pod in found), thing["metadata"]["name"]
    for pod in found:
        for constraint in (pod.spec or {}).get("topologySpreadConstraints", []):
            assert matches(constraint["labelSelector"], pod.labels)
    for thing in of_kind(overlay, "NetworkPolicy"):
        assert any(matches(thing["spec"]["podSelector"], pod.labels) for pod in found), thing["metadata"]["name"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_addresses_in_the_variables_are_services(overlay: str) -> None:
    """Broker and store under the names and ports of their Services; what is encrypted goes to the encrypted port."""
    (config,) = (one for one in of_kind(overlay, "ConfigMap") if one["metadata"]["name"].startswith("headwater-"))
    encrypted = overlay != "development"
    assert config["data"]["HEADWATER_BROKER"] == ("mqtts://broker" if encrypted else "mqtt://broker")
    assert config["data"]["HEADWATER_STORE"] == ("rediss://store" if encrypted else "redis://store")
    assert {"HEADWATER_CA_FILE", "SSL_CERT_FILE"} <= set(config["data"]) or not encrypted
    ports = [port["port"] for port in one(overlay, "Service", "broker")["spec"]["ports"]]
    assert ports == [8883 if encrypted else 1883]
    served = names(overlay, "Service") | names(overlay, "Redis")  # an operator makes a Service of its resource's name
    assert {"broker", "store"} <= served


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_variables_are_settings_of_their_command(overlay: str) -> None:
    """As docs/variables.md has them; a misspelt one would keep the process from starting."""
    known = settings()
    assert len(known) > 50
    for thing in of_kind(overlay, "ConfigMap"):
        shared = [name for name in thing["data"] if name.isupper()]
        assert [name for name in shared if name not in known.keys() | NOT_OURS] == []
    for pod, container in own_pods(overlay):
        for variable in container.get("env", []):
            name = variable["name"]
            if name not in NOT_OURS:
                assert COMMANDS[pod.component] in known[name], (pod.owner, name)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_probes_and_ports_are_those_of_the_images(overlay: str) -> None:
    """The Dockerfile exposes the ports, the server behind --metrics answers the paths, the scripts are in the image."""
    process = Process()
    process.verdict = Verdict("worker", "w1", (), None, 1.0)
    assert isinstance(process.sight(), Sight)
    with serving(process) as port:
        answered = {path for path in ("/health", "/alive", "/healthz", "/ready") if asked(port, path)[0] == 200}
    assert answered == {"/health", "/alive"}
    for pod, container in own_pods(overlay):
        dockerfile = (ROOT / DOCKERFILES[pod.component]).read_text()
        exposed = {int(port) for line in re.findall(r"^EXPOSE (.+)$", dockerfile, re.M) for port in line.split()}
        assert set(pod.ports.values()) <= exposed, pod.owner
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            probe = container[kind]
            if "httpGet" in probe:
                assert probe["httpGet"]["path"] in answered
                assert pod.ports[probe["httpGet"]["port"]] == 9464
            elif "exec" in probe:
                (script,) = probe["exec"]["command"]
                assert (
                    f'HEALTHCHECK --interval=10s --timeout=6s --start-period=10s --retries=3 CMD ["{script}"]'
                    in dockerfile
                )
            else:
                assert probe["tcpSocket"]["port"] in pod.ports
        if pod.component in COMMANDS:
            assert container["livenessProbe"]["httpGet"]["path"] == "/alive"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_images_limits_and_words_are_those_of_compose(overlay: str) -> None:
    """Said twice, for two programs, and the same."""
    for pod, container in own_pods(overlay):
        assert pod.component in OURS
        service = composed()["services"][pod.component]
        assert container["image"] == re.sub(r"\$\{\w+:-([\w.]*)\}", r"\1", service["image"])
        limits = service["deploy"]["resources"]["limits"]
        for what, key in (("cpu", "cpus"), ("memory", "memory")):
            assert quantity(container["resources"]["limits"][what]) == quantity(limits[key]), pod.owner
            assert quantity(container["resources"]["requests"][what]) <= quantity(limits[key])
        said = {one["name"]: one.get("value") for one in container.get("env", [])}
        for name in ("HEADWATER_USERNAME", "HEADWATER_PASSWORD_FILE", "BROKER_USERS"):
            assert said.get(name) == service.get("environment", {}).get(name), (pod.owner, name)
        if pod.component in {"worker", "visualizer"}:  # of users of the store only compose knows
            assert said["HEADWATER_STORE_PASSWORD_FILE"] == "/run/secrets/store_password"
        grace_s = int(service.get("stop_grace_period", "10s").removesuffix("s"))
        assert (pod.spec or {})["terminationGracePeriodSeconds"] >= grace_s
        targets = [volume.rpartition(":")[2] for volume in service.get("volumes", []) if isinstance(volume, str)]
        mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
        assert {target for target in targets if target.startswith("/") and ":" not in target} <= mounted | {"/pictures"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_workers_are_replaced_one_after_the_other(overlay: str) -> None:
    """A new one is well before an old one goes, nodes are emptied one by one, and their number has one owner."""
    worker = one(overlay, "Deployment", "worker")["spec"]
    assert worker["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert one(overlay, "PodDisruptionBudget", "worker")["spec"]["maxUnavailable"] == 1
    owners = of_kind(overlay, "HorizontalPodAutoscaler", "ScaledObject")
    assert [owner["kind"] for owner in owners] == {
        "development": [], "operators": ["HorizontalPodAutoscaler"], "keda": ["ScaledObject"],
    }[overlay]  # fmt: skip
    assert ("replicas" in worker) is (owners == [])
    for owner in owners:
        spec = owner["spec"]
        target = spec["scaleTargetRef"]
        assert target["name"] in names(overlay, target["kind"])
        assert 2 <= spec.get("minReplicas", spec.get("minReplicaCount")) < spec.get("maxReplicas", 10) + 1


def test_git_knows_no_secret() -> None:
    """Whatever make-secrets writes is ignored; what says how Secrets are made is not."""
    for name in ("edge_password", "tls/broker_key", "tls/broker_users.csv"):
        done = subprocess.run(["git", "check-ignore", "-q", f"kubernetes/secrets/{name}"], cwd=ROOT, check=False)
        assert done.returncode == 0, name
    for name in ("kustomization.yaml", "tls/kustomization.yaml"):
        done = subprocess.run(["git", "check-ignore", "-q", f"kubernetes/secrets/{name}"], cwd=ROOT, check=False)
        assert done.returncode == 1, name
