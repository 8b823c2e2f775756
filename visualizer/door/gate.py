"""Lets through who has proven who they are, for every address of the site but the few that answer everybody."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any, Final
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from visualizer.door.visitor import VISITOR, Login, TurnedAway, Visitor
from visualizer.security import same_origin

LOOK_EVERY_S: Final = 1.0
"""So soon a browser's websocket ends after its session has."""
READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Gate:
    """ASGI middleware: who is turned away gets one line, or from a page the way to the one that asks who they are."""

    def __init__(self, app: Any, login: Login) -> None:
        self._app, self._login = app, login

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass the request on with its visitor, or turn it away."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        found = self._refused(scope)
        if found is None and scope["path"] not in self._login.open_paths:
            found = self._login.visitor(scope)
        if isinstance(found, TurnedAway):
            await self._turn_away(found, scope, receive, send)
            return
        scope = scope if found is None else {**scope, VISITOR: found}
        if scope["type"] == "websocket":
            await self._push(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _refused(self, scope: Any) -> Visitor | TurnedAway | None:
        """Return why a request that would change something does not: no page of this site sends it."""
        if scope["type"] == "http" and scope["method"] not in READING and not same_origin(Headers(scope=scope)):
            return TurnedAway(403, "sent by another site, or by none: Origin is not this site's; use its own pages")
        return None

    async def _turn_away(self, why: TurnedAway, scope: Any, receive: Any, send: Any) -> None:
        answer: Response = PlainTextResponse(why.why + "\n", why.status)
        if scope["type"] == "websocket":
            if "websocket.http.response" in (scope.get("extensions") or {}):
                await answer(scope, receive, send)
            else:
                await send({"type": "websocket.close", "code": 1008})
            return
        page = scope["method"] in ("GET", "HEAD") and "text/html" in Headers(scope=scope).get("accept", "")
        if page and why.status == 401 and self._login.sign_in:
            answer = RedirectResponse(f"{self._login.sign_in}?next={quote(scope['path'])}", 303)
        await answer(scope, receive, send)

    async def _push(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a websocket for as long as its visitor is one."""
        pushing = asyncio.ensure_future(self._app(scope, receive, send))
        watching = asyncio.ensure_future(self._until_gone(scope))
        try:
            await asyncio.wait({pushing, watching}, return_when=asyncio.FIRST_COMPLETED)
            if pushing.done():
                pushing.result()
                return
            pushing.cancel()
            await asyncio.gather(pushing, return_exceptions=True)
            with suppress(RuntimeError):  # it had not been accepted, or was closed in this moment
                await send({"type": "websocket.close", "code": 1008})
        finally:
            pushing.cancel()
            watching.cancel()
            await asyncio.gather(pushing, watching, return_exceptions=True)

    async def _until_gone(self, scope: Any) -> None:
        began_s, longest_s = time.monotonic(), self._login.longest_push_s
        while longest_s is None or time.monotonic() - began_s < longest_s:
            await asyncio.sleep(LOOK_EVERY_S)
            if isinstance(self._login.visitor(scope), TurnedAway):
                return
