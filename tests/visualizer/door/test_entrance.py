"""What the site can be told about who may look, and what it refuses to start with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from headwater.address import BrokerUser
from headwater.errors import SettingsError
from tests.visualizer.door.asking import write
from visualizer.door.entrance import entrance, operator_address
from visualizer.door.logins import ProxyLogin, UserLogin
from visualizer.settings import SiteSettings


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.168.1.5"])
def test_a_site_that_others_reach_asks_who_they_are_or_is_told_not_to(address: str, tmp_path: Path) -> None:
    """One clear line instead of a site that everybody reads."""
    with pytest.raises(SettingsError, match=rf"host: {address} can be reached by others.*--users FILE.*--open-to-all"):
        entrance(SiteSettings(), address)
    assert entrance(SiteSettings(open_to_all=True), address).login is None
    users = write(tmp_path / "users", camille="viewer")
    assert isinstance(entrance(SiteSettings(users=users), address).login, UserLogin)
    assert isinstance(entrance(SiteSettings(trust_header="Remote-User"), address).login, ProxyLogin)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_site_of_this_machine_alone_asks_nobody(address: str) -> None:
    """As before."""
    assert entrance(SiteSettings(), address).login is None


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"users": Path("u"), "trust_header": "X"}, "--users: got --trust-header too"),
        ({"users": Path("u"), "open_to_all": True}, "--open-to-all: got --users or --trust-header too"),
        ({"trust_header": "X Y"}, "trust-header: got 'X Y'"),
        ({"operators": "sam"}, "--operators: names come with --trust-header"),
        ({"trust_header": "X", "operators": ","}, "operators: got ','"),
        ({"trusted_proxy": "proxy"}, "trusted-proxy: got 'proxy'"),
        ({"session_hours": 0.0}, "--session-hours: got 0.0, expected 0.01 to 720"),
        ({"operator_username": "o"}, "expected --operator-password-file or --operator-certificate with it"),
        ({"operator_password_file": Path("p")}, "expected --operator-username with it"),
        ({"operator_key": Path("k")}, "expected --operator-certificate with it"),
        ({"operator_certificate": Path("c")}, "expected --broker, and --users or --trust-header"),
        (
            {"operator_username": "o", "operator_password_file": Path("p"), "users": Path("u")},
            "expected --broker, and --users or --trust-header",
        ),
        (
            {"operator_username": "o", "operator_password_file": Path("p"), "broker": "mqtt://b"},
            "expected --broker, and --users or --trust-header",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused(said: dict[str, Any], why: str) -> None:
    """Before anything is opened."""
    with pytest.raises(SettingsError) as refused:
        SiteSettings(**said)
    assert why in str(refused.value)


def test_the_brokers_operator_has_a_password_file(tmp_path: Path) -> None:
    """The error names its own flag."""
    users = write(tmp_path / "users", sam="operator")
    told: dict[str, Any] = {"users": users, "broker": "mqtt://127.0.0.1:1", "operator_username": "operator"}
    with pytest.raises(SettingsError, match=r"--operator-password-file: .*secret: No such file"):
        entrance(SiteSettings(**told, operator_password_file=tmp_path / "secret"), "127.0.0.1")
    (tmp_path / "secret").write_text("word\n")
    assert entrance(SiteSettings(**told, operator_password_file=tmp_path / "secret"), "127.0.0.1").setter is not None


def test_the_brokers_operator_may_have_a_certificate_of_its_own(tmp_path: Path) -> None:
    """A broker may take the user's name from it; without one the site's own opens the door, and a password is said."""
    users = write(tmp_path / "users", sam="operator")
    (tmp_path / "secret").write_text("word\n")
    told: dict[str, Any] = {"users": users, "broker": "mqtts://127.0.0.1:1"}
    told |= {"user": BrokerUser(certificate=Path("site.pem"), key=Path("site.key"))}
    own = {"operator_certificate": Path("operator.pem"), "operator_key": Path("operator.key")}
    named = {"operator_username": "operator", "operator_password_file": tmp_path / "secret"}
    for more, expected in (
        (own, (None, "operator.pem", "operator.key")), (named, ("operator", "site.pem", "site.key")),
        (own | named, ("operator", "operator.pem", "operator.key")),
    ):  # fmt: skip
        address = operator_address(SiteSettings(**told, **more))
        assert address is not None
        assert (address.username, str(address.certificate), str(address.key)) == expected
    assert operator_address(SiteSettings(**told)) is None
