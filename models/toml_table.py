"""A table of a TOML file taken apart key by key, each value checked, so that a misspelling is found and named."""

from __future__ import annotations

import difflib
import re
import reprlib
import tomllib
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from models.errors import ModelError

_Value = TypeVar("_Value")
_LONG_KEY: Final = re.compile(r"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){32}""")
_BRIEF: Final = reprlib.Repr()
_BRIEF.maxstring = _BRIEF.maxother = 200
_BRIEF.maxlist = _BRIEF.maxdict = 16


class BundleError(ModelError):
    """A bundle, its bundle.toml or its model file cannot be used."""


def read_toml(text: str) -> dict[str, Any]:
    """Return the tables of a TOML text. Raises: ValueError, RecursionError.

    A key of over 32 parts is refused unread: reading it takes the square of them, hours for 250 KB.
    """
    if _LONG_KEY.search(text):
        raise ValueError("a key of over 32 parts")
    return tomllib.loads(text)


def _brief(value: object) -> str:
    """Return a value as an error shows it; of a long or deep one the beginning."""
    try:
        return _BRIEF.repr(value)
    except ValueError:  # Python writes no number of over 4300 digits
        return f"{type(value).__name__} of thousands of digits"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e30


def _is_list_of(kind: type, value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(entry, kind) for entry in value)


class Table:
    """A TOML table that is taken apart key by key; what is left at the end is a misspelling."""

    def __init__(self, values: Mapping[str, Any], prefix: str, source: str) -> None:
        self.rest, self._prefix, self._source = dict(values), prefix, source
        self._asked: set[str] = set()

    def wrong(self, key: str, got: object, expected: str) -> BundleError:
        """Return the error for a key whose value cannot be used."""
        return BundleError(f"{self._source}: {self._prefix}{key} is {_brief(got)}, expected {expected}; correct it")

    def _take(self, key: str, good: Callable[[Any], bool], expected: str, default: _Value | None) -> Any:
        self._asked.add(key)
        if key not in self.rest:
            if default is None:
                raise BundleError(f"{self._source}: {self._prefix}{key} is missing, expected {expected}; add it")
            return default
        value = self.rest.pop(key)
        if not good(value):
            raise self.wrong(key, value, expected)
        return value

    def text(self, key: str, default: str | None = None) -> str:
        return str(self._take(key, lambda v: isinstance(v, str) and (v != "" or default == ""), "text", default))

    def matching(self, key: str, pattern: re.Pattern[str], expected: str) -> str:
        return str(self._take(key, lambda v: isinstance(v, str) and bool(pattern.fullmatch(v)), expected, None))

    def choice(self, key: str, allowed: tuple[str, ...], default: str | None = None) -> str:
        expected = "one of " + ", ".join(allowed) if allowed else "nothing here"
        return str(self._take(key, lambda v: isinstance(v, str) and v in allowed, expected, default))

    def integer(self, key: str, low: int, high: int) -> int:
        def good(value: Any) -> bool:
            return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high

        return int(self._take(key, good, f"a whole number of {low} to {high}", None))

    def number(self, key: str) -> float:
        return float(self._take(key, _is_number, "a number", None))

    def positive(self, key: str, default: float | None = None) -> float:
        return float(self._take(key, lambda v: _is_number(v) and v > 0, "a number over 0", default))

    def amount(self, key: str, default: float | None = None) -> float:
        return float(self._take(key, lambda v: _is_number(v) and v >= 0, "a number of at least 0", default))

    def share(self, key: str) -> float | None:
        """Return a number from 0 to 1; None where the key is not there."""
        if key not in self.rest:
            self._asked.add(key)
            return None
        return float(self._take(key, lambda v: _is_number(v) and 0 <= v <= 1, "a share from 0 to 1", None))

    def texts(self, key: str, *, required: bool = False) -> tuple[str, ...]:
        def good(value: Any) -> bool:
            return _is_list_of(str, value) and all(value) and bool(value or not required)

        return tuple(self._take(key, good, "a list of texts", None if required else ()))

    def table(self, key: str, default: Mapping[str, Any] | None = None) -> Table:
        values = self._take(key, lambda v: isinstance(v, dict), f"a table [{self._prefix}{key}]", default)
        return Table(values, f"{self._prefix}{key}.", self._source)

    def tables(self, key: str, *, required: bool = False) -> list[Table]:
        default = None if required else ()
        values = self._take(key, lambda v: _is_list_of(dict, v), f"tables [[{self._prefix}{key}]]", default)
        return [Table(value, f"{self._prefix}{key}[{place}].", self._source) for place, value in enumerate(values)]

    def all_texts(self) -> dict[str, str]:
        """Return every key of a table of free notes."""
        return {key: self.text(key) for key in list(self.rest)}

    def no_more(self, known: tuple[str, ...] = ()) -> None:
        """Refuse what nobody asked for, naming the nearest known key."""
        for key in self.rest:
            names = sorted(self._asked | set(known))
            near = difflib.get_close_matches(key, names, n=1)
            advice = f"did you mean {near[0]}?" if near else f"known here: {', '.join(names)}"
            raise BundleError(f"{self._source}: {self._prefix}{key} is not known; {advice}")
