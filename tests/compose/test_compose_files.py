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

from headwater.health import ALIVE, place
from tests.servers import need

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
PINNED = re.compile(r"^(?:python:3\.11-slim|eclipse-mosquitto:2|redis:7-alpine)$")


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
        assert service["pids_limit"] > 0, name
    assert override["visualizer"]["ports"] == ["${SITE:-127.0.0.1:8050}:8050"]
    assert [name for name, service in override.items() if "ports" in service] == ["visualizer"]


def test_a_swarm_keeps_on_one_node_what_has_a_volume(whole: dict[str, Any]) -> None:
    """Broker, store and device by the label of swarm.yaml; workers and site go anywhere, workers one by one."""
    services = read("swarm.yaml")["services"]
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
    assert {name for name, check in checks.items() if check} == {"worker", "visualizer", "edge"}
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
        assert service["image"] == f"${{REGISTRY:-}}headwater/{name}:${{TAG:-0.1.0}}"


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
    assert site["environment"] == {"HEADWATER_OPEN_TO_ALL": "false", "HEADWATER_USERS": "/run/secrets/site_users"}
    assert site["secrets"] == list(overlay["secrets"]) == ["site_users"]


@pytest.mark.parametrize("name", [*DOCKERFILES, "edge/Dockerfile.gstreamer"])
def test_dockerfiles_are_pinned_labelled_and_checked(name: str) -> None:
    """A base with a version, another user than root, a health check, the version of the project."""
    text = (ROOT / name).read_text()
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    version = tool["setuptools_scm"]["fallback_version"].removesuffix(".dev0")  # that of the newest changelog
    bases = dict(re.findall(r"^ARG (\w+_IMAGE)=(\S+)$", text, re.MULTILINE))
    assert all(PINNED.match(base) or base == f"headwater/edge:{version}" for base in bases.values())
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) <= {"scratch", *(f"${{{name}}}" for name in bases)}
    assert re.findall(r"^USER (\S+)$", text, re.MULTILINE)[-1] == "10001:10001"
    assert len(re.findall(r"^HEALTHCHECK ", text, re.MULTILINE)) == 1
    assert f"ARG VERSION={version}\n" in text
    assert {"title", "description", "version", "revision", "licenses", "base.name"} == set(
        re.findall(r"org\.opencontainers\.image\.([\w.]+)=", text)
    )
    assert "# syntax=" not in text


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
    "overlay", [None, *(path.stem for path in FILES if path.name != "compose.yaml" and ".override." not in path.name)]
)
def test_docker_compose_takes_them(overlay: str | None) -> None:
    """docker-compose 1.29 reads compose.yaml with each overlay, and with what one machine adds to both."""
    program = need("docker-compose")
    names = ["compose", overlay] if overlay else ["compose"]
    with_override = [f"{name}{more}" for name in names for more in ("", ".override")]
    for files in (names, [name for name in with_override if (COMPOSE / f"{name}.yaml").exists()]):
        flags = [text for name in files for text in ("--file", f"{name}.yaml")]
        done = subprocess.run(
            [program, *flags, "config", "--quiet"], cwd=COMPOSE, capture_output=True, text=True, check=False,
            env={**os.environ, "TRACES": "http://collector.example:4318"},
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, ""), files
