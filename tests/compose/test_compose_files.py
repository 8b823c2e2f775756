"""The compose files and Dockerfiles hold what they promise, without an engine."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from cloud_worker.settings import WorkerSettings
from headwater.health import ALIVE, place
from tests.servers import need
from visualizer.door.proxies import LOOPBACK

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "compose"
FILES = sorted(COMPOSE.glob("*.yaml"))
SERVICES = {"broker", "store", "worker", "visualizer", "edge"}
DOCKERFILES = [
    "edge/Dockerfile",
    "cloud_worker/Dockerfile",
    "visualizer/Dockerfile",
    "broker/Dockerfile",
    "compose/store/Dockerfile",
]
STACK_KEYS = {
    *("build", "cap_drop", "command", "depends_on", "deploy", "environment", "image", "init", "logging", "networks"),
    *("ports", "read_only", "restart", "secrets", "security_opt", "stop_grace_period", "tmpfs", "volumes"),
}  # fmt: skip
"""Of what `docker stack deploy` takes, what we use. Source: docker/cli, compose/schema/data/config_schema_v3.8.json."""
NEEDED = {"TRACES": "http://collector.example:4318", "MODELS": "/models", "MODEL": "street"}
"""Variables that an overlay asks for."""
PINNED = re.compile(r"^(?:python:3\.11\.\d+-slim-bookworm|eclipse-mosquitto:2\.0\.\d+|redis:7\.4\.\d+-alpine)$")
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools_scm"]["fallback_version"][
    : -len(".dev0")
]
"""What is worked towards: that of the newest changelog."""


def read(name: str) -> dict[str, Any]:
    """Return a compose file with its anchors resolved."""
    found: dict[str, Any] = yaml.safe_load((COMPOSE / name).read_text())
    return found


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    """The file that all three programs read."""
    return read("compose.yaml")


def test_every_service_is_held_in(whole: dict[str, Any]) -> None:
    """Read-only, no capability, no new privilege, bounded, started again; nothing privileged, no host's network."""
    assert set(whole["services"]) == SERVICES
    for name, service in whole["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["restart"] == "unless-stopped", name
        assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}, name
        assert not {"privileged", "network_mode", "pid", "ipc", "cap_add", "container_name"} & set(service), name


def test_the_file_says_only_what_a_swarm_understands(whole: dict[str, Any]) -> None:
    """`docker stack deploy` refuses keys such as cpus and mem_limit, and publishes ports on every address."""
    assert whole["version"] == "3.8"
    assert {key for key in whole if not key.startswith("x-")} <= {
        "version",
        "services",
        "networks",
        "volumes",
        "secrets",
    }
    for name, service in whole["services"].items():
        assert set(service) <= STACK_KEYS, name
        assert isinstance(service.get("depends_on", []), list), name
        assert "ports" not in service, name


def test_one_machine_gets_the_same_limits_and_the_site_on_loopback(whole: dict[str, Any]) -> None:
    """What is said twice, for two programs, is the same."""
    override = read("compose.override.yaml")["services"]
    assert set(override) == SERVICES
    for name, service in override.items():
        limits = whole["services"][name]["deploy"]["resources"]["limits"]
        assert (float(limits["cpus"]), limits["memory"]) == (service["cpus"], service["mem_limit"]), name
    assert override["visualizer"]["ports"] == ["${SITE:-127.0.0.1:8050}:8050"]
    assert [name for name, service in override.items() if "ports" in service] == ["visualizer"]


@pytest.mark.parametrize("of", ["compose", "observability"])
def test_processes_are_bounded_in_the_words_of_either_compose(of: str) -> None:
    """Compose v2 refuses `pids_limit` beside `deploy`, docker-compose 1 `pids` in it; both say the same number."""
    limited = read(f"{of}.override.yaml")["services"]
    one = {name: service["pids_limit"] for name, service in read(f"{of}.1.yaml")["services"].items()}
    two = read(f"{of}.2.yaml")["services"]
    assert two == {name: {"deploy": {"resources": {"limits": {"pids": count}}}} for name, count in one.items()}
    assert set(one) == set(limited)
    assert all(64 <= count <= 256 for count in one.values())
    assert not any("pids_limit" in service for service in limited.values())


