"""A web server on a port: bound with a clear refusal, announced when it answers, ended by a signal."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from headwater.errors import SettingsError
from headwater.servers import HIGHEST_PORT


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
    """Return the http address at which the socket is reached from this machine."""
    host, port = sock.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


class AnnouncingServer(uvicorn.Server):
    """A server that says when it answers, and returns when it is told to stop.

    Uvicorn raises the signal again after its shutdown, which would end the process before it has said goodbye.
    """

    def __init__(self, config: uvicorn.Config, announce: Callable[[str], None]) -> None:
        super().__init__(config)
        self._announce = announce

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
        """Start, then announce the address."""
        await super().startup(sockets)
        if self.started and sockets:
            self._announce(address_of(sockets[0]))
