"""Logging as all processes do it: standard library, one event a line, key=value."""

from __future__ import annotations

import logging
import re
import sys
from dataclasses import fields
from typing import Any, Final, Literal

Level = Literal["debug", "info", "warning", "error"]
SECRET_WORDS: Final = ("password", "secret", "token")
PASSWORD_IN_ADDRESS: Final = re.compile(r"(://[^/@:\s]*:)[^/\s]*@")


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
    facts = {field.name: getattr(settings, field.name) for field in fields(settings)}
    masked = {name: "***" if value and _is_secret(name) else without_password(value) for name, value in facts.items()}
    return event("settings", **masked)


def without_password(value: Any) -> str:
    """Return `value` as text, the password of every address in it masked: `rtsp://user:***@camera/1`."""
    return PASSWORD_IN_ADDRESS.sub(r"\1***@", str(value))


def _is_secret(name: str) -> bool:
    return any(word in name for word in SECRET_WORDS)


def _quoted(value: Any) -> str:
    text = str(value)
    plain = text.isprintable() and not set(text) & set(" \"'=")
    return text if text and plain else repr(text)