def test_a_swarm_keeps_on_one_node_what_has_a_volume(whole: dict[str, Any]) -> None:
    """Broker, store and device by the label of swarm.yaml; workers and site go anywhere, workers one by one."""
    services = read("swarm.yaml")["services"]
    assert services["worker"].pop("deploy") == {"replicas": "${WORKERS:-1}"}
    kept = {name: service["deploy"] for name, service in services.items() if "deploy" in service}
    with_volume = {
        name
        for name, service in whole["services"].items()
        if any(isinstance(one, str) and one.partition(":")[0] in whole["volumes"] for one in service["volumes"])
    }
    assert set(kept) == with_volume == {"broker", "store", "edge"}
    for service in kept.values():
        assert service == {"placement": {"constraints": ["node.labels.headwater == keeps"]}}
    worker = whole["services"]["worker"]
    assert worker["deploy"]["update_config"] == {"order": "start-first", "failure_action": "rollback"}
    assert worker["stop_grace_period"] == "20s"


def test_a_swarm_asks_whether_a_restart_helps_and_compose_whether_all_is_well(whole: dict[str, Any]) -> None:
    """A swarm kills who is unwell, so it asks /alive; Compose only shows it: the images' own check, of /health."""
    checks = {name: service.get("healthcheck") for name, service in read("swarm.yaml")["services"].items()}
    assert set(checks) == SERVICES
    assert all(set(checks[name]) == {"interval", "timeout"} for name in ("broker", "store"))  # the image's own, sooner
    for name, dockerfile in (("edge", "edge"), ("worker", "cloud_worker"), ("visualizer", "visualizer")):
        program, url = checks[name]["test"][1:-1], checks[name]["test"][-1]
        own = re.search(r"^HEALTHCHECK .* CMD (\[.*\])$", (ROOT / dockerfile / "Dockerfile").read_text(), re.MULTILINE)
        assert own is not None
        assert program == json.loads(own[1])
        port = re.search(r"HEADWATER_METRICS=(\d+)", (ROOT / dockerfile / "Dockerfile").read_text())
        assert port is not None
        assert place(url) == ("127.0.0.1", int(port[1]), ALIVE)
    assert not any("healthcheck" in service for service in whole["services"].values())


def test_images_can_come_from_a_registry(whole: dict[str, Any]) -> None:
    """One name for all programs, with a registry before it and a version behind it that can be said."""
    for name, service in whole["services"].items():
        assert service["image"] == f"${{REGISTRY:-}}headwater/{name}:${{TAG:-{VERSION}}}"


def test_the_store_and_what_is_kept_in_it_can_be_made_larger(whole: dict[str, Any]) -> None:
    """By default as many records as a worker keeps by itself; the store's memory is one variable for both programs."""
    assert whole["services"]["worker"]["environment"]["HEADWATER_HISTORY"] == f"${{HISTORY:-{WorkerSettings.history}}}"
    assert whole["services"]["store"]["deploy"]["resources"]["limits"]["memory"] == "${STORE_MEMORY:-512M}"
    assert "maxmemory 256mb" in (COMPOSE / "store/store.conf").read_text().splitlines()  # half of that


def test_the_overlay_for_a_model_gives_it_to_device_and_workers(whole: dict[str, Any]) -> None:
    """The same folder, read-only; where the device and the workers look for bundles, and that of nobody else."""
    services = read("model.yaml")["services"]
    assert set(services) == {"worker", "edge"}
    folders = {name: service["volumes"] for name, service in services.items()}
    assert folders["worker"] == folders["edge"]
    assert re.fullmatch(r"\$\{MODELS:\?[^:}]+\}:/bundles:ro", folders["edge"][0])
    assert services["worker"]["environment"] == {"HEADWATER_BUNDLES": "/bundles"}
    assert services["edge"]["environment"]["HEADWATER_BUNDLE"].startswith("/bundles/${MODEL:?")
    assert "--bundle" not in whole["services"]["edge"]["command"]


