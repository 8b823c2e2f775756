"""From what the site was told to who may look at it, and who may set its devices."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from headwater.address import Address
from headwater.errors import SettingsError
from headwater.settings import password_of
from visualizer.door.logins import ProxyLogin, UserLogin
from visualizer.door.proxies import LOOPBACK, Proxies, checked_names
from visualizer.door.sessions import Sessions
from visualizer.door.users import Users
from visualizer.door.visitor import Login
from visualizer.security import is_loopback
from visualizer.setter import DeviceSetter, Setter

if TYPE_CHECKING:
    from visualizer.settings import SiteSettings


@dataclass(frozen=True)
class Entrance:
    """Who may look: everybody where there is no login; and who sets devices for operators: nobody without a setter."""

    login: Login | None = None
    proxies: Proxies = field(default_factory=lambda: Proxies.parse(LOOPBACK))
    setter: Setter | None = None


def entrance(settings: SiteSettings, listens_on: str) -> Entrance:
    """Return the entrance of a site that listens on that address. Raises: SettingsError, also for an open one."""
    if not (settings.asks_who or settings.open_to_all or is_loopback(listens_on)):
        raise SettingsError(
            f"host: {listens_on} can be reached by others, and the site would ask nobody who they are; give --users "
            "FILE or --trust-header NAME, or --open-to-all where everybody who reaches it may look"
        )
    proxies = Proxies.parse(settings.trusted_proxy)
    address = operator_address(settings)
    return Entrance(_login(settings, proxies), proxies, DeviceSetter(address, settings.fleet) if address else None)


def _login(settings: SiteSettings, proxies: Proxies) -> Login | None:
    if settings.users is not None:
        return UserLogin(Users(settings.users), Sessions(settings.session_hours * 3600), proxies, settings.fleet)
    if settings.trust_header is not None:
        operators = checked_names(settings.operators) if settings.operators else ()
        return ProxyLogin(settings.trust_header, proxies, operators)
    return None


def operator_address(settings: SiteSettings) -> Address | None:
    """Return the broker's address for its operator, None where the site sets no devices. Raises: SettingsError."""
    if not settings.sets_devices or settings.broker is None:
        return None
    certificate, key = settings.operator_certificate, settings.operator_key
    if certificate is None:  # the site's own, where the broker asks everybody for one
        certificate, key = settings.user.certificate, settings.user.key
    return Address.parse(
        settings.broker,
        username=settings.operator_username,
        password=password_of(None, settings.operator_password_file, "--operator-password-file"),
        ca_file=settings.user.ca_file,
        certificate=certificate,
        key=key,
    )
