"""What the overlays of kubernetes/ are once Kustomize has put them together, read as a cluster would."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.servers import need

ROOT = Path(__file__).parents[2]
OVERLAYS = ("development", "operators", "keda")
NAMESPACE = "headwater"
COMPONENT = "app.kubernetes.io/component"
OURS = {"worker", "visualizer", "edge", "broker", "store"}
"""Components, named like the services of compose.yaml."""
OPERATED = {"EMQX": (8883, 18083, 4370, 5369, 5370), "Redis": (6379,)}
"""Kinds of which an operator makes pods, and the ports that those listen on."""

Object = dict[str, Any]


def kustomize() -> list[str]:
    """Return the program that builds an overlay; without one skip the test, or fail it when CI is set."""
    folders = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    for name, word in (("kubectl", "kustomize"), ("kustomize", "build")):
        if found := shutil.which(name, path=folders):
            return [found, word]
    what = "neither kubectl nor kustomize is installed"
    if os.environ.get("CI"):
        pytest.fail(f"{what}, and CI is set; see .ci/run", pytrace=False)
    pytest.skip(what)


@functools.cache
def tree() -> Path:
    """Return a copy of kubernetes/ with secrets of its own; git's copy stays without."""
    need("openssl")
    folder = Path(tempfile.mkdtemp(prefix="headwater-kubernetes-"))
    ignored = shutil.ignore_patterns("secrets")
    shutil.copytree(ROOT / "kubernetes", folder / "kubernetes", ignore=ignored)
    for name in ("kustomization.yaml", "tls/kustomization.yaml"):
        copy = folder / "kubernetes/secrets" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "kubernetes/secrets" / name, copy)
    (folder / "compose").mkdir()
    for name in ("make-secrets", "make-certificates"):
        shutil.copy(ROOT / "compose" / name, folder / "compose" / name)
    make_secrets("broker.example", "203.0.113.10", folder=folder)
    return folder


def make_secrets(*names: str, folder: Path) -> None:
    """Run kubernetes/make-secrets in a copy."""
    subprocess.run([folder / "kubernetes/make-secrets", *names], check=True, capture_output=True, timeout=60)


@functools.cache
def text_of(overlay: str) -> str:
    """Return what Kustomize makes of an overlay."""
    command = [*kustomize(), str(tree() / "kubernetes/overlays" / overlay)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, ""), f"{command}: {done.stderr}"
    return done.stdout


@functools.cache
def objects(overlay: str) -> tuple[Object, ...]:
    """Return the objects of an overlay."""
    return tuple(one for one in yaml.safe_load_all(text_of(overlay)) if one)


def of_kind(overlay: str, *kinds: str) -> list[Object]:
    """Return the objects of an overlay that are of these kinds."""
    return [one for one in objects(overlay) if one["kind"] in kinds]


def names(overlay: str, *kinds: str) -> set[str]:
    """Return the names of the objects of these kinds."""
    return {one["metadata"]["name"] for one in of_kind(overlay, *kinds)}


def one(overlay: str, kind: str, name: str) -> Object:
    """Return one object."""
    (found,) = (found for found in of_kind(overlay, kind) if found["metadata"]["name"] == name)
    return found


@dataclass(frozen=True)
class Pods:
    """Alike pods: what makes them, their labels, and the ports that their containers name or listen on."""

    owner: str
    labels: dict[str, str]
    ports: dict[str | int, int]
    spec: Object | None = None
    """None where an operator writes it."""

    @property
    def component(self) -> str:
        """Return which of OURS they are."""
        return self.labels[COMPONENT]


def pods(overlay: str) -> list[Pods]:
    """Return all pods of an overlay, those that operators make included."""
    return [_templated(one) for one in of_kind(overlay, "Deployment", "StatefulSet")] + [
        Pods(one["kind"], _operated_labels(one), {port: port for port in OPERATED[one["kind"]]})
        for one in of_kind(overlay, *OPERATED)
    ]


def own_pods(overlay: str) -> list[tuple[Pods, Object]]:
    """Return the pods whose specification is ours, with their only container."""
    found = [one for one in pods(overlay) if one.spec]
    return [(one, one.spec["containers"][0]) for one in found if one.spec and len(one.spec["containers"]) == 1]


def _templated(owner: Object) -> Pods:
    template = owner["spec"]["template"]
    ports: dict[str | int, int] = {}
    for container in template["spec"]["containers"]:
        for port in container.get("ports", []):
            ports |= {port["name"]: port["containerPort"], port["containerPort"]: port["containerPort"]}
    return Pods(owner["metadata"]["name"], template["metadata"]["labels"], ports, template["spec"])


def _operated_labels(owner: Object) -> dict[str, str]:
    """Return the labels that an operator gives its pods: EMQX's the template's, Redis's the resource's own."""
    if owner["kind"] == "EMQX":
        labels: dict[str, str] = owner["spec"]["coreTemplate"]["metadata"]["labels"]
        return labels
    return dict(owner["metadata"]["labels"])


def matches(selector: Object | None, labels: dict[str, str]) -> bool:
    """Tell whether a label selector takes these labels; an empty one takes all, none takes none."""
    if selector is None:
        return False
    for wanted in selector.get("matchExpressions", []):
        assert wanted["operator"] == "In", wanted
        if labels.get(wanted["key"]) not in wanted["values"]:
            return False
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())


def walk(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Object]]:
    """Return every mapping in a value, with the keys that lead to it."""
    if isinstance(value, dict):
        yield path, value
        for key, inner in value.items():
            yield from walk(inner, (*path, key))
    elif isinstance(value, list):
        for inner in value:
            yield from walk(inner, path)


@functools.cache
def composed() -> Object:
    """Return compose.yaml, as it is while no variable is set."""
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", (ROOT / "compose/compose.yaml").read_text())
    found: Object = yaml.safe_load(text)
    return found