def test_the_overlay_for_a_camera_differs_in_the_source_alone(whole: dict[str, Any]) -> None:
    """The device file goes in, with the group that may read it; no position is made up for a real camera."""
    (edge,) = read("camera.yaml")["services"].values()
    words = list(whole["services"]["edge"]["command"])
    words[words.index("/pictures")] = "${CAMERA:-/dev/video0}"
    words.remove("--loop")
    assert edge["command"] == words
    assert (edge["devices"], edge["group_add"]) == (["${CAMERA:-/dev/video0}"], ["${VIDEO_GROUP:-44}"])
    assert edge["environment"] == {"HEADWATER_LOCATION": "${LOCATION:-}"}


def test_passwords_are_files(whole: dict[str, Any]) -> None:
    """No variable holds one; every secret is a file that git does not know."""
    for name, service in whole["services"].items():
        said = [key for key in service.get("environment", {}) if "PASSWORD" in key and not key.endswith("_FILE")]
        assert said == [], name
        assert set(service["secrets"]) <= set(whole["secrets"]), name
    assert all(secret["file"].startswith("./secrets/") for secret in whole["secrets"].values())
    assert "compose/secrets/" in (ROOT / ".gitignore").read_text().splitlines()


def test_the_overlay_for_a_login_closes_the_site(whole: dict[str, Any]) -> None:
    """Open is said where only this machine is let in; the overlay takes that back and names a secret."""
    assert whole["services"]["visualizer"]["environment"]["HEADWATER_OPEN_TO_ALL"] == "true"
    overlay = read("login.yaml")
    (site,) = overlay["services"].values()
    assert site["environment"] == {
        "HEADWATER_OPEN_TO_ALL": "false",
        "HEADWATER_USERS": "/run/secrets/site_users",
        "HEADWATER_PUBLIC_NAME": "${PUBLIC_NAME:-}",
        "HEADWATER_TRUSTED_PROXY": f"${{TRUSTED_PROXY:-{LOOPBACK}}}",
    }
    assert site["secrets"] == list(overlay["secrets"]) == ["site_users"]


def test_every_version_that_is_said_is_the_one_that_is_worked_towards() -> None:
    """Of our images: in what is deployed, in scripts and on pages; a release changes them all."""
    ours = re.compile(r"headwater/(?:broker|store|worker|visualizer|edge)[\w-]*:(?:\$\{TAG:-)?(\d[\w.]*)")
    built = re.compile(r"^\s*(?:ARG )?VERSION(?:: |=)(\d[\w.]*)$", re.MULTILINE)
    folders = ("compose", "kubernetes", "docs", "broker", "edge", "cloud_worker", "visualizer")
    names = subprocess.run(["git", "ls-files", *folders], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = re.findall(r"^.+(?:\.yaml|\.md|/Dockerfile[\w.]*)$|^compose/test/.+$", names, re.MULTILINE)
    said = {name: {*ours.findall(text), *built.findall(text)} for name in files if (text := (ROOT / name).read_text())}
    assert all(
        said[name] for name in ("compose/compose.yaml", "kubernetes/base/worker.yaml", "docs/devices.md", *DOCKERFILES)
    )
    assert {name: versions for name, versions in said.items() if versions - {VERSION}} == {}


@pytest.mark.parametrize("name", [*DOCKERFILES, "edge/Dockerfile.gstreamer"])
def test_dockerfiles_are_pinned_labelled_and_checked(name: str) -> None:
    """A base with a version, another user than root, a health check, the version of the project."""
    text = (ROOT / name).read_text()
    bases = dict(re.findall(r"^ARG (\w+_IMAGE)=(\S+)$", text, re.MULTILINE))
    assert all(PINNED.match(base) or base == f"headwater/edge:{VERSION}" for base in bases.values())
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) <= {"scratch", *(f"${{{name}}}" for name in bases)}
    assert re.findall(r"^USER (\S+)$", text, re.MULTILINE)[-1] == "10001:10001"
    assert len(re.findall(r"^HEALTHCHECK ", text, re.MULTILINE)) == 1
    assert f"ARG VERSION={VERSION}\n" in text
    assert {"title", "description", "version", "revision", "licenses", "base.name"} == set(
        re.findall(r"org\.opencontainers\.image\.([\w.]+)=", text)
    )
    (named,) = re.findall(r'base\.name="docker\.io/library/(.+)"$', text, re.MULTILINE)
    assert named in bases.values()
    assert "# syntax=" not in text


