"""compose/deploy asks a swarm for the right files, with each secret named by its content; no engine is needed."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

COMPOSE = Path(__file__).parents[2] / "compose"
DOCKER = """#!/bin/sh
echo "$@" >>asked
for word in "$@"; do
    [ "$before" = --compose-file ] && cp "$word" last.yaml
    before=$word
done
"""
"""Keeps what it was asked, and the last file that it was given: that of the names."""
TLS = ("ca", "broker_key", "broker_certificate", "store_key", "store_certificate")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of compose/ without its secrets, with another `docker` before the real one."""
    for file in (
        *COMPOSE.glob("*.yaml"),
        *(COMPOSE / name for name in ("deploy", "make-secrets", "overlays", "setting")),
    ):
        shutil.copy(file, tmp_path)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/docker").write_text(DOCKER)
    (tmp_path / "bin/docker").chmod(0o755)
    return tmp_path


def deploy(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Return how the script ended."""
    environment = {"PATH": f"{folder}/bin:{os.environ['PATH']}", **variables}
    return subprocess.run(
        [folder / "deploy", *words], cwd="/", env=environment, capture_output=True, text=True, check=False
    )


def deployed(folder: Path, *words: str, **variables: str) -> tuple[str, dict[str, Any]]:
    """Return what docker was asked last, and the secrets of the file with their names."""
    done = deploy(folder, *words, **variables)
    assert (done.returncode, done.stderr) == (0, "")
    asked = (folder / "asked").read_text().splitlines()[-1]
    secrets: dict[str, Any] = yaml.safe_load((folder / "last.yaml").read_text())["secrets"]
    return asked, secrets


def test_a_changed_secret_has_another_name_and_no_other_has(folder: Path) -> None:
    """The name ends with the SHA-256 of the file, so a swarm is given a new secret where it refuses a changed one."""
    _, before = deployed(folder)
    subprocess.run([folder / "make-secrets", "camera-2"], check=True)
    _, after = deployed(folder)
    assert {name for name in before if before[name] != after[name]} == {"device_passwords"}
    content = (folder / "secrets/device_passwords").read_bytes()
    name = f"headwater_device_passwords_{hashlib.sha256(content).hexdigest()[:12]}"
    assert after["device_passwords"] == {"file": "./secrets/device_passwords", "name": name}


@pytest.mark.parametrize("overlays", ["", "tls login observability"])
def test_every_secret_of_the_files_is_named(folder: Path, overlays: str) -> None:
    """None is left with a name that a second deploy would be refused for, and none is too long for a swarm."""
    (folder / "secrets").mkdir()
    for name in (*TLS, "site_users"):
        (folder / "secrets" / name).write_text("x")
    asked, secrets = deployed(folder, OVERLAYS=overlays, PROJECT="a-second-one")
    files = re.findall(r"--compose-file (\w+\.yaml)", asked)
    assert files == ["compose.yaml", "swarm.yaml", *(f"{name}.yaml" for name in overlays.split())]
    said = {name for file in files for name in yaml.safe_load((COMPOSE / file).read_text()).get("secrets", {})}
    assert set(secrets) == said
    assert all(secret["name"].startswith(f"a-second-one_{name}_") for name, secret in secrets.items())
    assert max(len(secret["name"]) for secret in secrets.values()) <= 64
    assert asked.endswith(" a-second-one")


def test_images_of_ours_are_asked_of_nobody_but_a_registry_of_yours(folder: Path) -> None:
    """Without REGISTRY they are those of each node; further words are passed on."""
    asked, _ = deployed(folder, "--prune")
    assert asked.startswith("stack deploy --resolve-image never --compose-file compose.yaml")
    assert asked.endswith(" --prune headwater")
    asked, _ = deployed(folder, REGISTRY="registry.example/")
    assert asked.startswith("stack deploy --with-registry-auth --compose-file compose.yaml")


def test_a_file_of_ones_own_is_laid_over_the_others(folder: Path) -> None:
    """By its path from where the script is called, or by its whole path; one without a slash is the project's."""
    own = folder / "mine/porch.yaml"
    own.parent.mkdir()
    own.write_text('version: "3.8"\n')
    for word in (str(own), f".{own}"):  # the script is called in /
        asked, _ = deployed(folder, OVERLAYS=f"traces {word}")
        files = re.findall(r"--compose-file (\S+\.yaml)", asked)
        assert [Path(file).resolve().name for file in files] == [
            "compose.yaml",
            "swarm.yaml",
            "traces.yaml",
            "porch.yaml",
        ]
        assert Path(files[-1]).samefile(own)


def test_variables_come_from_the_file_where_the_shell_has_none(folder: Path) -> None:
    """`docker stack deploy` does not read .env: the script gives it what stands there, and runs none of it."""
    (folder / ".env").write_text("# FLEET=no\nFLEET=harbour\n export TAG = '2'\nRATE=$(touch here)\nPROJECT=bern\n")
    (folder / "bin/docker").write_text('#!/bin/sh\necho "$FLEET $TAG $RATE $PROJECT" >told\n')
    done = deploy(folder, PROJECT="basel")
    assert (done.returncode, done.stderr) == (0, "")
    assert (folder / "told").read_text() == "harbour 2 $(touch here) basel\n"
    assert not (folder / "here").exists()


@pytest.mark.parametrize(
    ("overlay", "says"),
    [
        ("tsl", "overlay tsl: there is no compose/tsl.yaml"),
        ("mine/here.yaml", "overlay mine/here.yaml: there is no //mine/here.yaml"),
        ("tls", "there is no compose/secrets/broker_cert"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_asked(folder: Path, overlay: str, says: str) -> None:
    """A misspelt overlay, or one whose secrets nobody has made."""
    done = deploy(folder, OVERLAYS=overlay)
    assert done.returncode == 2
    assert says in done.stderr
    assert not (folder / "asked").exists()
