"""Which proxies are believed, and what they say of a request."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final

from headwater.errors import SettingsError

LOOPBACK: Final = "127.0.0.0/8,::1"
UNKNOWN: Final = "unknown"
SUBNET_BITS: Final = 64
"""Of an IPv6 address: whoever has one has all of its subnet. Source: RFC 4291, section 2.5.4."""
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")


@dataclass(frozen=True)
class Proxies:
    """Addresses whose word on a request is taken, and nobody else's."""

    networks: tuple[IPv4Network | IPv6Network, ...]

    @classmethod
    def parse(cls, text: str) -> Proxies:
        """Return those of a list such as 127.0.0.1,172.18.0.0/16. Raises: SettingsError."""
        found = []
        for one in filter(None, (part.strip() for part in text.split(","))):
            try:
                found.append(ip_network(one))
            except ValueError as error:
                raise SettingsError(f"trusted-proxy: got {one!r}: {error}; expected ADDRESS or NETWORK/BITS") from None
        if not found:
            raise SettingsError("trusted-proxy: got nothing, expected an address such as 127.0.0.1")
        return cls(tuple(found))

    def trusts(self, address: str) -> bool:
        """Tell whether a connection from that address is a proxy's."""
        try:
            found = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if isinstance(found, IPv6Address) and found.ipv4_mapped:
            found = found.ipv4_mapped
        return any(found in network for network in self.networks)

    def client(self, scope: Any) -> str:
        """Return who asks: who is connected, or whom the last proxy that is believed was asked by."""
        asking = peer(scope)
        for told in reversed(_told(scope, b"x-forwarded-for")):
            if not self.trusts(asking) or not _is_address(told):
                break
            asking = told
        return asking

    def is_https(self, scope: Any) -> bool:
        """Tell whether a proxy that is believed was asked by https."""
        told = _told(scope, b"x-forwarded-proto")
        return scope.get("scheme") in ("https", "wss") or (self.trusts(peer(scope)) and told[:1] == ["https"])


@lru_cache(1024)
def place(address: str) -> str:
    """Return what stands for everybody who may as well have that address: an IPv4 address, or a subnet of IPv6."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, IPv6Address):
        return str(found.ipv4_mapped or IPv6Network((found, SUBNET_BITS), strict=False))
    return str(found)


def peer(scope: Any) -> str:
    """Return the address at the other end of the connection."""
    client = scope.get("client")
    return str(client[0]) if client else UNKNOWN


def values(scope: Any, name: bytes) -> list[str]:
    """Return the values of a header, one for each time that it came."""
    return [value.decode("utf-8", "replace") for key, value in scope.get("headers", ()) if key.lower() == name]


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _told(scope: Any, name: bytes) -> list[str]:
    """Return the parts of a header that every proxy adds to."""
    return [part.strip() for value in values(scope, name) for part in value.split(",") if part.strip()]


def checked_header(name: str) -> str:
    """Return the name of a header. Raises: SettingsError. Source: RFC 9110, section 5.6.2."""
    if not _HEADER.fullmatch(name):
        raise SettingsError(f"trust-header: got {name!r}, expected a header's name such as X-Forwarded-User")
    return name


def checked_names(names: str) -> tuple[str, ...]:
    """Return the names in a list such as camille,sam. Raises: SettingsError where there is none."""
    found = tuple(part.strip() for part in names.split(",") if part.strip())
    if not found:
        raise SettingsError(f"operators: got {names!r}, expected names such as camille,sam")
    return found
