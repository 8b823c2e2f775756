"""Where a broker listens and how to prove who we are."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from headwater.errors import SettingsError
from headwater.settings import password_of


@dataclass(frozen=True, kw_only=True)
class BrokerUser:
    """Who a process is to a broker: a part of the settings of each that speaks to one."""

    username: str | None = None
    """User name at the broker."""
    password: str | None = field(default=None, repr=False)
    """Password at the broker; better given as HEADWATER_PASSWORD."""
    password_file: Path | None = None
    """File whose first line is the password at the broker."""
    ca_file: Path | None = None
    """Certificate authority that the broker's certificate is checked against (TLS)."""
    certificate: Path | None = None
    """Own certificate for the broker (TLS)."""
    key: Path | None = None
    """Key of the own certificate (TLS)."""


NOBODY: Final = BrokerUser()


@dataclass(frozen=True)
class Address:
    """Where a broker listens, and how to prove who we are."""

    host: str
    port: int
    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        if not self.tls and (self.ca_file or self.certificate or self.key):
            raise SettingsError(f"broker: {self} is not encrypted, so TLS files mean nothing; write mqtts://")
        if self.key and not self.certificate:
            raise SettingsError(f"broker: key {self.key} without a certificate; give both")

    @classmethod
    def parse(cls, url: str, **credentials: Any) -> Address:
        """Return the address in `mqtt://[user@]host[:port]` or `mqtts://…`. Raises: SettingsError."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
            host.encode("idna")
        except ValueError:
            raise _unusable(url) from None
        if parts.password is not None:
            raise SettingsError("broker: a password in the address shows in process lists; set HEADWATER_PASSWORD")
        extra = parts.path not in {"", "/"} or parts.query or parts.fragment
        if parts.scheme not in {"mqtt", "mqtts"} or not host or port == 0 or extra:
            raise _unusable(url)
        tls = parts.scheme == "mqtts"
        username = credentials.pop("username", None) or (unquote(parts.username) if parts.username else None)
        return cls(host, port or (8883 if tls else 1883), tls, username, **credentials)

    @classmethod
    def of(cls, url: str, who: BrokerUser) -> Address:
        """Return the address with what a process's settings say of who it is. Raises: SettingsError."""
        return cls.parse(
            url,
            username=who.username,
            password=password_of(who.password, who.password_file),
            ca_file=who.ca_file,
            certificate=who.certificate,
            key=who.key,
        )

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"

    def tls_context(self) -> ssl.SSLContext:
        """Return what verifies the broker and shows our certificate. Raises: SettingsError."""
        try:
            context = ssl.create_default_context(cafile=str(self.ca_file) if self.ca_file else None)
            if self.certificate:
                # With a password given, an encrypted key is an error instead of a question on the terminal.
                context.load_cert_chain(self.certificate, self.key, password="")
        except (OSError, ValueError) as error:
            raise SettingsError(f"TLS files for {self}: {error}; check CA file, certificate and key") from None
        return context


def _unusable(url: str) -> SettingsError:
    shown = url.rpartition("@")[2]  # what stands before it may be a password
    return SettingsError(f"broker: got {shown!r}, expected mqtt://HOST[:PORT] or mqtts://HOST[:PORT]")
