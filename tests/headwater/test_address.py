"""Broker addresses are what they say, and never show a password."""

from __future__ import annotations

import contextlib
import ssl
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.address import Address
from headwater.errors import SettingsError
from tests.servers import need


@pytest.mark.parametrize(
    ("url", "host", "port", "tls", "text"),
    [
        ("mqtt://broker", "broker", 1883, False, "mqtt://broker:1883"),
        ("mqtts://broker", "broker", 8883, True, "mqtts://broker:8883"),
        ("mqtt://10.0.0.1:1", "10.0.0.1", 1, False, "mqtt://10.0.0.1:1"),
        ("mqtt://[::1]:18830/", "::1", 18830, False, "mqtt://[::1]:18830"),
        ("MQTT://Broker.Example:65535", "broker.example", 65535, False, "mqtt://broker.example:65535"),
    ],
)
def test_an_address_is_read_and_written(url: str, host: str, port: int, tls: bool, text: str) -> None:
    """Scheme, host and port are read, the port has the scheme's default, and the text is an address again."""
    address = Address.parse(url)
    assert (address.host, address.port, address.tls) == (host, port, tls)
    assert str(address) == text
    assert Address.parse(text) == address


@pytest.mark.parametrize(
    "url",
    [
        "",
        "broker",
        "broker:1883",
        "http://broker",
        "mqtt://",
        "mqtt://:1883",
        "mqtt://broker:0",
        "mqtt://broker:65536",
        "mqtt://broker:x",
        "mqtt://broker/path",
        "mqtt://broker?x=1",
        "mqtt://broker#x",
        "mqtt://[::1",
        "mqtt://" + "a" * 64 + ".example",
        "mqtt://a..b",
    ],
)
def test_what_is_no_broker_address_is_refused(url: str) -> None:
    """Everything else is one clear error that shows what was expected."""
    with pytest.raises(SettingsError, match=r"expected mqtt://HOST\[:PORT\]"):
        Address.parse(url)


@given(st.text(max_size=20).map(lambda text: "mqtt://" + text) | st.text(max_size=20))
def test_any_text_is_an_address_or_a_settings_error(url: str) -> None:
    """No text makes another error than SettingsError."""
    with contextlib.suppress(SettingsError):
        assert 0 < Address.parse(url).port < 65536


@pytest.mark.parametrize(
    "url", ["mqtt://u:hunter2@broker", "mqtt://u:hunter2@broker:x", "mqtt://u:hunter2@[", "u:hunter2@h"]
)
def test_a_password_in_an_address_is_refused_and_not_shown(url: str) -> None:
    """The error of an address with a password does not repeat it, also when the address is broken."""
    with pytest.raises(SettingsError) as caught:
        Address.parse(url)
    assert "hunter2" not in str(caught.value)


def test_user_names_come_from_the_address_or_beside_it() -> None:
    """A name beside the address wins, %-escapes are read, and a password is never shown."""
    assert Address.parse("mqtt://a%40b@broker").username == "a@b"
    address = Address.parse("mqtt://a@broker", username="c", password="hunter2")
    assert (address.username, address.password) == ("c", "hunter2")
    assert "hunter2" not in f"{address!r} {address}"


def test_tls_files_need_a_tls_address() -> None:
    """A CA file for an address without encryption would be a false comfort, a key without certificate no use."""
    with pytest.raises(SettingsError, match="not encrypted"):
        Address.parse("mqtt://broker", ca_file=Path("ca.pem"))
    with pytest.raises(SettingsError, match="without a certificate"):
        Address.parse("mqtts://broker", key=Path("key.pem"))


@pytest.mark.parametrize("field", ["ca_file", "certificate"])
def test_unusable_tls_files_are_settings_errors(field: str, tmp_path: Path) -> None:
    """A missing file, a folder and a file that is no certificate are named errors."""
    rubbish = tmp_path / "rubbish.pem"
    rubbish.write_text("no certificate")
    for path in (tmp_path / "missing.pem", tmp_path, rubbish):
        with pytest.raises(SettingsError, match=r"TLS files for mqtts://broker:8883: .*check CA file"):
            Address.parse("mqtts://broker", **{field: path}).tls_context()


def test_an_encrypted_key_is_an_error_not_a_question(tmp_path: Path) -> None:
    """A key with a passphrase would make a service wait at a terminal; it is refused instead."""
    openssl, key, certificate = need("openssl"), tmp_path / "key.pem", tmp_path / "certificate.pem"
    subject = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-subj", "/CN=device"]
    subprocess.run(
        [openssl, "req", "-x509", *subject, "-passout", "pass:1234", "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    with pytest.raises(SettingsError, match="TLS files"):
        Address.parse("mqtts://broker", certificate=certificate, key=key).tls_context()


def test_brokers_are_verified() -> None:
    """The TLS context checks the certificate and the host name."""
    context = Address.parse("mqtts://broker").tls_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
