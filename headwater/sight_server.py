"""The server behind `--metrics`: the standard library's, bounded.

So many connections at once, so long each, one answer a connection, GET only.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from socketserver import TCPServer
from typing import Any, Final

from headwater.errors import SettingsError
from headwater.logs import event
from headwater.prometheus import CONTENT_TYPE
from headwater.sight import Sight

log = logging.getLogger(__name__)

MOST_CONNECTIONS: Final = 8
LONGEST_S: Final = 5.0
"""So long may one connection take, from its first byte to its last."""
TEXT: Final = "text/plain; charset=utf-8"
JSON: Final = "application/json"


class SightServer(ThreadingHTTPServer):
    """The server; port 0 takes a free one."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 16

    def __init__(self, host: str, port: int, sight: Sight) -> None:
        """Listen. Raises: SettingsError."""
        self.sight = sight
        self._open: dict[socket.socket, float] = {}
        self._lock = threading.Lock()
        with suppress(ValueError):
            self.address_family = socket.AF_INET6 if ip_address(host).version == 6 else socket.AF_INET
        try:
            super().__init__((host, port), _Handler)
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise SettingsError(f"--metrics: cannot listen on {host}:{port}: {reason}; choose another port") from None

    @property
    def url(self) -> str:
        """Return its address."""
        host, port = self.server_address[:2]
        return f"http://{f'[{host!s}]' if ':' in str(host) else host!s}:{port}"

    def server_bind(self) -> None:
        """Bind without asking a name server what we are called, as the standard library's would."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Tell whether there is room for one more connection; it is closed unanswered where there is none."""
        with self._lock:
            if len(self._open) >= MOST_CONNECTIONS:
                return False
            self._open[request] = time.monotonic()
        return True

    def shutdown_request(self, request: Any) -> None:
        """End a connection."""
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Cut off what has taken too long; its thread then ends."""
        before_s = time.monotonic() - LONGEST_S
        with self._lock:
            for request in [one for one, since_s in self._open.items() if since_s < before_s]:
                with suppress(OSError):
                    request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say in the log, not on stderr, what went wrong with one connection."""
        log.debug(event("not answered", client=client_address), exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    """One connection: one request, one answer."""

    server: SightServer
    timeout = LONGEST_S
    error_message_format = "%(code)d %(message)s\n"
    error_content_type = TEXT

    def parse_request(self) -> bool:
        """Pass GET requests on and answer all others."""
        if not super().parse_request():
            return False
        if self.command != "GET":
            self._answer(405, TEXT, b"405 only GET is answered\n", ("Allow", "GET"))
        return self.command == "GET"

    def do_GET(self) -> None:
        """Answer."""
        path, sight = self.path.partition("?")[0], self.server.sight
        if path == "/metrics":
            self._answer(200, CONTENT_TYPE, sight.metrics())
        elif path == "/health":
            found = sight.health()
            self._answer(found.http_status, JSON, found.as_json())
        elif path == "/alive":
            found = sight.health()
            self._answer(200 if found.is_alive else 503, JSON, found.as_json())
        else:
            self._answer(404, TEXT, b"404 there are /metrics, /health and /alive\n")

    def _answer(self, status: int, kind: str, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (("Content-Type", kind), ("Content-Length", str(len(body))), *headers):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def version_string(self) -> str:
        """Return who we are, without versions."""
        return "headwater"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the standard library's name
        """Say nothing of every request."""
