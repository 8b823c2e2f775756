"""What compose/compose and `make up` take from the environment and from compose/.env; a Docker repeats it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKER = '#!/bin/sh\ncase "$*" in info | "compose version") ;; *) echo "$@" ;; esac\n'
VARIABLES = ("OVERLAYS", "PROJECT", "SITE", "GRAFANA", "PICTURES", "ARGS", "MAKEFLAGS", "MAKEOVERRIDES")
ALWAYS = "--file compose.yaml --file compose.override.yaml --file compose.2.yaml"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The scripts and the overlays' names, and a Docker that says what it was told to do."""
    shutil.copytree(ROOT / "compose", tmp_path / "compose", ignore=shutil.ignore_patterns("secrets", ".env"))
    shutil.copy(ROOT / "Makefile", tmp_path)
    docker = tmp_path / "bin/docker"
    docker.parent.mkdir()
    docker.write_text(DOCKER)
    docker.chmod(0o755)
    return tmp_path


def run(folder: Path, *command: str, **said: str) -> subprocess.CompletedProcess[str]:
    """Run a command there, with these variables and none of ours that is somebody's here."""
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES} | said
    environment["PATH"] = f"{folder / 'bin'}:{environment['PATH']}"
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=30)


def told(folder: Path, **said: str) -> str:
    """Return what Docker was told to do by `compose/compose ps`."""
    done = run(folder, "compose/compose", "ps", **said)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_overlays_and_project_come_from_the_file(folder: Path) -> None:
    """Without a variable of the shell, and with one that is said it is that, also when it says nothing."""
    assert told(folder) == f"compose --project-name headwater {ALWAYS} ps"
    (folder / "compose/.env").write_text("OVERLAYS=tls observability\nPROJECT=harbour\n")
    overlays = (
        "--file tls.yaml --file observability.yaml --file observability.override.yaml --file observability.2.yaml"
    )
    assert told(folder) == f"compose --project-name harbour {ALWAYS} {overlays} ps"
    assert told(folder, OVERLAYS="login", PROJECT="x") == f"compose --project-name x {ALWAYS} --file login.yaml ps"
    assert told(folder, OVERLAYS="") == f"compose --project-name harbour {ALWAYS} ps"


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("OVERLAYS=tls login", "tls login"),
        ("  export OVERLAYS = tls  # for devices elsewhere", "tls"),
        ('OVERLAYS="tls login" # both', "tls login"),
        ("OVERLAYS='tls'\r", "tls"),
        ("OVERLAYS=login\nOVERLAYS=tls", "tls"),
        ("OVERLAYS=tls#1", "tls#1"),
        ("OVERLAYS=# none", ""),
        ("# OVERLAYS=tls\nMY_OVERLAYS=tls\nOVERLAYSS=tls\ntls", ""),
        ("OVERLAYS=", ""),
    ],
)
def test_the_file_is_read_as_compose_reads_it(folder: Path, line: str, value: str) -> None:
    """Quotes, comments, the last of several; other lines are somebody else's."""
    (folder / "compose/.env").write_text(f"RATE=4\n{line}\n")
    assert run(folder, "compose/setting", "OVERLAYS").stdout == f"{value}\n"
    assert run(folder, "compose/setting", "OVERLAYS", "none").stdout == f"{value or 'none'}\n"


def test_nothing_in_the_file_is_run(folder: Path) -> None:
    """Neither as a command nor as a pattern for names of files; what is no overlay is an error."""
    (folder / "compose/.env").write_text("OVERLAYS=$(touch here) `touch here` *\ntouch here\n")
    done = run(folder, "compose/compose", "ps")
    assert (done.returncode, done.stdout) == (2, "")
    assert "overlay $(touch: there is no compose/$(touch.yaml" in done.stderr
    assert list(folder.rglob("here")) == []


def test_make_up_names_the_addresses_of_the_file(folder: Path) -> None:
    """Of the site, and of Grafana where its overlay is among them; behind `make up` stands what wins."""
    (folder / "compose/.env").write_text("SITE=127.0.0.1:9000\nGRAFANA=127.0.0.1:9001\nOVERLAYS=observability\n")
    said = run(folder, "make", "up").stdout
    assert "The live map: http://127.0.0.1:9000," in said
    assert "Grafana: http://127.0.0.1:9001," in said
    assert "--file observability.yaml" in said
    said = run(folder, "make", "up", "SITE=127.0.0.1:1", "OVERLAYS=tls").stdout
    assert "The live map: http://127.0.0.1:1," in said
    assert "Grafana" not in said
    (folder / "compose/.env").unlink()
    assert "The live map: http://127.0.0.1:8050," in run(folder, "make", "up").stdout
