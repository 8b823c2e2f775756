"""The pages at the door: plain HTML with one style, no script, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Final

from visualizer.door.visitor import STYLE, Visitor

STYLE_SHEET: Final = Path(__file__).parent / "door.css"
POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "style-src 'self'",
        "img-src data:",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""Of these pages. Source: W3C CSP Level 3."""
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",  # with no-referrer browsers would not say where a form comes from
}


def page(title: str, body: str) -> str:
    """Return a whole page; `body` is HTML."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{escape(title)} · Headwater</title>\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="robots" content="noindex">\n'
        f'<link rel="icon" href="data:,">\n<link rel="stylesheet" href="{STYLE}">\n</head>\n<body>\n'
        '<main>\n<p class="brand"><span class="mark" aria-hidden="true"></span><strong>Headwater</strong></p>\n'
        f"{body}\n</main>\n</body>\n</html>\n"
    )


def sign_in(name: str, next_path: str, wrong: str = "") -> str:
    """Return the page that asks for name and password; `wrong` says why it asks again."""
    focus_name, focus_password = ("", " autofocus") if name else (" autofocus", "")
    described = ' aria-describedby="wrong"' if wrong else ""
    return page(
        "Sign in",
        "<h1>Sign in</h1>\n"
        + said(wrong)
        + '<form method="post" action="/sign-in">\n'
        + hidden({"next": next_path})
        + '<label for="name">Name</label>\n'
        '<input id="name" name="name" autocomplete="username" autocapitalize="none" autocorrect="off" '
        f'spellcheck="false" maxlength="64" required value="{escape(name)}"{focus_name}>\n'
        '<label for="password">Password</label>\n'
        '<input id="password" name="password" type="password" autocomplete="current-password" maxlength="256" '
        f"required{described}{focus_password}>\n"
        '<button type="submit">Sign in</button>\n</form>\n',
    )


def sign_out(visitor: Visitor, token: str | None) -> str:
    """Return the page that tells who is signed in; without a token it was a proxy that asked."""
    who = f"<h1>{escape(visitor.name)}</h1>\n<p>{_may(visitor)}</p>\n"
    if token is None:
        form = "<p>A proxy has asked who you are; sign out there.</p>\n"
    else:
        form = (
            '<form method="post" action="/sign-out">\n'
            + hidden({"token": token})
            + '<button type="submit">Sign out</button>\n</form>\n'
        )
    return page("Signed in", f'{who}{form}<p class="back"><a href="/">Back to the live map</a></p>')


def refusal(title: str, why: str, way: tuple[str, str]) -> str:
    """Return a page that says why not, and where to go instead: an address and its name."""
    address, text = way
    back = f'<p class="back"><a href="{escape(address)}">{escape(text)}</a></p>'
    return page(title, f"<h1>{escape(title)}</h1>\n{said(why)}{back}")


def said(wrong: str) -> str:
    """Return what went wrong, spoken at once to those who listen, or nothing."""
    return f'<p class="wrong" id="wrong" role="alert">{escape(wrong)}</p>\n' if wrong else ""


def hidden(fields: Mapping[str, str]) -> str:
    """Return what a form carries without showing it."""
    return "".join(f'<input type="hidden" name="{escape(k)}" value="{escape(v)}">\n' for k, v in fields.items())


def _may(visitor: Visitor) -> str:
    if visitor.role == "operator":
        return "Signed in as an operator: you see everything, and may set devices where the site was started for it."
    return "Signed in as a viewer: you see everything and change nothing."
