"""One event is one line that a program can read, without secrets."""

from __future__ import annotations

import json
import logging
import shlex
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.sources.live import without_secrets
from headwater.logs import configure_logging, event, settings_line, without_password


def test_an_event_is_its_name_and_its_facts() -> None:
    """Plain values stand as they are, others are quoted."""
    line = event("frame dropped", device="cam1", reason="too old", n=3, none=None, empty="")
    assert line == "frame dropped device=cam1 reason='too old' n=3 none=None empty=''"


@given(st.text(max_size=20))
def test_no_value_breaks_the_line_or_forges_a_fact(value: str) -> None:
    """Newlines, controls, quotes and equals signs stay inside one quoted value."""
    line = event("x", value=value)
    assert line.isprintable()
    assert len(line.splitlines()) == 1
    plain = line.removeprefix("x value=")
    assert plain[0] in "'\"" or not set(plain) & set(" ='\"")


def test_secrets_are_masked() -> None:
    """Passwords, tokens and the password in an address are not in the log; what is empty is shown as such."""

    @dataclass
    class Settings:
        broker: str = "mqtts://broker"
        password: str = "hunter2"
        api_token: str | None = None
        store: str = "redis://:hunter2@store:6379/0"
        source: str = "rtsp://admin:hunter2@cam/1?x=1"

    line = settings_line(Settings())
    assert "hunter2" not in line
    assert shlex.split(line)[:4] == ["settings", "broker=mqtts://broker", "password=***", "api_token=None"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://user:secret@camera/1", "rtsp://***@camera/1"),
        ("rtsp://user:se@cret@camera/1", "rtsp://***@camera/1"),
        ("rtsp://user:se/cret@camera/1", "rtsp://***@camera/1"),
        ("rtsp://user:se cret@camera/1", "rtsp://***@camera/1"),
        ("rtsp://user:se'cret@camera/1", "rtsp://***@camera/1"),
        ("rtsp://user@camera:554/1", "rtsp://***@camera:554/1"),
        ("rtsp://camera/1?user=a&pwd=secret", "rtsp://camera/1?user=***&pwd=***"),
        ("redis://:secret@h", "redis://***@h"),
        ("redis://:top/secret@h", "redis://***@h"),
        ("redis://h/0?password=secret&db=1", "redis://h/0?password=***&db=1"),
        ("redis:/:secret@h", "redis:/***@h"),
        ("user:secret@h", "user:***@h"),
        ("srtsrc uri=srt://h:1?passphrase=secret ! x", "srtsrc uri=srt://h:1?passphrase=*** ! x"),
        ("rtspsrc location=rtsp://u:secret@h/1 ! appsink", "rtspsrc location=rtsp://***@h/1 ! appsink"),
        ("rtspsrc user-id=secret user-pw=secret ! x", "rtspsrc user-id=*** user-pw=*** ! x"),
        ('gst:rtspsrc user-pw="top secret" ! x', "gst:rtspsrc user-pw=*** ! x"),
        (r'rtspsrc user-pw="top \" secret" ! x', "rtspsrc user-pw=*** ! x"),
        (r"rtspsrc user-pw=top\ secret ! x", "rtspsrc user-pw=*** ! x"),
        ("rtspsrc user-pw='top secret", "rtspsrc user-pw=***"),
        ('rtspsrc user-pw=(string)"top secret" ! x', "rtspsrc user-pw=(string)*** ! x"),
        ('rtspsrc user-pw=top"secret ! x', "rtspsrc user-pw=*** ! x"),
        ("rtspsrc user-pw=top&secret ! x", "rtspsrc user-pw=*** ! x"),
        ("souphttpsrc proxy-id=secret proxy-pw = secret ! x", "souphttpsrc proxy-id=*** proxy-pw = *** ! x"),
        ("x PWD=secret API_KEY=secret", "x PWD=*** API_KEY=***"),
    ],
)
def test_users_and_passwords_are_masked(text: str, shown: str) -> None:
    """Whatever form an address or a pipeline gives them, and whatever they hold; in logs as in a device's status."""
    assert without_password(text) == without_secrets(text) == shown
    assert "secret" not in shown


@pytest.mark.parametrize(
    "plain", ["redis://[::1]:6379/0", "rtsp://camera/1?profile=2", "http://h:80/a", "folder a@b", "/data/x:y@z", 7]
)
def test_what_holds_no_password_is_shown_as_it_is(plain: object) -> None:
    """Addresses without users, paths and numbers stay as they are."""
    assert without_password(plain) == str(plain)


def test_log_lines_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """Lines from the level upwards go to stderr, with time, level and name."""
    configure_logging("warning")
    log = logging.getLogger("headwater.test")
    log.info("not this")
    log.warning(event("seen", n=1))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith(" WARNING headwater.test seen n=1\n")
    assert "not this" not in err


def as_json(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    """Return the objects on stderr, one a line."""
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_json_lines_have_the_facts_as_fields(capsys: pytest.CaptureFixture[str]) -> None:
    """Time in UTC, level, logger and event, then the facts as what they are; what JSON has no word for as text."""
    configure_logging("info", "json")
    odd = float("nan")
    logging.getLogger("headwater.test").info(event("seen", n=1, share=0.5, none=None, path=Path("a b"), odd=odd))
    (line,) = as_json(capsys)
    at = datetime.fromisoformat(str(line.pop("time")))
    assert abs((datetime.now(UTC) - at).total_seconds()) < 60
    assert line == {
        "level": "INFO", "logger": "headwater.test", "event": "seen",
        "n": 1, "share": 0.5, "none": None, "path": "a b", "odd": "nan",
    }  # fmt: skip


def test_json_lines_of_others_are_their_message(capsys: pytest.CaptureFixture[str]) -> None:
    """A library's line with arguments is put together; several lines stay one; nothing covers up what is ours."""
    configure_logging("info", "json")
    log = logging.getLogger("library")
    log.warning("%d of\n%s", 3, "five")
    log.warning(event("%s stays", level="low", event="x"))
    first, second = as_json(capsys)
    assert first["event"] == "3 of\nfive"
    assert (second["event"], second["level"], second["level_"], second["event_"]) == ("%s stays", "WARNING", "low", "x")


def test_an_exception_is_one_field(capsys: pytest.CaptureFixture[str]) -> None:
    """The traceback is in its line, not behind it."""
    configure_logging("info", "json")
    try:
        raise ValueError("seven\neight")
    except ValueError:
        logging.getLogger("headwater.test").exception(event("failed", topic="t"))
    (line,) = as_json(capsys)
    assert (line["event"], line["topic"], line["level"]) == ("failed", "t", "ERROR")
    assert str(line["exception"]).startswith("Traceback")
    assert str(line["exception"]).endswith("ValueError: seven\neight")
