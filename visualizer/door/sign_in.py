"""Signing in and out: the two forms, the cookie, and who is held up."""

from __future__ import annotations

import asyncio
import logging
import math
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from headwater.logs import event
from visualizer.door import pages
from visualizer.door.forms import answer, go, read_form, visitor_of
from visualizer.door.logins import SIGN_IN, UserLogin
from visualizer.door.proxies import Proxies
from visualizer.door.throttle import Throttle, keys
from visualizer.door.users import Untried, User
from visualizer.door.visitor import STYLE, Login, Tokens, TurnedAway
from visualizer.security import ASKED_AGAIN

log = logging.getLogger(__name__)

SIGN_OUT: Final = "/sign-out"
WHO: Final = "/visitor"
HOME: Final = "/"
MOST_WAITING: Final = 16
"""So many may wait for their password to be tried, which is done one at a time: each takes 64 MiB."""
SOON: Final = {"Retry-After": "5"}
LONGEST_NEXT: Final = 200
WRONG: Final = "That name and password do not belong together."
BUSY: Final = "Too many people are signing in at this moment. Try again in a few seconds."
UNTRIED: Final = "Your password could not be tried at this moment. Try again in a few seconds."
NOT_OURS: Final = "That form was not made by this page, or is older than your session. Try again."


def local_path(wanted: str) -> str:
    """Return where to go after signing in: a page of this site, or the first one for everything else.

    Browsers read `//other.example`, and `/\\other.example`, as another site.
    """
    if len(wanted) > LONGEST_NEXT or not (wanted.isprintable() and wanted.isascii()):
        return HOME
    if not wanted.startswith("/") or "//" in wanted or "\\" in wanted:  # before urlsplit, which raises for `//[`
        return HOME
    return HOME if urlsplit(wanted).path in (SIGN_IN, SIGN_OUT) else wanted


def throttled(wait_s: float) -> str:
    """Return what somebody is told who has failed too often."""
    minutes = math.ceil(wait_s / 60)
    return f"Too many attempts that failed. Try again in {minutes} minute{'s' if minutes != 1 else ''}."


def routes(login: Login, proxies: Proxies, tokens: Tokens) -> list[Route]:
    """Return the addresses at the door, by how people prove who they are."""
    common = [Route(WHO, _who, methods=["GET"]), Route(STYLE, _style, methods=["GET"])]
    if isinstance(login, UserLogin):
        return [*common, *SignIn(login, proxies, tokens).routes()]
    return [*common, Route(SIGN_OUT, _of_the_proxy, methods=["GET"])]


async def _who(request: Request) -> Response:
    """Answer with the visitor's name and role, for the site's header."""
    visitor = visitor_of(request)
    return JSONResponse({"name": visitor.name, "role": visitor.role})


async def _style(_request: Request) -> Response:
    return FileResponse(pages.STYLE_SHEET, media_type="text/css", headers={"Cache-Control": ASKED_AGAIN})


async def _of_the_proxy(request: Request) -> Response:
    return answer(pages.sign_out(visitor_of(request), None))


class SignIn:
    """The page that asks for name and password, and the one that ends a session."""

    def __init__(self, login: UserLogin, proxies: Proxies, tokens: Tokens, throttle: Throttle | None = None) -> None:
        self._login, self._proxies, self._tokens = login, proxies, tokens
        self._throttle = throttle or Throttle()
        self._one_at_a_time, self._waiting = asyncio.Semaphore(1), 0

    def routes(self) -> list[Route]:
        """Return the two addresses, each for looking and for sending its form."""
        return [
            Route(SIGN_IN, self.ask, methods=["GET"]),
            Route(SIGN_IN, self.sign_in, methods=["POST"]),
            Route(SIGN_OUT, self.tell, methods=["GET"]),
            Route(SIGN_OUT, self.sign_out, methods=["POST"]),
        ]

    async def ask(self, request: Request) -> Response:
        """Answer with the form, or send on who is signed in already."""
        wanted = local_path(request.query_params.get("next", HOME))
        if not isinstance(self._login.visitor(request.scope), TurnedAway):
            return go(wanted)
        return answer(pages.sign_in("", wanted))

    async def sign_in(self, request: Request) -> Response:
        """Try a name and a password; whoever they belong to gets a session."""
        form = await read_form(request)
        if form is None:
            return answer(pages.sign_in("", HOME, NOT_OURS), 400)
        name, wanted = form.get("name", "").strip()[:64], local_path(form.get("next", HOME))
        address = self._proxies.client(request.scope)
        tried = keys(name, address)
        if self._waiting >= MOST_WAITING:
            return answer(pages.sign_in(name, wanted, BUSY), 503, SOON)
        wait_s = self._throttle.begin(tried)
        if wait_s > 0:
            return answer(pages.sign_in(name, wanted, throttled(wait_s)), 429, {"Retry-After": f"{math.ceil(wait_s)}"})
        try:
            user = await self._proven(name, form.get("password", ""))
        except Untried as error:
            self._throttle.was_none(tried)
            log.error(event("password not tried", reason=error))
            return answer(pages.sign_in(name, wanted, UNTRIED), 503, SOON)
        if user is None:
            log.warning(event("sign-in refused", user=self._known(name), address=address))
            return answer(pages.sign_in(name, wanted, WRONG), 403)
        self._throttle.succeeded(tried)
        return self._welcome(user, request, wanted, address)

    async def sign_out(self, request: Request) -> Response:
        """End the session and have the browser forget it."""
        visitor, form = visitor_of(request), await read_form(request)
        if form is None or not self._tokens.fits(visitor, form.get("token", "")):
            return answer(pages.refusal("Not signed out", NOT_OURS, (SIGN_OUT, "Once more")), 403)
        self._login.sessions.close(visitor.key)
        log.info(event("signed out", user=visitor.name, address=self._proxies.client(request.scope)))
        done = go(SIGN_IN)
        done.delete_cookie(self._login.cookie, httponly=True, samesite="lax")
        done.delete_cookie(self._login.https_cookie, secure=True, httponly=True, samesite="lax")
        return done

    async def tell(self, request: Request) -> Response:
        """Answer with who is signed in, and the form to sign out."""
        visitor = visitor_of(request)
        return answer(pages.sign_out(visitor, self._tokens.of(visitor)))

    async def _proven(self, name: str, password: str) -> User | None:
        """Return the user, after others whose turn it is; the site goes on meanwhile. Raises: Untried."""
        self._waiting += 1
        try:
            async with self._one_at_a_time:
                return await asyncio.to_thread(self._login.users.proven, name, password)
        finally:
            self._waiting -= 1

    def _known(self, name: str) -> str:
        """Return a name for the log. What is nobody's name may be a password in the wrong field, and is not told."""
        return name if self._login.users.find(name) else "(none of ours)"

    def _welcome(self, user: User, request: Request, wanted: str, address: str) -> Response:
        """Answer with the cookie of a new session; an old one of this browser ends."""
        sessions, old = self._login.sessions, self._login.session(request.scope)
        if old is not None:
            sessions.close(old.key)
        is_https = self._proxies.is_https(request.scope) or request.headers.get("origin", "").startswith("https:")
        log.info(event("signed in", user=user.name, role=user.role, address=address, https=is_https))
        done = go(wanted)
        done.set_cookie(
            self._login.https_cookie if is_https else self._login.cookie,
            sessions.open(user.name, user.hash),
            max_age=int(sessions.lasting_s),
            secure=is_https,
            httponly=True,
            samesite="lax",
        )
        return done
