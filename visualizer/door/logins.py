"""The two ways to prove who one is: a session of the site's own sign-in page, or the word of a proxy."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from starlette.requests import cookie_parser

from visualizer.door.proxies import Proxies, checked_header, peer, values
from visualizer.door.sessions import Session, Sessions
from visualizer.door.users import Users
from visualizer.door.visitor import STYLE, TurnedAway, Visitor

HEALTH: Final = "/health"
SIGN_IN: Final = "/sign-in"
HTTPS_ONLY: Final = "__Host-"
"""A browser takes a cookie of a name that begins so over https only, and from no other name of the same domain. Source:
RFC 6265bis, 4.1.3.2."""
LONGEST_NAME: Final = 128
PROXY_ASKED_EVERY_S: Final = 3600.0


class UserLogin:
    """People sign in with a name and a password of the site's own file."""

    open_paths: Collection[str] = frozenset({HEALTH, SIGN_IN, STYLE})
    sign_in: str | None = SIGN_IN
    longest_push_s: float | None = None

    def __init__(self, users: Users, sessions: Sessions, proxies: Proxies, fleet: str) -> None:
        """Let these users in. Browsers keep cookies by host name, whatever the port: each fleet's has its own name."""
        self.users, self.sessions, self._proxies = users, sessions, proxies
        self.cookie = f"headwater-{fleet}"
        self.https_cookie = f"{HTTPS_ONLY}{self.cookie}"

    def visitor(self, scope: Any) -> Visitor | TurnedAway:
        """Return who is signed in on this browser, and is still a user with the same password."""
        session = self.session(scope)
        user = self.users.find(session.name) if session else None
        if session is None or user is None or user.hash != session.hash:
            return TurnedAway(401, f"nobody is signed in here; sign in at {SIGN_IN}")
        return Visitor(user.name, user.role, session.key)

    def session(self, scope: Any) -> Session | None:
        """Return the session of the request's cookie, unless it has ended.

        Of a request that came by https the other cookie is left aside: anybody on the way may have planted it.
        """
        cookies = cookie_parser("; ".join(values(scope, b"cookie")))
        is_https = self._proxies.is_https(scope)
        for name in (self.https_cookie,) if is_https else (self.https_cookie, self.cookie):
            found = self.sessions.find(cookies.get(name, ""))
            if found is not None:
                return found
        return None


class ProxyLogin:
    """A proxy has asked people who they are, and says it in a header."""

    open_paths: Collection[str] = frozenset({HEALTH, STYLE})
    sign_in: str | None = None
    longest_push_s: float | None = PROXY_ASKED_EVERY_S

    def __init__(self, header: str, proxies: Proxies, operators: Collection[str] = ()) -> None:
        """Take people's names from this header of these proxies. Raises: SettingsError."""
        self._header, self._proxies, self._operators = checked_header(header), proxies, frozenset(operators)

    def visitor(self, scope: Any) -> Visitor | TurnedAway:
        """Return whom the proxy names; a name that somebody else says is refused, never left aside."""
        names = values(scope, self._header.lower().encode())
        if not self._proxies.trusts(peer(scope)):
            said = f"{self._header} came from" if names else "asked by"
            return TurnedAway(403, f"{said} {peer(scope)}, which is no --trusted-proxy; reach the site by its proxy")
        if len(names) > 1:
            return TurnedAway(403, f"{self._header} came {len(names)} times; have the proxy replace what clients send")
        name = names[0].strip() if names else ""
        if not name:
            return TurnedAway(401, f"the proxy named nobody; have it send {self._header} once it knows who asks")
        if len(name) > LONGEST_NAME or not name.isprintable():
            return TurnedAway(
                403, f"{self._header}: expected a name of at most {LONGEST_NAME} characters, all printable"
            )
        return Visitor(name, "operator" if name in self._operators else "viewer")
