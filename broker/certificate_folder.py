"""A folder that holds an authority and all that it has signed.

    ca.pem, ca.key          the authority; ca.key signs, and is needed here alone
    revoked.pem             the list of certificates taken back, for mosquitto's `crlfile`
    NAME.pem, NAME.key      the newest certificate of a server or client, and its key
    issued/SERIAL.pem       every certificate that was ever signed: whoever is revoked is so with all of them

Keys are their owner's alone (0600), and what is there is replaced by `renew` only, or when it is revoked or over.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Literal, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from broker.authority import Authority, Kind, Wanted, hosts_of, key_pem, kind_of, name_of, new_key, pem
from headwater.errors import SettingsError
from headwater.files import write_whole
from headwater.topics import checked_name

State = Literal["valid", "expired", "revoked", "replaced"]
T = TypeVar("T")

OWNER_ONLY: Final = 0o600
FOR_ALL: Final = 0o644
RESERVED: Final = frozenset({"ca", "revoked"})


@dataclass(frozen=True)
class Entry:
    """One certificate that was signed, and what became of it."""

    name: str
    kind: Kind
    hosts: tuple[str, ...]
    begins: datetime
    ends: datetime
    serial: int
    state: State


class CertificateFolder:
    """An authority and its certificates; every method takes the time as `now`, in UTC and whole seconds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.revoked = path / "revoked.pem"

    def certificate(self, name: str) -> Path:
        """Return the file of a name's newest certificate."""
        return self.path / f"{name}.pem"

    def key(self, name: str) -> Path:
        """Return the file of a name's key."""
        return self.path / f"{name}.key"

    def begin(self, now: datetime, days: int) -> bool:
        """Make an authority and an empty list where there is none, and return whether that was needed."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._alone():
            if self.certificate("ca").exists():
                return False
            if self.entries(now):
                raise SettingsError(f"{self.certificate('ca')} is missing beside what it signed; put it back")
            # a key without a certificate, which is written last, is from a beginning that was cut short
            held = _read_key(self.key("ca")) if self.key("ca").exists() else None
            authority = Authority.new(now, days, held)
            (self.path / "issued").mkdir(exist_ok=True)
            write_whole(self.key("ca"), key_pem(authority.key), OWNER_ONLY)
            if not self.revoked.exists():
                write_whole(self.revoked, pem(authority.revocations({}, now)), FOR_ALL)
            write_whole(self.certificate("ca"), pem(authority.certificate), FOR_ALL)
            return True

    def add(self, wanted: Wanted, now: datetime, days: int) -> Entry:
        """Sign a certificate with a key of its own. Raises: SettingsError where one that holds is there already."""
        checked_name("name", wanted.name)
        if wanted.name in RESERVED:
            raise SettingsError(f"name: {wanted.name!r} is what a file of the authority is called; give another")
        with self._alone():
            held = next((one for one in self.entries(now) if one.name == wanted.name and one.state == "valid"), None)
            if held is not None:
                raise SettingsError(
                    f"{self.certificate(wanted.name)} is there already, until {held.ends:%Y-%m-%d}; headwater broker"
                    f" certificates renew {wanted.name} makes it last longer, revoke takes it back"
                )
            return self._sign(wanted, new_key(), now, days, write_key=True)

    def renew(self, name: str, now: datetime, days: int, *, another_key: bool = False) -> Entry:
        """Sign what is there again, for longer; the key stays unless `another_key`. Raises: SettingsError."""
        with self._alone():
            held = self._newest(name, now)
            if held.state == "revoked":
                raise SettingsError(f"{name} was revoked; headwater broker certificates {held.kind} makes a new one")
            key = new_key() if another_key else _read_key(self.key(name))
            return self._sign(Wanted(name, held.kind, held.hosts), key, now, days, write_key=another_key)

    def revoke(self, name: str, now: datetime) -> int:
        """Take back every certificate of a name that still holds, and return how many. Raises: SettingsError."""
        with self._alone():
            self._newest(name, now)
            revoked = {one.serial_number: one.revocation_date_utc for one in self._revocations()}
            fresh = [one.serial for one in self.entries(now) if one.name == name and one.state in {"valid", "replaced"}]
            if fresh:
                revoked |= dict.fromkeys(fresh, now)
                made = self.authority().revocations(revoked, now, self._revocations())
                write_whole(self.revoked, pem(made), FOR_ALL)
            return len(fresh)

    def entries(self, now: datetime) -> list[Entry]:
        """Return every certificate that was signed, by name, the newest of each first."""
        issued = [_read_certificate(path) for path in sorted((self.path / "issued").glob("*.pem"))]
        revoked = {one.serial_number for one in self._revocations()} if issued else set()
        current = {self._current(name, issued) for name in {name_of(one) for one in issued}}
        found = [_entry(one, now, revoked, current) for one in issued]
        return sorted(found, key=lambda one: (one.name, one.serial not in current, -one.ends.timestamp()))

    def authority(self) -> Authority:
        """Return the authority. Raises: SettingsError when it is not there or its key is another's."""
        if not self.certificate("ca").exists():
            raise SettingsError(f"{self.path}: no authority there; headwater broker certificates server HOST makes one")
        found = Authority(_read_certificate(self.certificate("ca")), _read_key(self.key("ca")))
        if found.certificate.public_key() != found.key.public_key():
            raise SettingsError(f"{self.key('ca')} is not the key of {self.certificate('ca')}; put the right one there")
        return found

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes from changing the folder meanwhile. Raises: SettingsError where there is none."""
        if not self.path.is_dir():
            self.authority()  # says that it is not there
        folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _current(self, name: str, issued: list[x509.Certificate]) -> int:
        """Return the serial number of a name's newest certificate: that of its file, which may have been moved away."""
        if self.certificate(name).exists():
            return _read_certificate(self.certificate(name)).serial_number
        own = [one for one in issued if name_of(one) == name]
        return max(own, key=lambda one: (one.not_valid_before_utc, one.not_valid_after_utc)).serial_number

    def _newest(self, name: str, now: datetime) -> Entry:
        found = next((one for one in self.entries(now) if one.name == name), None)
        if found is None:
            raise SettingsError(f"{self.path}: no certificate of {name!r}; headwater broker certificates list has all")
        return found

    def _sign(
        self, wanted: Wanted, key: ec.EllipticCurvePrivateKey, now: datetime, days: int, *, write_key: bool
    ) -> Entry:
        """Sign and write; the record of it first, so that nothing is ever out that cannot be revoked."""
        made = self.authority().issue(wanted, key.public_key(), now, days)
        write_whole(self.path / "issued" / f"{made.serial_number:040x}.pem", pem(made), FOR_ALL)
        if write_key:
            write_whole(self.key(wanted.name), key_pem(key), OWNER_ONLY)
        write_whole(self.certificate(wanted.name), pem(made), FOR_ALL)
        return _entry(made, now, set(), {made.serial_number})

    def _revocations(self) -> x509.CertificateRevocationList:
        return _parsed(self.revoked, x509.load_pem_x509_crl)


def _entry(certificate: x509.Certificate, now: datetime, revoked: set[int], current: set[int]) -> Entry:
    begins, ends, serial = certificate.not_valid_before_utc, certificate.not_valid_after_utc, certificate.serial_number
    state: State = "valid" if serial in current else "replaced"
    if serial in revoked:
        state = "revoked"
    elif ends < now:
        state = "expired"
    return Entry(name_of(certificate), kind_of(certificate), hosts_of(certificate), begins, ends, serial, state)


def _read_certificate(path: Path) -> x509.Certificate:
    return _parsed(path, x509.load_pem_x509_certificate)


def _read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = _parsed(path, lambda content: serialization.load_pem_private_key(content, password=None))
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise SettingsError(f"{path}: not a key that these commands made; put the right one there")
    return key


def _parsed(path: Path, parse: Callable[[bytes], T]) -> T:
    """Return what a file holds. Raises: SettingsError when it is not there or holds something else."""
    try:
        return parse(path.read_bytes())
    except FileNotFoundError:
        raise SettingsError(f"{path} is missing; put it back from where the folder was copied to") from None
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SettingsError(f"{path}: unreadable ({error}); put the right one there") from None
