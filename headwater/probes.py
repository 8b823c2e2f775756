"""Whether a server answers: one short exchange of bytes, with a deadline, without a client library."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
from urllib.parse import SplitResult, unquote, urlsplit

from headwater.address import Address
from headwater.errors import BrokerError, StoreError
from headwater.logs import without_password
from headwater.tls_words import remedy

REDIS_PORT = 6379
REDIS_SCHEMES = {"redis", "rediss", "valkey", "valkeys"}
ENCRYPTED = {"rediss", "valkeys"}


def free_port(host: str = "127.0.0.1") -> int:
    """Return a TCP port that nothing listens on now."""
    with socket.socket(_family(host)) as listener:
        listener.bind((host, 0))
        return int(listener.getsockname()[1])


def port_is_free(host: str, port: int) -> bool:
    """Return whether a server could listen on that port now."""
    with socket.socket(_family(host)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen()
        except OSError:
            return False
    return True


def server_url(scheme: str, host: str, port: int) -> str:
    """Return `scheme://host:port`, an IPv6 address in brackets."""
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def greet_mqtt(address: Address | str, timeout_s: float = 2.0) -> None:
    """Return when the broker there has accepted an MQTT 5 CONNECT.

    Source: MQTT 5.0, sections 3.1 and 3.2.

    Raises:
        SettingsError: that is no address of a broker.
        BrokerError: nothing answers there, it is no MQTT 5 broker, or it refused.
    """
    to = Address.parse(address) if isinstance(address, str) else address
    try:
        with _connection(to.host, to.port, timeout_s, to.tls_context() if to.tls else None) as link:
            link.sendall(_connect_packet(to.username, to.password))
            answer = link.recv(5)
            with contextlib.suppress(OSError):
                link.sendall(b"\xe0\x00")
    except OSError as error:
        raise BrokerError(f"no broker at {to}: {error}; {remedy(error)}") from None
    # CONNACK: type, a length of one or two bytes (its properties may be long), flags, reason.
    if len(answer) < 5 or answer[0] != 0x20:
        raise BrokerError(f"{to} answers, but not in MQTT 5 (got {answer!r}); give a broker that speaks MQTT 5")
    reason = answer[3] if answer[1] < 0x80 else answer[4]
    if reason:
        raise BrokerError(f"the broker at {to} refused with reason {reason:#04x}; check user name and password")


def ping_redis(url: str, timeout_s: float = 2.0) -> None:
    """Return when the server at `redis[s]://[user:password@]host[:port]` has answered PONG.

    Source: RESP, redis.io/docs/latest/develop/reference/protocol-spec.

    Raises:
        StoreError: that is no address of a store, nothing answers there, or something else than PONG.
    """
    address = checked_store_address(url)
    host, port = address.hostname or "127.0.0.1", address.port or REDIS_PORT
    where = f"{host}:{port}"
    words = [unquote(word) for word in (address.username, address.password) if word]
    try:
        tls = ssl.create_default_context() if address.scheme in ENCRYPTED else None
        with _connection(host, port, timeout_s, tls) as link, link.makefile("rb") as answers:
            if words:
                link.sendall(_resp("AUTH", *words))
                answers.readline()
            link.sendall(_resp("PING"))
            answer = answers.readline().strip().decode(errors="replace")
    except OSError as error:
        raise StoreError(f"no store at {where}: {error}; start one with: headwater store run") from None
    if answer != "+PONG":
        raise StoreError(f"the store at {where} answers {answer!r} to PING, expected '+PONG'")


def checked_store_address(url: str) -> SplitResult:
    """Return the parts of `redis[s]://[user:password@]host[:port]`. Raises: StoreError, without the password."""
    try:
        address = urlsplit(url)
        (address.hostname or "").encode("idna")
        usable = "://" in url and address.scheme in REDIS_SCHEMES and address.port != 0
    except ValueError:  # its text may quote the password
        usable = False
    if not usable:
        shown = without_password(url)
        raise StoreError(
            f"store: got {shown!r}, expected redis://HOST[:PORT] or rediss://HOST[:PORT]; correct the address"
        )
    return address


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _connection(host: str, port: int, timeout_s: float, tls: ssl.SSLContext | None) -> socket.socket:
    link = socket.create_connection((host, port), timeout=timeout_s)
    if tls is None:
        return link
    try:
        return tls.wrap_socket(link, server_hostname=host)
    except OSError:
        link.close()
        raise


def _connect_packet(username: str | None, password: str | None) -> bytes:
    """Return a CONNECT with clean start and 60 s keep-alive."""
    words = [word.encode() for word in (username, password) if word is not None]
    flags = 0x02 | (0x80 if username is not None else 0) | (0x40 if password is not None else 0)
    client = f"headwater-probe-{os.getpid()}".encode()
    payload = b"".join(len(word).to_bytes(2, "big") + word for word in (client, *words))
    body = b"\x00\x04MQTT\x05" + bytes([flags]) + b"\x00\x3c\x00" + payload
    return b"\x10" + _variable_length(len(body)) + body


def _variable_length(number: int) -> bytes:
    """Return a length as MQTT writes it. Source: MQTT 5.0, section 1.5.5."""
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _resp(*words: str) -> bytes:
    parts = [f"*{len(words)}\r\n".encode()]
    parts += [f"${len(word.encode())}\r\n{word}\r\n".encode() for word in words]
    return b"".join(parts)
