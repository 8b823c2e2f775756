"""Commands for an authority of one's own and its certificates."""

from __future__ import annotations

import json as json_text
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

if TYPE_CHECKING:
    from broker.certificate_folder import CertificateFolder, Entry

FOLDER = Path("certificates")
AUTHORITY_DAYS = 3650
DAYS = 825


def server(*hosts: str, called: str = "broker", authority: Path = FOLDER, days: int = DAYS) -> None:
    """Make a server's certificate and key, and the authority that signs them where there is none yet.

    It is for the hosts that are given, and for localhost. The first call makes the authority, which holds for ten
    years: its ca.pem is what clients check the broker against; ca.key signs, so keep it away from broker and
    devices. Nothing that is there is written over.

    Example: headwater broker certificates server broker.example 192.168.1.10

    Example: headwater broker certificates server store.example --called store

    Args:
        hosts: names and addresses by which clients reach the server
        called: what its files are called
        authority: the folder of the authority, with all certificates and keys
        days: how long the certificate holds
    """
    from broker.authority import Wanted, general_name
    from headwater.errors import SettingsError

    if not hosts:
        raise SettingsError("hosts: got none, expected the names and addresses by which clients reach the server")
    for host in hosts:
        general_name(host)
    place, now = _place(authority), _now()
    if place.begin(now, AUTHORITY_DAYS):
        print(f"authority  {place.certificate('ca')}, for {AUTHORITY_DAYS} days; keep {place.key('ca')} to yourself")
    _told(place, place.add(Wanted(called, "server", hosts), now, days))


def client(*clients: str, authority: Path = FOLDER, days: int = DAYS) -> None:
    """Make certificates and keys by which devices, workers and the site prove who they are.

    A certificate's common name is the user's name at the broker: a device's is its --name. Give each its own
    NAME.pem and NAME.key, and ca.pem; --certificate, --key and --ca-file then name them.

    Example: headwater broker certificates client camera-1 camera-2 worker visualizer

    Args:
        clients: whose certificates to make
        authority: the folder of the authority, with all certificates and keys
        days: how long the certificates hold
    """
    from broker.authority import Wanted

    place = _place(authority)
    for user in _some(clients, "clients"):
        _told(place, place.add(Wanted(user, "client"), _now(), days))


def renew(
    *names: str,
    within: Annotated[int | None, Parameter(validator=Number(gte=0, lte=36_500))] = None,
    authority: Path = FOLDER,
    days: int = DAYS,
    new_key: bool = False,
) -> None:
    """Make certificates last longer, before they end or after.

    The key stays, so that only the new NAME.pem must be brought to where it is used; the old one holds on until
    its own end, and both are revoked together.

    Example: headwater broker certificates renew camera-1

    Example: headwater broker certificates renew --within 60

    Args:
        names: whose certificates to renew
        within: renew all that still hold and end within so many days, instead of names
        authority: the folder of the authority, with all certificates and keys
        days: how long the new certificates hold
        new_key: make a new key, too; then both files must be brought there
    """
    from datetime import timedelta

    from headwater.errors import SettingsError

    place, now = _place(authority), _now()
    if (within is None) == (not names):
        raise SettingsError("renew: got neither or both of names and --within, expected one of the two")
    if within is not None:
        until = now + timedelta(days=within)
        names = tuple(one.name for one in place.entries(now) if one.state == "valid" and one.ends <= until)
        print(f"{len(names)} certificates end within {within} days")
    for name in names:
        _told(place, place.renew(name, now, days, another_key=new_key))


def revoke(*names: str, authority: Path = FOLDER) -> None:
    """Take certificates back: all that was ever signed for a name and has not ended.

    Writes revoked.pem, the list that mosquitto reads (crlfile) when it starts and at SIGHUP. Bring it there, and
    restart the broker: a SIGHUP keeps the revoked out only from their next connection on.

    Example: headwater broker certificates revoke camera-1

    Args:
        names: whose certificates to take back
        authority: the folder of the authority, with all certificates and keys
    """
    place, now = _place(authority), _now()
    for name in _some(names, "names"):
        print(f"revoked    {name}: {place.revoke(name, now)} certificates")
    print(f"list       {place.revoked}; give it to the broker and restart it")


def list_certificates(*, authority: Path = FOLDER, json: bool = False) -> None:
    """List the certificates that were made: for whom, until when, and which no longer hold.

    Example: headwater broker certificates list

    Args:
        authority: the folder of the authority, with all certificates and keys
        json: print JSON instead of the table
    """
    now, place = _now(), _place(authority)
    place.authority()
    entries = place.entries(now)
    if json:
        print(json_text.dumps([_plain(one, now) for one in entries], indent=1))
        return
    for one in entries:
        left = f"{(one.ends - now).days} days" if one.state == "valid" else ""
        print(
            f"{one.name:<24} {one.kind:<7} {one.state:<9} {one.ends:%Y-%m-%d} {left:<10} {' '.join(one.hosts)}".rstrip()
        )


def _plain(entry: Entry, now: datetime) -> dict[str, object]:
    return {
        "name": entry.name,
        "kind": entry.kind,
        "state": entry.state,
        "begins": entry.begins.isoformat(),
        "ends": entry.ends.isoformat(),
        "days": (entry.ends - now).days,
        "hosts": list(entry.hosts),
        "serial": f"{entry.serial:x}",
    }


def _some(names: tuple[str, ...], what: str) -> tuple[str, ...]:
    """Return the names, at least one, each once. Raises: SettingsError."""
    from headwater.errors import SettingsError

    if not names:
        raise SettingsError(f"{what}: got none, expected at least one, such as camera-1")
    return tuple(dict.fromkeys(names))


def _place(folder: Path) -> CertificateFolder:
    from broker.certificate_folder import CertificateFolder

    return CertificateFolder(folder)


def _told(place: CertificateFolder, entry: Entry) -> None:
    """Say what was written."""
    files = f"{place.certificate(entry.name)} and {place.key(entry.name)}"
    print(f"{entry.kind:<10} {files}, until {entry.ends:%Y-%m-%d}")


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
