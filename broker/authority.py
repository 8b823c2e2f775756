"""An authority of one's own: it signs certificates for a broker and its clients, and lists those that it takes back.

Pure: what is signed is returned, nothing is read or written, and the time is an argument.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from headwater.errors import SettingsError

Kind = Literal["server", "client"]

SLACK: Final = timedelta(minutes=5)
"""Certificates and lists hold from so long before they were made: clocks elsewhere may be late."""
USAGES: Final = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}
THIS_MACHINE: Final = ("localhost", "127.0.0.1", "::1")

_HOST: Final = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\Z")


@dataclass(frozen=True)
class Wanted:
    """What a certificate is to say: whose it is, and of a server under which names and addresses it is reached."""

    name: str
    kind: Kind
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Authority:
    """A certificate that signs others, and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def new(cls, now: datetime, days: int, key: ec.EllipticCurvePrivateKey | None = None) -> Authority:
        """Return a new authority that holds for so many days, with a key of its own unless one is given."""
        key = key or new_key()
        name = _named("Headwater authority")
        builder = (
            _begun(name, name, key.public_key(), now, now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs=True), critical=True)
        )
        return cls(builder.sign(key, hashes.SHA256()), key)

    def issue(self, wanted: Wanted, key: ec.EllipticCurvePublicKey, now: datetime, days: int) -> x509.Certificate:
        """Return a signed certificate for that key. Raises: SettingsError when it would outlive the authority."""
        last = self.certificate.not_valid_after_utc
        most = max(0, (last - now).days)
        if not 1 <= days <= most:
            raise SettingsError(
                f"--days: got {days}, expected 1 to {most}: the authority itself ends on {last:%Y-%m-%d}; give fewer"
            )
        builder = (
            _begun(_named(wanted.name), self.certificate.subject, key, now, now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([USAGES[wanted.kind]]), critical=False)
            .add_extension(self._identifier(), critical=False)
        )
        if wanted.kind == "server":
            hosts = [general_name(host) for host in dict.fromkeys([*wanted.hosts, *THIS_MACHINE])]
            builder = builder.add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def revocations(
        self, revoked: Mapping[int, datetime], now: datetime, before: x509.CertificateRevocationList | None = None
    ) -> x509.CertificateRevocationList:
        """Return the list of the certificates that are taken back: when each, by serial number.

        It holds as long as the authority, since a broker with a list that has ended lets nobody in at all. Where a
        broker has read several it takes the newest, so each is dated at least a second after the one `before`.
        """
        dated, number = now - SLACK, 1
        if before is not None:
            dated = max(dated, before.last_update_utc + timedelta(seconds=1))
            number = before.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number + 1
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(dated)
            .next_update(self.certificate.not_valid_after_utc)
            .add_extension(x509.CRLNumber(number), critical=False)
            .add_extension(self._identifier(), critical=False)
        )
        for serial, when in sorted(revoked.items()):
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(when).build()
            builder = builder.add_revoked_certificate(entry)
        return builder.sign(self.key, hashes.SHA256())

    def _identifier(self) -> x509.AuthorityKeyIdentifier:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a new key on P-256, which every TLS library of a broker or a small device knows."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a key as PEM, not encrypted: a service has nobody to ask for a passphrase."""
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)


def pem(signed: x509.Certificate | x509.CertificateRevocationList) -> bytes:
    """Return a certificate or list as PEM."""
    return signed.public_bytes(serialization.Encoding.PEM)


def general_name(host: str) -> x509.GeneralName:
    """Return a host as a certificate says it: an address or a name. Raises: SettingsError."""
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        name = host.encode("idna").decode()
    except UnicodeError:
        name = ""
    if not _HOST.match(name):
        raise SettingsError(
            f"host: got {host[:80]!r}, expected a name such as broker.example, or an address; correct it"
        )
    return x509.DNSName(name)


def name_of(certificate: x509.Certificate) -> str:
    """Return whose certificate it is: the common name, which mosquitto takes as the user's."""
    (found,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found.value)


def kind_of(certificate: x509.Certificate) -> Kind:
    """Return what a certificate of ours is for."""
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    return "server" if ExtendedKeyUsageOID.SERVER_AUTH in usage else "client"


def hosts_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the names and addresses that a certificate is for; none for a client's."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(str(one.value) for one in names)


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SLACK)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _key_usage(*, signs: bool) -> x509.KeyUsage:
    """Return what a key may do: sign certificates and lists, or prove who one is."""
    never = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    rest = dict.fromkeys([*never, "encipher_only", "decipher_only"], False)
    return x509.KeyUsage(digital_signature=not signs, key_cert_sign=signs, crl_sign=signs, **rest)
