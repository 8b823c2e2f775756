"""What docs/operating.md says is so: a backup brings back the same frames, and two fleets live beside each other."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.containers.engine import BUILD_S, PROJECT, ROOT, STORED, VARIABLES, compose, run
from tests.servers import eventually

pytestmark = [pytest.mark.usefixtures("images"), pytest.mark.timeout(BUILD_S + 600)]
FIRST = {"FRAMES": "40"}
SECOND = {
    "FRAMES": "25", "PROJECT": f"{PROJECT}-second", "FLEET": "second", "STORE_MEMORY": "256M",
    "OVERLAYS": f"model {VARIABLES['OVERLAYS']}", "MODELS": str(ROOT / "models/bundles"), "MODEL": "litter",
}  # fmt: skip
SECRETS = ROOT / "compose/secrets"
SERVERS = ("broker", "store", "worker", "visualizer")


@pytest.fixture(scope="module")
def two_fleets() -> Iterator[None]:
    """Two projects at once, each with a device of its own that has ended."""
    run("compose/make-secrets")
    try:
        for fleet in (FIRST, SECOND):
            up(*SERVERS, "edge", **fleet)
        for fleet in (FIRST, SECOND):
            assert run("docker", "wait", container("edge", **fleet)).stdout.strip() == "0"
        yield
    finally:
        for fleet in (FIRST, SECOND):
            compose("down", "--volumes", "--timeout", "1", **fleet)


def up(*services: str, **variables: str) -> None:
    """Start these services with images that are there."""
    compose("up", "--detach", "--no-build", *services, **variables)


def container(service: str, **variables: str) -> str:
    """Return the id of a service's container, also of one that has ended."""
    return compose("ps", "--all", "--quiet", service, **variables).strip()


def is_well(service: str, **variables: str) -> bool:
    """Tell whether a service's container is well."""
    asked = ("docker", "inspect", "--format", "{{.State.Health.Status}}", container(service, **variables))
    return run(*asked).stdout.strip() == "healthy"


def stored(**fleet: str) -> list[list[Any]]:
    """Return what the store of a project has of that project's fleet."""
    script = STORED.replace("headwater:demo:", f"headwater:{fleet.get('FLEET', 'demo')}:")
    records: list[list[Any]] = json.loads(compose("exec", "-T", "visualizer", "python", "-", given=script, **fleet))
    return records


def test_two_fleets_live_beside_each_other(two_fleets: None) -> None:
    """Each has its own devices' frames in its own store; the second's device runs a bundle from a folder here."""
    assert (len(stored(**FIRST)), len(stored(**SECOND))) == (40, 25)


def test_half_of_the_store_s_memory_is_for_records(two_fleets: None) -> None:
    """As much as STORE_MEMORY says; without it, what store.conf says."""
    for fleet, bound in ((FIRST, 256 * 2**20), (SECOND, 128 * 2**20)):
        settings = compose("exec", "-T", "store", "cat", "/tmp/store.conf", **fleet)
        said = re.findall(r"^maxmemory (\d+)(mb)?$", settings, re.MULTILINE)[-1]
        assert int(said[0]) * (2**20 if said[1] else 1) == bound


def test_a_backup_brings_the_same_frames_back(two_fleets: None, tmp_path: Path) -> None:
    """After volumes and settings are gone, the store has what it had, and the passwords are the old ones."""
    before, variables = stored(**FIRST), {**VARIABLES, **FIRST}
    secrets = {file.name: file.read_bytes() for file in SECRETS.iterdir()}
    run("compose/backup", str(tmp_path), variables=variables)
    assert {file.name for file in tmp_path.iterdir()} == {"broker.tar", "store.tar", "settings.tar"}
    assert {file.stat().st_mode & 0o077 for file in tmp_path.iterdir()} == {0}
    assert eventually(lambda: is_well("store", **FIRST) and is_well("broker", **FIRST), 60)
    compose("down", "--volumes", "--timeout", "1", **FIRST)
    (SECRETS / "worker_password").unlink()
    run("compose/restore", str(tmp_path), variables=variables)
    assert {file.name: file.read_bytes() for file in SECRETS.iterdir()} == secrets
    up(*SERVERS, **FIRST)
    assert eventually(lambda: is_well("store", **FIRST) and is_well("broker", **FIRST), 60)
    assert stored(**FIRST) == before


def test_what_cannot_be_backed_up_or_restored_is_said(two_fleets: None, tmp_path: Path) -> None:
    """A project that is not here, and a folder without a whole backup; nothing is stopped for either."""
    for command, project, words in (
        ("backup", "nobody", "there is no project nobody here"),
        ("restore", PROJECT, "settings.tar is not whole; nothing was changed"),
    ):
        done = run(f"compose/{command}", str(tmp_path), check=False, variables={**VARIABLES, "PROJECT": project})
        assert done.returncode == 2
        assert words in done.stderr
        assert list(tmp_path.iterdir()) == []
    assert is_well("broker", **SECOND)