@pytest.mark.parametrize("name", ["broker", "store", "edge"])
def test_what_is_kept_is_kept_in_a_folder_of_ours(whole: dict[str, Any], name: str) -> None:
    """Not in a volume that the base declares: the last stage begins empty, and all who mount mean the same folder."""
    place = next(file for file in DOCKERFILES if name in file)
    last = (ROOT / place).read_text().split("\nFROM ")[-1]
    assert last.startswith("scratch\n")
    assert "\nVOLUME " not in last
    assert "\nWORKDIR /var/lib/headwater\n" in last
    mounted = [one for one in whole["services"][name]["volumes"] if isinstance(one, str)]
    assert [one.partition(":")[2] for one in mounted if not one.startswith("${PICTURES")] == ["/var/lib/headwater"]
    if name == "edge":
        return
    assert "mkdir -p /var/lib/headwater && chown 10001:10001 /var/lib/headwater" in last
    (pod,) = (
        one["spec"]["template"]["spec"]["containers"][0]
        for one in yaml.safe_load_all((ROOT / f"kubernetes/components/plain/{name}.yaml").read_text())
        if one["kind"] == "StatefulSet"
    )
    assert {"name": "data", "mountPath": "/var/lib/headwater"} in pod["volumeMounts"]
    said = {"broker": "broker/container/start", "store": "compose/store/store.conf"}[name]
    assert re.search(
        r"^(?:dir |.*persistence_location )/var/lib/headwater/?\b", (ROOT / said).read_text(), re.MULTILINE
    )


def test_the_images_of_our_parts_are_built_alike() -> None:
    """Edge, worker and site differ in extra, modules, pictures, ports, command and words, in nothing else."""
    own = re.compile(
        r"install-dependencies|--output|images/compile|/pictures|EXPOSE|CMD \[\"headwater|title|description|^# The"
    )
    alike = []
    for name in DOCKERFILES[:3]:
        stages = re.split(r"^(?=FROM )", (ROOT / name).read_text(), flags=re.MULTILINE)
        lines = [line for stage in stages if "AS pictures" not in stage for line in stage.splitlines()]
        alike.append([line for line in lines if line and not own.search(line)])
    assert len(alike[0]) > 20
    assert alike[0] == alike[1] == alike[2]


def test_the_overlay_for_traces_gives_images_the_extra_and_processes_the_address() -> None:
    """The three parts that tell of frames, with an extra that there is; the share is the device's to decide."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    services = read("traces.yaml")["services"]
    assert set(services) == {"worker", "visualizer", "edge"}
    for name, service in services.items():
        assert service["build"]["args"]["EXTRAS"] in extras
        assert service["environment"]["HEADWATER_TRACES"].startswith("${TRACES:?"), name
        assert ("HEADWATER_TRACE_SHARE" in service["environment"]) == (name == "edge")
    asked = re.compile(r"^ARG EXTRAS=\n.*install-dependencies \S+ \w+ \$EXTRAS$", re.MULTILINE)
    assert all(asked.search((ROOT / name).read_text()) for name in DOCKERFILES[:3])


def test_only_what_is_named_goes_into_an_image() -> None:
    """The build context is a list of what may, not of what may not."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    for line in lines:
        if line.startswith("!"):
            assert (ROOT / line[1:]).exists(), line
    assert not any(line.startswith(("!tests", "!.git", "!compose/secrets")) or line == "!compose" for line in lines)


@pytest.mark.parametrize(
    "overlay", [None, *(path.stem for path in FILES if path.name != "compose.yaml" and "." not in path.stem)]
)
def test_docker_compose_takes_them(overlay: str | None) -> None:
    """docker-compose 1.29 reads compose.yaml with each overlay, and with what one machine adds to both."""
    program = need("docker-compose")
    names = ["compose", overlay] if overlay else ["compose"]
    with_override = [f"{name}{more}" for name in names for more in ("", ".override", ".1")]
    for files in (names, [name for name in with_override if (COMPOSE / f"{name}.yaml").exists()]):
        flags = [text for name in files for text in ("--file", f"{name}.yaml")]
        done = subprocess.run(
            [program, *flags, "config", "--quiet"], cwd=COMPOSE, capture_output=True, text=True, check=False,
            env={**os.environ, **NEEDED},
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, ""), files
