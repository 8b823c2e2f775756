"""What an authority signs: for whom, for what, how long, and what it takes back."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.x509.verification import ClientVerifier, PolicyBuilder, Store, VerificationError

from broker.authority import SLACK, Authority, Kind, Wanted, general_name, hosts_of, kind_of, name_of, new_key
from headwater.errors import SettingsError

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def authority() -> Authority:
    """An authority for ten years."""
    return Authority.new(NOW, 3650)


def issued(authority: Authority, name: str = "camera-1", kind: Kind = "client", *hosts: str) -> x509.Certificate:
    """Return a certificate for a year."""
    return authority.issue(Wanted(name, kind, hosts), new_key().public_key(), NOW, 365)


def test_a_client_is_who_its_certificate_names(authority: Authority) -> None:
    """The common name is the user's, a verifier of clients takes it, and it names no host."""
    signed = issued(authority)
    assert (name_of(signed), kind_of(signed), hosts_of(signed)) == ("camera-1", "client", ())
    signed.verify_directly_issued_by(authority.certificate)
    assert signed.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False


def test_a_server_is_verified_under_every_name_and_on_its_own_machine(authority: Authority) -> None:
    """Names, addresses and localhost; another name is refused."""
    signed = issued(authority, "broker", "server", "broker.example", "192.168.1.10", "2001:db8::1")
    verifiers = PolicyBuilder().store(Store([authority.certificate])).time(NOW.replace(tzinfo=None))
    for host in ("broker.example", "localhost"):
        assert verifiers.build_server_verifier(x509.DNSName(host)).verify(signed, [])[0] == signed
    for address in ("192.168.1.10", "2001:db8::1", "127.0.0.1", "::1"):
        subject = x509.IPAddress(ipaddress.ip_address(address))
        assert verifiers.build_server_verifier(subject).verify(signed, [])[0] == signed
    with pytest.raises(VerificationError):
        verifiers.build_server_verifier(x509.DNSName("other.example")).verify(signed, [])


def test_nobody_can_be_both_client_and_server(authority: Authority) -> None:
    """A device's certificate does not pass for a broker's, nor the other way round."""
    verifiers = PolicyBuilder().store(Store([authority.certificate])).time(NOW.replace(tzinfo=None))
    with pytest.raises(VerificationError):
        verifiers.build_server_verifier(x509.DNSName("camera-1")).verify(issued(authority), [])
    clients: ClientVerifier = verifiers.build_client_verifier()
    with pytest.raises(VerificationError):
        clients.verify(issued(authority, "broker", "server", "broker.example"), [])


def test_certificates_hold_from_a_little_before_to_their_day(authority: Authority) -> None:
    """A device whose clock is some minutes late takes them; the end is to the second."""
    signed = issued(authority)
    assert signed.not_valid_before_utc == NOW - SLACK
    assert signed.not_valid_after_utc == NOW + timedelta(days=365)


@pytest.mark.parametrize("days", [-1, 0, 3651, 10**12])
def test_nothing_outlives_its_authority(authority: Authority, days: int) -> None:
    """The error says how many days there are."""
    with pytest.raises(
        SettingsError, match=rf"--days: got {days}, expected 1 to 3650: the authority itself ends on 2036"
    ):
        authority.issue(Wanted("camera-1", "client"), new_key().public_key(), NOW, days)


@pytest.mark.parametrize("host", ["", "a..b", "*.example", "a b", "broker.example\n", "x" * 64, "a/b", "ä" * 80])
def test_what_is_no_host_is_refused(host: str) -> None:
    """A name that no resolver knows stands in no certificate."""
    with pytest.raises(SettingsError, match=r"host: got .*, expected a name such as broker\.example, or an address"):
        general_name(host)


def test_a_name_in_other_letters_is_written_as_resolvers_ask_for_it() -> None:
    """IDNA, as the TLS client will compare it."""
    assert general_name("bröker.example") == x509.DNSName("xn--brker-kua.example")


def test_a_list_names_what_is_taken_back_and_is_newer_than_the_last(authority: Authority) -> None:
    """Two lists of one second still have an order, for a broker that has read both; none ends before its signer."""
    first = authority.revocations({}, NOW)
    second = authority.revocations({7: NOW}, NOW, first)
    third = authority.revocations({7: NOW, 9: NOW}, NOW, second)
    assert [len(list(one)) for one in (first, second, third)] == [0, 1, 2]
    assert first.last_update_utc < second.last_update_utc < third.last_update_utc <= NOW
    numbers = [
        one.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number for one in (first, second, third)
    ]
    assert numbers == [1, 2, 3]
    assert third.next_update_utc == authority.certificate.not_valid_after_utc
    assert third.is_signature_valid(authority.key.public_key())
    assert {one.serial_number for one in third} == {7, 9}
