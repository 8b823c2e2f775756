"""What browsers send to the site: its forms, and what they ask and say at its live socket."""

from __future__ import annotations

from collections.abc import Coroutine
from functools import cache
from typing import Any, Final
from unittest.mock import patch
from urllib.parse import urlencode, urljoin, urlsplit

import msgspec
from starlette.requests import Request
from starlette.websockets import WebSocket

from headwater.messages import SettingsChange, encode_json
from tests.fuzz.target import Target
from tests.fuzz.wire import taken_json
from tests.headwater import samples
from visualizer.devices import NoBroker
from visualizer.door import pages
from visualizer.door.device_page import Shown, device_page, field_of, wish
from visualizer.door.forms import FORM, LARGEST_FORM_BYTES, MOST_FIELDS, answer, read_form
from visualizer.door.sign_in import WRONG, local_path
from visualizer.live import LARGEST_WORD, Bell, Browser, Live, News
from visualizer.reader import Connection
from visualizer.setter import changed
from visualizer.window import Window

SITE: Final = "http://site.example/sign-in"
RUN: Final = "0123abcd"
FRAME: Final = str(samples.ID)
"""A frame of which the site has a journey, too."""
COMES: Final = ("whole", "in two pieces", "cut short", "as JSON")
"""How a form comes, by the first byte of an input."""


def ended(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Return what a coroutine returns that waits for nobody, without a loop."""
    try:
        while True:
            coroutine.send(None)
    except StopIteration as done:
        return done.value


def form(data: bytes) -> str:
    """Read a form as the site does, and make of it what its two pages do: sign somebody in, set a device."""
    comes = COMES[data[0] % len(COMES)] if data else "whole"
    found = ended(read_form(_posted(data[1:], comes)))
    if found is None:
        return f"none {comes}"
    assert comes in ("whole", "in two pieces")
    assert len(found) <= MOST_FIELDS
    assert len(data) <= 1 + LARGEST_FORM_BYTES
    wanted = local_path(found.get("next", "/"))
    assert urlsplit(urljoin(SITE, wanted)).netloc == "site.example", wanted
    answer(pages.sign_in(found.get("name", "").strip()[:64], wanted, WRONG), 403)
    return f"{len(wanted) > 1} {_set(found)}"


def _set(fields: dict[str, str]) -> str:
    """Return what an operator wants of a device; it can be sent, or the page says what is wrong."""
    shown = Shown("cam1", online=True, applied=samples.APPLIED, wanted=None, splits=())
    wanted, wrong = None, ""
    try:
        wanted = wish(fields, samples.APPLIED)
    except ValueError as error:
        wrong = str(error)
    if wanted is None:
        assert "expected a number from 0 to 1000" in wrong
        answer(device_page(shown, "token", wrong=wrong), 400)
        return "no number"
    taken_json(encode_json(changed(None, wanted.split, wanted.thresholds)), SettingsChange)
    return f"{wanted.split is not None} {bool(wanted.thresholds)}"


def _posted(body: bytes, comes: str) -> Request:
    """Return a request with that body."""
    half = len(body) // 2 if comes in ("in two pieces", "cut short") else 0
    pieces = [{"type": "http.request", "body": body[:half], "more_body": True}] if half else []
    rest = {"type": "http.request", "body": body[half:], "more_body": False}
    messages = iter([*pieces, {"type": "http.disconnect"} if comes == "cut short" else rest])
    kind = "application/json" if comes == "as JSON" else f"{FORM}; charset=utf-8"

    async def receive() -> Any:
        return next(messages)

    scope = {"type": "http", "method": "POST", "path": "/sign-in", "headers": [(b"content-type", kind.encode())]}
    return Request(scope, receive)


def live(data: bytes) -> str:
    """Come to the live socket with a query, the first line, and say the others, a word each; take the news between."""
    query, *words = data.split(b"\n")
    messages = iter([{"type": "websocket.connect"}, *map(_word, words), {"type": "websocket.disconnect"}])
    told: list[dict[str, Any]] = []

    async def receive() -> Any:
        told.append(browser.news(_news()))
        return next(messages)

    async def send(_message: Any) -> None:
        pass

    scope = {"type": "websocket", "path": "/live", "query_string": query, "headers": []}
    websocket = WebSocket(scope, receive, send)
    browser = Browser.of(websocket.query_params, RUN)
    with patch("visualizer.live.LOOK_EVERY_S", 0):
        ended(websocket.accept())
        ended(Live(_news(), Bell())._listen(websocket, browser))
    told.append(browser.news(_news()))
    assert len(browser.watched or "") <= LARGEST_WORD
    assert {one["journey"] for one in told if "journey" in one} <= {FRAME}
    msgspec.json.encode(told)
    return f"{'reset' in told[0]} {'rows' in told[0]} {any('journey' in one for one in told)}"


def _word(line: bytes) -> dict[str, Any]:
    """Return what a browser says: text, or bytes where it is none."""
    try:
        return {"type": "websocket.receive", "text": line.decode()}
    except UnicodeDecodeError:
        return {"type": "websocket.receive", "bytes": line}


@cache
def _news() -> News:
    """Return what there is to tell: one frame and its journey."""
    window = Window(4)
    window.run = RUN
    window.add("1700000000000-0", samples.RECORD)
    window.add_journey(samples.STORED_JOURNEY)
    return News(window, NoBroker(), lambda: Connection(True, 0))


def forms() -> list[bytes]:
    """Return forms of both pages, in each way in which one comes."""
    threshold = field_of("exit1", "litter")
    sign_in = urlencode({"name": "camille", "password": "pass word", "next": "/devices?x=1"}).encode()
    device = urlencode({"token": "abc", "split": "image", threshold: "0.25"}).encode()
    odd = urlencode({threshold: "much", "next": "//evil.example"}).encode()
    return [bytes([way]) + body for body in (sign_in, device, odd) for way in range(len(COMES))]


def visits() -> list[bytes]:
    """Return visits of a new browser, and of one that comes back."""
    frame = FRAME.encode()
    return [f"run={RUN}&after=0\n".encode() + frame, b"\n" + frame + b"\n\nnone", b"run=x&after=9\n\xff\n" + frame]


TARGETS = (
    Target(
        "form", "forms of the site, to sign in and to set a device", forms, form,
        tokens=(b"&", b"=", b"%00", b"%ff", b"+", b"&split=", b"&next=", b"//", b"%5c", b"nan", b"1e3"),
        most_bytes=LARGEST_FORM_BYTES + 10,
    ),
    Target(
        "live", "what browsers ask and say at the site's live socket", visits, live,
        tokens=(b"\n", b"&after=", b"&run=", RUN.encode(), FRAME.encode()),
    ),
)  # fmt: skip
