"""Logging as all processes do it: standard library, one event a line, key=value."""

from __future__ import annotations

import logging
import re
import sys
from dataclasses import fields, is_dataclass
from typing import Any, Final, Literal

Level = Literal["debug", "info", "warning", "error"]
SECRET_WORDS: Final = ("password", "passphrase", "secret", "token")

# Where a password may hold "/", the last @ is the end of it: more is masked than need be, never less.
_USER: Final = re.compile(r"(\A[\w+.-]+://).*@|(\A[\w+.-]+:/?|://)\S*@", re.DOTALL)
_VALUE: Final = re.compile(
    r"((?:pw|pwd|pass|passwd|password|passphrase|passcode|token|secret|auth|(?:api|access|secret)[_-]?key"
    r"|user|username|user[_-]?id|proxy-id|login)\s*=\s*(?:\(\w+\)\s*)?)"
    r"""("(?:\\.|[^"])*"?|'(?:\\.|[^'])*'?|(?:\\.|&(?![\w.%-]+=)|[^\s&])+)""",
    re.DOTALL | re.IGNORECASE,
)


def configure_logging(level: Level) -> None:
    """Send every log line of this process to stderr."""
    logging.basicConfig(
        level=level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s", force=True
    )


def event(name: str, /, **facts: Any) -> str:
    """Return `name key=value …` with values quoted where they hold spaces, controls or quotes."""
    return " ".join([name, *(f"{key}={_quoted(value)}" for key, value in facts.items())])


def settings_line(settings: Any) -> str:
    """Return the effective settings of a process as one event, secrets masked."""
    facts = _facts(settings)
    masked = {name: "***" if value and _is_secret(name) else without_password(value) for name, value in facts.items()}
    return event("settings", **masked)


def _facts(settings: Any) -> dict[str, Any]:
    """Return every setting by its name, those of settings within settings beside the others."""
    facts: dict[str, Any] = {}
    for field in fields(settings):
        value = getattr(settings, field.name)
        facts |= _facts(value) if is_dataclass(value) else {field.name: value}
    return facts


def without_password(value: Any) -> str:
    """Return `value` as text, users and passwords in it masked: `rtsp://***@camera/1?pwd=***`, `user-pw=***`."""
    shown = _USER.sub(lambda found: f"{found[1] or found[2]}***@", str(value))
    return _VALUE.sub(r"\1***", shown)


def _is_secret(name: str) -> bool:
    return any(word in name for word in SECRET_WORDS)


def _quoted(value: Any) -> str:
    text = str(value)
    plain = text.isprintable() and not set(text) & set(" \"'=")
    return text if text and plain else repr(text)
