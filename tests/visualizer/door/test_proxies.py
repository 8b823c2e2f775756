"""Whose word is taken on who asks, and from where."""

from __future__ import annotations

from typing import Any

import pytest

from headwater.errors import SettingsError
from visualizer.door.logins import ProxyLogin
from visualizer.door.proxies import LOOPBACK, Proxies, checked_header, checked_names
from visualizer.door.visitor import TurnedAway, Visitor

HEADER = "X-Forwarded-User"


def scope(peer: str | None = "127.0.0.1", **headers: str | list[str]) -> Any:
    """Return a request from there with these headers."""
    told = [
        (name.replace("_", "-").encode(), value.encode())
        for name, values in headers.items()
        for value in ([values] if isinstance(values, str) else values)
    ]
    return {"type": "http", "scheme": "http", "client": (peer, 1) if peer else None, "headers": told}


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("::ffff:127.0.0.1", True), ("172.18.0.5", True),
        ("172.19.0.5", False), ("::2", False), ("localhost", False), ("", False), ("unknown", False),
    ],
)  # fmt: skip
def test_addresses_and_networks_are_trusted_and_no_others(address: str, expected: bool) -> None:
    """Loopback by default, and what is listed."""
    assert Proxies.parse(f"{LOOPBACK}, 172.18.0.0/16").trusts(address) is expected


@pytest.mark.parametrize("text", ["", " , ", "proxy.example", "172.18.0.5/16", "1.2.3.4.5"])
def test_a_list_that_is_none_is_refused(text: str) -> None:
    """Names could be pointed elsewhere; host bits are a slip."""
    with pytest.raises(SettingsError, match="trusted-proxy: got"):
        Proxies.parse(text)


def test_the_proxy_that_is_believed_says_from_where_and_nobody_further_out() -> None:
    """The last entry is what it saw itself; those before it anybody may have written."""
    proxies = Proxies.parse("127.0.0.1,10.0.0.0/8")
    assert proxies.client(scope(x_forwarded_for="6.6.6.6, 192.0.2.7")) == "192.0.2.7"
    assert proxies.client(scope(x_forwarded_for="6.6.6.6, 192.0.2.7, 10.1.1.1")) == "192.0.2.7"
    assert proxies.client(scope(x_forwarded_for=["192.0.2.7", "10.1.1.1"])) == "192.0.2.7"
    assert proxies.client(scope("192.0.2.9", x_forwarded_for="127.0.0.1")) == "192.0.2.9"
    assert proxies.client(scope(x_forwarded_for="<script>")) == "127.0.0.1"
    assert proxies.client(scope(None, x_forwarded_for="192.0.2.7")) == "unknown"


def test_https_is_what_a_proxy_that_is_believed_says() -> None:
    """Anybody could say it."""
    proxies = Proxies.parse(LOOPBACK)
    assert proxies.is_https(scope(x_forwarded_proto="https"))
    assert not proxies.is_https(scope("192.0.2.9", x_forwarded_proto="https"))
    assert not proxies.is_https(scope(x_forwarded_proto="http"))
    assert not proxies.is_https(scope())


def login(**more: Any) -> ProxyLogin:
    return ProxyLogin(HEADER, Proxies.parse(LOOPBACK), **more)


def test_whom_the_proxy_names_may_look_and_operators_are_listed() -> None:
    """A role in a header would have to be kept from clients too; a list is not in their hands."""
    asked = login(operators=("sam",))
    assert asked.visitor(scope(x_forwarded_user="camille")) == Visitor("camille", "viewer")
    assert asked.visitor(scope(x_forwarded_user="sam")) == Visitor("sam", "operator")
    assert asked.visitor(scope(x_forwarded_user="Sam")) == Visitor("Sam", "viewer")


@pytest.mark.parametrize(
    ("request_", "status", "why"),
    [
        (scope("192.0.2.9", x_forwarded_user="sam"), 403, "X-Forwarded-User came from 192.0.2.9, which is no"),
        (scope("192.0.2.9"), 403, "asked by 192.0.2.9, which is no --trusted-proxy"),
        (scope(None, x_forwarded_user="sam"), 403, "came from unknown"),
        (scope(x_forwarded_user=["mallory", "sam"]), 403, "came 2 times"),
        (scope(), 401, "the proxy named nobody"),
        (scope(x_forwarded_user="  "), 401, "the proxy named nobody"),
        (scope(x_forwarded_user="x" * 129), 403, "expected a name of at most 128"),
        (scope(x_forwarded_user="sam\u202e"), 403, "all printable"),
    ],
)
def test_everybody_else_is_turned_away(request_: Any, status: int, why: str) -> None:
    """With a line that says what to do."""
    found = login(operators=("sam",)).visitor(request_)
    assert isinstance(found, TurnedAway)
    assert found.status == status
    assert why in found.why


def test_names_in_settings_are_checked() -> None:
    """Headers as RFC 9110 has them, and at least one operator."""
    assert checked_header("Remote-User") == "Remote-User"
    assert checked_names(" camille, sam,") == ("camille", "sam")
    for wrong in ("", "X User", "X:User", "x" * 65):
        with pytest.raises(SettingsError, match="trust-header: got"):
            checked_header(wrong)
    with pytest.raises(SettingsError, match="operators: got"):
        checked_names(" , ")
