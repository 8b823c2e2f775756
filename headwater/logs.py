"""Logging as all processes do it: standard library, one event a line, as key=value or as a JSON object."""

from __future__ import annotations

import json
import logging
import math
import re
import sys
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, Self

Level = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["text", "json"]
SECRET_WORDS: Final = ("password", "passphrase", "secret", "token")

# Where a password may hold "/", the last @ is the end of it: more is masked than need be, never less.
_USER: Final = re.compile(r"(\A[\w+.-]+://).*@|(\A[\w+.-]+:/?|://)\S*@", re.DOTALL)
_VALUE: Final = re.compile(
    r"((?:pw|pwd|pass|passwd|password|passphrase|passcode|token|secret|auth|(?:api|access|secret)[_-]?key"
    r"|user|username|user[_-]?id|proxy-id|login)\s*=\s*(?:\(\w+\)\s*)?)"
    r"""("(?:\\.|[^"])*"?|'(?:\\.|[^'])*'?|(?:\\.|&(?![\w.%-]+=)|[^\s&])+)""",
    re.DOTALL | re.IGNORECASE,
)


class Event(str):
    """A log line that still knows its name and its facts."""

    __slots__ = ("facts", "name")
    name: str
    facts: dict[str, Any]

    @classmethod
    def of(cls, name: str, facts: dict[str, Any]) -> Self:
        """Return `name key=value …` with values quoted where they hold spaces, controls or quotes."""
        line = cls(" ".join([name, *(f"{key}={_quoted(value)}" for key, value in facts.items())]))
        line.name, line.facts = name, facts
        return line


class JsonLines(logging.Formatter):
    """Each record as one JSON object: time (UTC), level, logger, event, its facts, and an exception as one text."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        said = record.msg if isinstance(record.msg, Event) and not record.args else None
        fields: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "event": said.name if said is not None else record.getMessage(),
        }
        for key, value in (said.facts if said is not None else {}).items():
            fields[f"{key}_" if key in fields else key] = _plain(value)
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)


def configure_logging(level: Level, log_format: LogFormat = "text") -> None:
    """Send every log line of this process to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    text = logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s")
    handler.setFormatter(JsonLines() if log_format == "json" else text)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def event(name: str, /, **facts: Any) -> Event:
    """Return a log line of a name and facts: `name key=value …` as text, fields of their own in JSON."""
    return Event.of(name, facts)


def settings_line(settings: Any) -> Event:
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


def _plain(value: Any) -> Any:
    """Return a value as JSON can say it; what is neither text, number nor truth becomes text."""
    if value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return str(value)


def _quoted(value: Any) -> str:
    text = str(value)
    plain = text.isprintable() and not set(text) & set(" \"'=")
    return text if text and plain else repr(text)
