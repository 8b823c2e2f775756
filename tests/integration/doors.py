"""What attacks on a broker are tried with: an authority with all kinds of clients, a hardened mosquitto, raw TLS."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import ssl
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

from broker.access import Fleet, access_list
from broker.authority import Wanted
from broker.certificate_folder import CertificateFolder
from broker.hardened import hardened_configuration, start_hardened
from headwater.address import Address
from headwater.servers import RunningServer
from tests.integration.party import Party

FLEETS = (Fleet("demo", ("camera-1", "camera-2", "camera-3")), Fleet("harbour", ("quay-1",)))
CLIENTS = ("camera-1", "camera-2", "camera-3", "quay-1", "worker-demo", "visualizer-demo", "operator-demo", "stranger")


def now() -> datetime:
    """Return the time as certificates say it."""
    return datetime.now(UTC).replace(microsecond=0)


def new_place(path: Path) -> CertificateFolder:
    """Return a folder with an authority, a broker, clients, one that has ended and one that was revoked."""
    place, long_ago = CertificateFolder(path), now() - timedelta(days=20)
    place.begin(long_ago, 3650)
    place.add(Wanted("broker", "server", ("127.0.0.1",)), now(), 30)
    for user in CLIENTS:
        place.add(Wanted(user, "client"), now(), 30)
    place.add(Wanted("late", "client"), long_ago, 10)
    place.add(Wanted("lost", "client"), now(), 30)
    place.revoke("lost", now())
    (path / "acl").write_text(access_list(FLEETS))
    return place


def address(place: CertificateFolder, user: str, url: str) -> Address:
    """Return a door's address for a user of that folder."""
    files = {"ca_file": place.certificate("ca"), "certificate": place.certificate(user), "key": place.key(user)}
    return Address.parse(url, **files)


def context_of(ca: Path, certificate: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
    """Return what a client of that authority shows, if anything."""
    context = ssl.create_default_context(cafile=str(ca))
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context


def old_context(ca: Path) -> ssl.SSLContext:
    """Return a client that speaks TLS 1.1 and nothing newer."""
    context = context_of(ca)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    return context


def told(port: int, context: ssl.SSLContext, patience_s: float = 10.0) -> str:
    """Return what a client is told that shakes hands and then only listens: the error's text, or that it is let in."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as line:
        try:
            with context.wrap_socket(line, server_hostname="127.0.0.1") as link:
                link.settimeout(patience_s)
                return "closed" if not link.recv(1) else "answered"
        except ssl.SSLError as error:
            return str(error)
        except TimeoutError:
            return "let in"


@contextlib.contextmanager
def line_of(port: int, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    """Yield an encrypted line on which MQTT can be spoken by hand."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as line,
        context.wrap_socket(line, server_hostname="127.0.0.1") as link,
    ):
        yield link


def connect_packet(client: str) -> bytes:
    """Return a CONNECT of MQTT 5 with clean start and a keep-alive of 60 s. Source: MQTT 5.0, section 3.1."""
    name = client.encode()
    body = b"\x00\x04MQTT\x05\x02\x00\x3c\x00" + len(name).to_bytes(2, "big") + name
    return b"\x10" + bytes([len(body)]) + body


def with_numbers(**instead: int) -> Callable[[str], str]:
    """Return what changes settings of a configuration, the first of each name, so that bounds are soon reached."""

    def change(text: str) -> str:
        for name, value in instead.items():
            text, changed = re.subn(rf"^{name} \d+$", f"{name} {value}", text, count=1, flags=re.MULTILINE)
            assert changed == 1, name
        return text

    return change


@contextlib.contextmanager
def changed_broker(place: CertificateFolder, folder: Path, change: Callable[[str], str]) -> Iterator[RunningServer]:
    """Yield the hardened mosquitto with another configuration than the shipped one."""

    def configuration(*arguments: Any) -> str:
        return change(hardened_configuration(*arguments))

    with (
        patch("broker.hardened.hardened_configuration", configuration),
        start_hardened(place.path, folder=folder) as broker,
    ):
        yield broker


def cut(party: Party) -> None:
    """End a connection without a word, as a cable that is pulled."""
    line = party.session._client.socket()
    assert line is not None
    os.set_blocking(line.fileno(), True)
    line.shutdown(socket.SHUT_RDWR)
