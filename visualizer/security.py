"""Headers that tell browsers what this site may do: nothing from elsewhere but the tiles of its map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from headwater.errors import SettingsError

ALWAYS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "strict-origin-when-cross-origin",  # tile servers refuse browsers that do not say where from
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}


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
    """ASGI middleware that adds the headers to every answer."""

    def __init__(self, app: Any, policy: str) -> None:
        self._app = app
        headers = {**ALWAYS, "Content-Security-Policy": policy}
        self._headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass the request on and add to the answer's start."""

        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *self._headers]}
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)
