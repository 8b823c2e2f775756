"""What the site lets browsers do: ask nobody else but for the tiles of its map, and reach it under its names only."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from headwater.errors import SettingsError

ALWAYS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "strict-origin-when-cross-origin",  # tile servers refuse browsers that do not say where from
    "Permissions-Policy": ", ".join(
        f"{name}=()"
        for name in ("camera", "microphone", "geolocation", "display-capture", "payment", "usb", "serial", "bluetooth")
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
HSTS: Final = "max-age=31536000"
"""For a year browsers ask for this name by https only; without its subdomains, which may be another's."""
NOT_KEPT: Final = "no-store"
ASKED_AGAIN: Final = "private, no-cache"
"""For scripts and styles, which hold nothing of anybody: kept, but not used before the site has said that they may."""
STATIC: Final = ("/assets/", "/_dash-component-suites/")
DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}

_HOST = re.compile(r"^(?:\[([0-9a-f:.]+)\]|([^\s:\[\]]+))(?::[0-9]{1,5})?\Z")
_NAME = re.compile(r"^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?\Z")


def tile_origin(tiles: str) -> str:
    """Return the origin of a tile address such as https://host/{z}/{x}/{y}.png, or nothing. Raises: SettingsError."""
    if not tiles:
        return ""
    parts = urlsplit(tiles)
    if parts.scheme not in {"http", "https"} or not parts.netloc or any(c in parts.netloc for c in " ;,'\""):
        raise SettingsError(f"tiles: got {tiles!r}, expected https://HOST/{{z}}/{{x}}/{{y}}.png, or none")
    host = parts.netloc.replace("{s}", "*")
    return f"{parts.scheme}://{host}"


def content_policy(script_hashes: Sequence[str], tiles: str) -> str:
    """Return the Content-Security-Policy. Source: W3C CSP Level 3."""
    rules = {
        "default-src": "'self'",
        "script-src": " ".join(["'self'", *script_hashes]),
        "style-src": "'self' 'unsafe-inline'",  # plotly and Leaflet place things with style attributes
        "img-src": " ".join(["'self'", "data:", "blob:", tile_origin(tiles)]).strip(),
        "connect-src": "'self'",
        "object-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


class SecurityHeaders:
    """ASGI middleware that adds the headers to every answer, those that an answer has itself aside.

    With `private` no browser keeps what it was shown; `is_https` tells whether a request came by https.
    """

    def __init__(
        self, app: Any, policy: str, *, private: bool = False, is_https: Callable[[Any], bool] = lambda scope: False
    ) -> None:
        self._app, self._private, self._is_https = app, private, is_https
        self._always = _encoded({**ALWAYS, "Content-Security-Policy": policy})

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass the request on and add to the answer's start."""
        wanted = [*self._always, *_encoded(self._of(scope))] if scope["type"] == "http" else []

        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                said = list(message.get("headers", ()))
                names = {name.lower() for name, _ in said}
                message = {**message, "headers": [*said, *(one for one in wanted if one[0] not in names)]}
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)

    def _of(self, scope: Any) -> dict[str, str]:
        """Return the headers that depend on the request."""
        found = {"Strict-Transport-Security": HSTS} if self._is_https(scope) else {}
        if self._private:
            found["Cache-Control"] = ASKED_AGAIN if scope["path"].startswith(STATIC) else NOT_KEPT
        return found


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


def same_origin(headers: Mapping[str, str]) -> bool:
    """Tell whether a page of this site asks: browsers let every site send requests to every other, and open websockets.

    Source: RFC 6455, section 10.2; RFC 6454, section 7.
    """
    origin, host = headers.get("origin"), headers.get("host")
    if not origin or not host:
        return False
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    port = DEFAULT_PORTS.get(parts.scheme)
    return port is not None and parts.netloc.removesuffix(port) == host.removesuffix(port)


def checked_public_name(name: str) -> str:
    """Return the name in small letters, as it stands in addresses. Raises: SettingsError."""
    if not _NAME.match(name):
        raise SettingsError(f"public-name: got {name!r}, expected a host name such as site.example, without a port")
    return name.lower()


def is_loopback(address: str) -> bool:
    """Tell whether nobody but this machine reaches that address."""
    try:
        return ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return address == "localhost"


class KnownHosts:
    """ASGI middleware that answers only to loopback names and to one public name, whatever the port.

    A page from elsewhere can point its own name at 127.0.0.1 and would then be of the site's origin (DNS rebinding);
    the name in the Host header gives it away.
    """

    def __init__(self, app: Any, public_name: str = "") -> None:
        self._app, self._public_name = app, public_name

    def knows(self, host: str) -> bool:
        """Tell whether the value of a Host header names this site."""
        found = _HOST.match(host.lower())
        name = (found[1] or found[2]) if found else ""
        return bool(name) and (is_loopback(name) or name == self._public_name)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass the request on, or refuse it with one line."""
        hosts = [value.decode("latin-1") for name, value in scope.get("headers", ()) if name == b"host"]
        if scope["type"] not in ("http", "websocket") or (len(hosts) == 1 and self.knows(hosts[0])):
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._refuse(send, "http.response", hosts)
        elif "websocket.http.response" in (scope.get("extensions") or {}):
            await self._refuse(send, "websocket.http.response", hosts)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _refuse(self, send: Any, kind: str, hosts: Sequence[str]) -> None:
        name = f" and {self._public_name}" if self._public_name else ""
        body = (
            f"host: got {', '.join(hosts)[:100]!r}, expected 127.0.0.1, localhost or [::1]{name}; "
            "behind a proxy start the site with --public-name NAME\n"
        ).encode()
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
        await send({"type": f"{kind}.start", "status": 400, "headers": headers})
        await send({"type": f"{kind}.body", "body": body})
