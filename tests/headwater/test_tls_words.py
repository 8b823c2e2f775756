"""What is said of a failed TLS connection."""

from __future__ import annotations

import logging
import ssl

import pytest

from headwater.tls_words import PahoLog, remedy


def alert(reason: str) -> ssl.SSLError:
    """Return the error of an alert, as Python's ssl makes it."""
    error = ssl.SSLError(1, f"[SSL: {reason}] {reason.lower()} (_ssl.c:1)")
    error.reason = reason
    return error


def test_the_last_alert_is_kept_and_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Paho's own words of a lost connection are not shown; the alert in them is what we say once."""
    paho = PahoLog()
    paho.log(logging.ERROR, "failed to receive on socket: %s", alert("TLSV13_ALERT_CERTIFICATE_REQUIRED"))
    assert paho.why == " (tlsv13 alert certificate required)"
    assert caplog.text == ""


def test_other_losses_say_nothing_and_faults_of_ours_are_shown(caplog: pytest.LogCaptureFixture) -> None:
    """A reset connection has no alert; an exception in a callback is logged."""
    paho = PahoLog()
    paho.log(logging.ERROR, "failed to receive on socket: %s", ConnectionResetError(104, "reset"))
    assert (paho.why, caplog.text) == ("", "")
    paho.log(logging.ERROR, "Caught exception in on_message: %s", ValueError("x"))
    assert "Caught exception in on_message: x" in caplog.text


def test_one_client_s_words_are_not_another_s() -> None:
    """Each client has a log of its own."""
    one, other = PahoLog(), PahoLog()
    one.log(logging.ERROR, "failed to receive on socket: %s", alert("TLSV1_ALERT_UNKNOWN_CA"))
    assert other.why == ""


def test_debug_lines_are_shown_when_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    """The level is that of the session's log at that moment, also when it changed after the client was made."""
    paho = PahoLog()
    assert not paho.isEnabledFor(logging.DEBUG)
    with caplog.at_level(logging.DEBUG, "headwater.session"):
        paho.log(logging.DEBUG, "Sending PINGREQ")
    assert "Sending PINGREQ" in caplog.text


def test_the_remedy_fits_the_error() -> None:
    """Files for TLS, a broker for an address where nobody is."""
    assert remedy(alert("TLSV1_ALERT_UNKNOWN_CA")) == "check CA file, certificate and key"
    assert remedy(ConnectionRefusedError()) == "start one with: headwater broker run"
