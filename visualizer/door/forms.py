"""Reads what a browser sends with a form, bounded, and answers with a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse

from visualizer.door.pages import HEADERS
from visualizer.door.visitor import VISITOR, Visitor

LARGEST_FORM_BYTES: Final = 65_536
MOST_FIELDS: Final = 1100
"""A device's thresholds are 32 exits of 32 tasks at most."""
FORM: Final = "application/x-www-form-urlencoded"


async def read_form(request: Request) -> dict[str, str] | None:
    """Return the fields of a form by name, or None for what is none of this site's."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        return None
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > LARGEST_FORM_BYTES:
                return None
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS))
    except (ClientDisconnect, ValueError):  # gone, not UTF-8, or more fields than a form of ours has
        return None


def answer(page: str, status: int = 200, more: Mapping[str, str] | None = None) -> HTMLResponse:
    """Return a page of the door with its headers."""
    return HTMLResponse(page, status, headers={**HEADERS, **(more or {})})


def go(path: str) -> RedirectResponse:
    """Return the way to another page of this site, after a form or instead of one."""
    return RedirectResponse(path, 303, headers=HEADERS)


def visitor_of(request: Request) -> Visitor:
    """Return who asks: the gate lets nobody through without."""
    found: Visitor = request.scope[VISITOR]
    return found
