"""Under which names the site answers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from headwater.errors import SettingsError
from tests.visualizer.listed_store import ListedStore
from visualizer.app import create_app
from visualizer.devices import NoBroker
from visualizer.security import KnownHosts, checked_public_name, is_loopback

LOOPBACK = ("127.0.0.1:8050", "127.0.0.1", "localhost:1", "LocalHost", "[::1]:8050", "[::1]", "127.0.0.2:80")
STRANGE = (
    "evil.example", "evil.example:8050", "127.0.0.1.evil.example", "localhost.evil.example", "[::1]evil", "", ":8050",
    "192.168.1.5:8050", "[2001:db8::1]", "[::1", "127.0.0.1:8050:1", "127.0.0.1@evil.example", "site.example",
)  # fmt: skip


@pytest.mark.parametrize("host", LOOPBACK)
def test_loopback_names_are_known_at_any_port(host: str) -> None:
    """They are how people on this machine reach the site, through a forwarded port too."""
    assert KnownHosts(None).knows(host)


@pytest.mark.parametrize("host", STRANGE)
def test_other_names_are_strange(host: str) -> None:
    """A name that somebody pointed at this machine is not the site's."""
    assert not KnownHosts(None).knows(host)


def test_a_public_name_is_known_where_it_was_given() -> None:
    """A proxy passes on the name that people use; its port does not matter."""
    hosts = KnownHosts(None, checked_public_name("Site.Example"))
    assert hosts.knows("site.example:443")
    assert not hosts.knows("other.example")


@pytest.mark.parametrize("name", ["site.example:80", "https://site.example", "a b", "", "-", "x" * 300])
def test_a_public_name_that_is_none_is_refused(name: str) -> None:
    """It says what was expected."""
    with pytest.raises(SettingsError, match="public-name: got"):
        checked_public_name(name)


@pytest.mark.parametrize(
    ("address", "expected"),
    [("127.0.0.1", True), ("::1", True), ("0.0.0.0", False), ("::", False), ("::2", False)],
)
def test_a_loopback_address_is_told_from_others(address: str, expected: bool) -> None:
    """The site restricts itself only where it listens for this machine alone."""
    assert is_loopback(address) is expected


def first_answer(asgi: Any, kind: str, path: str, hosts: list[bytes]) -> dict[str, Any]:
    """Return the first message that the site sends for a request."""
    scope = {
        "type": kind, "path": path, "raw_path": path.encode(), "method": "GET", "query_string": b"", "root_path": "",
        "http_version": "1.1", "scheme": "http", "headers": [(b"host", host) for host in hosts],
    }  # fmt: skip
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": f"{kind}.request" if kind == "http" else "websocket.connect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(asgi(scope, receive, send))
    return sent[0]


@pytest.mark.parametrize("path", ["/", "/health", "/_dash-layout", "/live"])
def test_every_address_of_the_site_checks_the_name(path: str) -> None:
    """Pages and Dash's own endpoints alike; without a name, or with two, nothing is answered either."""
    asgi = create_app(ListedStore(), NoBroker()).asgi
    for hosts in ([b"evil.example:8050"], [], [b"127.0.0.1", b"evil.example"]):
        assert first_answer(asgi, "http", path, hosts)["status"] == 400
    assert first_answer(asgi, "websocket", path, [b"evil.example"])["type"] == "websocket.close"


def test_a_site_that_listens_elsewhere_answers_every_name() -> None:
    """It cannot know under which name its readers reach it."""
    asgi = create_app(ListedStore(), NoBroker(), known_hosts=False).asgi
    assert first_answer(asgi, "http", "/health", [b"site.example"])["status"] == 200
