"""A server of another project as a child process: on a free port, in a folder of its own, once it has answered."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from headwater.children import Child
from headwater.errors import HeadwaterError
from headwater.probes import free_port, port_is_free, server_url

START_DEADLINE_S: Final = 15.0
POLL_S: Final = 0.01
GREETING_S: Final = 1.0
HIGHEST_PORT: Final = 65_535
ATTEMPTS: Final = 5
"""A free port can be taken by another program before the server listens on it."""


def one_door(host: str, port: int) -> list[tuple[str, int]]:
    """Return where a server listens that has one port."""
    return [(host, port)]


@dataclass(frozen=True)
class Recipe:
    """How one kind of server is started and asked whether it is there."""

    kind: str
    part: str
    """What it is to Headwater: broker or store."""
    scheme: str
    launch: Callable[[str, int, Path], Child]
    """Takes host, port and folder."""
    greet: Callable[[str, float], None]
    """Takes an address and a time-out in seconds. Raises: `error` when the server does not answer."""
    error: type[HeadwaterError]
    doors: Callable[[str, int], Sequence[tuple[str, int]]] = one_door
    """Takes host and port, and returns where the server listens: there first."""


class RunningServer:
    """A server that this process started; `stop` it, or leave the `with` block."""

    def __init__(self, recipe: Recipe, host: str, port: int, child: Child, scratch: Path | None) -> None:
        self.kind, self.host, self.port, self.child = recipe.kind, host, port, child
        self._scheme, self._scratch = recipe.scheme, scratch

    @property
    def url(self) -> str:
        """The address for clients, as in mqtt://127.0.0.1:1883."""
        return server_url(self._scheme, self.host, self.port)

    def stop(self, deadline_s: float = 10.0) -> None:
        """End the server and remove what it kept, unless a folder was given. Safe to call again."""
        self.child.stop(deadline_s)
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start_server(recipe: Recipe, host: str, port: int, folder: Path | None, deadline_s: float) -> RunningServer:
    """Return a running server that has answered; port 0 takes a free one, no folder a temporary one.

    Raises: the recipe's error, when host, port or folder cannot be used or the server did not come up.
    """
    _check_place(recipe, host, port)
    for at, number in recipe.doors(host, port) if port else ():
        if not port_is_free(at, number):
            raise recipe.error(
                f"port {number} of {at} is taken; give another --port, or the address of that {recipe.part}"
            )
    scratch = None
    try:
        scratch = None if folder else Path(tempfile.mkdtemp(prefix=f"headwater-{recipe.part}-"))
        place = (folder or scratch or Path()).resolve()
        place.mkdir(parents=True, exist_ok=True)
        return _started(recipe, host, port, place, scratch, deadline_s)
    except OSError as error:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)
        shown = folder or scratch or tempfile.tempdir or "a temporary one"
        raise recipe.error(
            f"folder: got {shown}, expected one that can be written ({error.strerror or error}); give another --folder"
        ) from None


def _check_place(recipe: Recipe, host: str, port: int) -> None:
    """Pass if a server could listen there, on a port that is free. Raises: the recipe's error."""
    highest = HIGHEST_PORT - max(number for _, number in recipe.doors(host, 0))
    if not 0 <= port <= highest:
        raise recipe.error(f"port: got {port}, expected 1 to {highest}, or 0 for a free one; give another --port")
    try:
        free_port(host)
    except (OSError, ValueError) as error:  # ValueError: a name that no network knows
        raise recipe.error(
            f"host: got {host!r}, expected an address of this machine ({error}); give another --host"
        ) from None


def _started(
    recipe: Recipe, host: str, port: int, place: Path, scratch: Path | None, deadline_s: float
) -> RunningServer:
    for attempt in range(ATTEMPTS):
        number = port or _free_port(recipe, host)
        server = RunningServer(recipe, host, number, recipe.launch(host, number, place), scratch)
        try:
            _wait_until_answering(server, recipe, deadline_s)
        except HeadwaterError:
            server.child.kill()
            if port or attempt == ATTEMPTS - 1 or _are_free(recipe, host, number):
                server.stop()
                raise
        else:
            return server
    raise recipe.error(f"no free port on {host} after {ATTEMPTS} attempts; give one with --port")


def _free_port(recipe: Recipe, host: str) -> int:
    """Return a port at which every door is free now, as far as a few draws find one."""
    drawn = [free_port(host) for _ in range(ATTEMPTS)]
    return next((number for number in drawn if _are_free(recipe, host, number)), drawn[-1])


def _are_free(recipe: Recipe, host: str, port: int) -> bool:
    return all(number <= HIGHEST_PORT and port_is_free(at, number) for at, number in recipe.doors(host, port))


def reachable(scheme: str, host: str, port: int) -> str:
    """Return the address at which this machine reaches a listener, also one on every address."""
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return server_url(scheme, here, port)


def _wait_until_answering(server: RunningServer, recipe: Recipe, deadline_s: float) -> None:
    until = time.monotonic() + deadline_s
    url = reachable(recipe.scheme, server.host, server.port)
    while True:
        try:
            recipe.greet(url, GREETING_S)
        except recipe.error as error:
            reason = str(error)
        else:
            if server.child.alive:
                return
            reason = "another program answers at its port"
        alive = server.child.alive  # before its words are read: it may say why and end in between
        words = server.child.last_words() or "(nothing)"
        if not alive:
            raise recipe.error(f"{server.kind} ended at once; its log {server.child.log} ends with: {words}")
        if time.monotonic() >= until:
            raise recipe.error(
                f"{server.kind} did not answer in {deadline_s:g} s ({reason}); its log ends with: {words}"
            )
        time.sleep(POLL_S)
