"""Runs the site on a port until it is told to stop."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import uvicorn

from headwater.errors import SettingsError
from headwater.servers import HIGHEST_PORT
from headwater.session import Address
from headwater.topics import checked_name
from visualizer.app import create_app
from visualizer.devices import Devices, NoBroker, StatusReader
from visualizer.live import LARGEST_WORD
from visualizer.reader import RedisStore
from visualizer.security import checked_public_name, is_loopback

LARGEST_WINDOW: Final = 100_000


@dataclass(frozen=True)
class SiteSettings:
    """What a person says of the site; see the command's help."""

    store: str
    broker: str | None
    username: str | None
    password: str | None = field(repr=False)
    fleet: str
    host: str
    port: int
    window_frames: int
    tiles: str
    public_name: str | None = None


def run(settings: SiteSettings) -> None:
    """Serve the site until SIGTERM or SIGINT. Raises: SettingsError, StoreError."""
    checked_name("fleet", settings.fleet)
    if not 1 <= settings.window_frames <= LARGEST_WINDOW:
        raise SettingsError(f"window-frames: got {settings.window_frames}, expected 1 to {LARGEST_WINDOW}")
    public_name = checked_public_name(settings.public_name) if settings.public_name else ""
    with bind(settings.host, settings.port) as sock:
        site = create_app(
            RedisStore(settings.store, settings.fleet),
            _devices(settings),
            fleet=settings.fleet,
            window_frames=settings.window_frames,
            tiles="" if settings.tiles == "none" else settings.tiles,
            known_hosts=bool(public_name) or is_loopback(sock.getsockname()[0]),
            public_name=public_name,
        )
        site.start()
        try:
            serve(site.asgi, sock)
        finally:
            site.stop()


def _devices(settings: SiteSettings) -> Devices:
    if settings.broker is None:
        return NoBroker()
    address = Address.parse(settings.broker, username=settings.username, password=settings.password)
    return StatusReader(address, settings.fleet)


def bind(host: str, port: int) -> socket.socket:
    """Return a socket bound to the address; port 0 takes a free one. Raises: SettingsError."""
    if not 0 <= port <= HIGHEST_PORT:
        raise SettingsError(f"port: got {port}, expected 1 to {HIGHEST_PORT}, or 0 for a free one; give another --port")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        sock = socket.socket(family, kind, protocol)
    except (OSError, OverflowError, UnicodeError) as error:
        raise SettingsError(f"host {host!r}, port {port}: {error}") from None
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except (OSError, OverflowError) as error:
        sock.close()
        reason = getattr(error, "strerror", None) or error
        raise SettingsError(f"cannot listen on {host}:{port}: {reason}; choose another --port or --host") from None
    return sock


def address_of(sock: socket.socket) -> str:
    """Return the http address at which people reach the socket from this machine."""
    host, port = sock.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


class _Announcing(uvicorn.Server):
    """A server that says on stdout when it answers, and returns when it is told to stop.

    Uvicorn raises the signal again after its shutdown, which would end the process before the site has said goodbye.
    """

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let SIGTERM and SIGINT end the serving, and nothing else."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then print the one line that others wait for."""
        await super().startup(sockets)
        if self.started and sockets:
            print(f"listening {address_of(sockets[0])}", flush=True)  # noqa: T201  the result of the command


def serve(asgi: Any, sock: socket.socket) -> None:
    """Serve on the socket until SIGTERM or SIGINT, then close every connection within two seconds."""
    config = uvicorn.Config(
        asgi,
        log_level="warning",
        access_log=False,
        ws_max_size=4 * LARGEST_WORD,
        ws_ping_interval=20,
        timeout_graceful_shutdown=2,
        server_header=False,
        lifespan="off",
    )
    _Announcing(config).run(sockets=[sock])
