"""The Docker engine that tests in containers need, and what they ask it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.edge.data import DATA

ROOT = Path(__file__).parents[2]
PROJECT = "headwater-test"
VARIABLES = {"PROJECT": PROJECT, "TAG": "test", "SITE": "127.0.0.1:0", "OVERLAYS": "../tests/containers/stream"}
BUILD_S = 900.0
STREET = {"PICTURES": str(DATA / "street"), "LOCATION": "exif"}
"""Photographs of streets, with their positions; not on every machine."""
IN_THE_IMAGE: dict[str, str] = {}
"""What the project shows by itself: its device's own four photographs, with positions that are made up."""
STORED = """
import json, os
import redis
password = open("/run/secrets/visualizer_password").readline().strip()
entries = redis.Redis("store", username="visualizer", password=password).xrange("headwater:demo:results")
records = [json.loads(fields[b"record"]) for _, fields in entries]
print(json.dumps([[r["device"], r["boot"], r["sequence"], r["worker"]] for r in records]))
"""
"""What the site's container is given to run: it says device, boot, sequence and worker of every record in the store."""
TOLD = "import urllib.request as ask; print(ask.urlopen('http://127.0.0.1:9464/metrics', timeout=5).read().decode())"


def need_engine() -> None:
    """Pass where an engine answers; else skip the test, or fail it when CI is set."""
    if shutil.which("docker") and run("docker", "info", check=False).returncode == 0:
        return
    what = "no Docker engine answers; compose/test/with-engine starts one for a command, as root"
    if os.environ.get("CI"):
        pytest.fail(f"{what}, and CI is set", pytrace=False)
    pytest.skip(what)


def pictures() -> dict[str, str]:
    """Return what tells the project's device of real pictures: the street's, else those in its image."""
    return STREET if Path(STREET["PICTURES"]).is_dir() else IN_THE_IMAGE


def run(
    *command: str,
    check: bool = True,
    deadline_s: float = 120.0,
    given: str = "",
    variables: Mapping[str, str] = VARIABLES,
) -> subprocess.CompletedProcess[str]:
    """Return how a command ended; fail with what it said when it did not end well."""
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **variables}, input=given, capture_output=True, text=True,
        timeout=deadline_s, check=False,
    )  # fmt: skip
    assert not check or done.returncode == 0, f"{command}: status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def metrics(service: str) -> dict[str, float]:
    """Return the figures without labels that a service's container tells of itself."""
    text = compose("exec", "-T", service, "python", "-c", TOLD)
    found = (line.split() for line in text.splitlines() if line and not line.startswith("#") and "{" not in line)
    return {name: float(value) for name, value in found}


def compose(*arguments: str, deadline_s: float = 120.0, given: str = "", **variables: str) -> str:
    """Return what Compose said on stdout."""
    return run(
        "compose/compose", *arguments, deadline_s=deadline_s, given=given, variables={**VARIABLES, **variables}
    ).stdout


def containers(service: str | None = None) -> list[dict[str, Any]]:
    """Return what the engine knows of the project's containers, or of those of one service."""
    wanted = [f"com.docker.compose.project={PROJECT}"]
    wanted += [f"com.docker.compose.service={service}"] if service else []
    filters = [text for label in wanted for text in ("--filter", f"label={label}")]
    names = run("docker", "ps", "--all", "--quiet", *filters).stdout.split()
    if not names:
        return []
    inspected = run("docker", "inspect", *names, check=False).stdout  # one may have gone meanwhile
    found: list[dict[str, Any]] = json.loads(inspected or "[]")
    return found


def end(device: str) -> dict[str, Any]:
    """Tell a device's container to stop, and wait until it has; return what it counted."""
    run("docker", "kill", "--signal", "TERM", device)
    assert run("docker", "wait", device).stdout.strip() == "0"
    found: dict[str, Any] = json.loads(run("docker", "logs", device).stdout.splitlines()[-1])
    return found


def left_over(kind: str) -> list[str]:
    """Return the names of the project's networks or volumes."""
    label = f"label=com.docker.compose.project={PROJECT}"
    return run("docker", kind, "ls", "--quiet", "--filter", label).stdout.split()
