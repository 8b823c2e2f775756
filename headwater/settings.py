"""Flags, environment variables and one TOML file: three ways to say one definition.

Every command's settings are the annotated parameters of its function (or one frozen dataclass); cyclopts makes flags,
`HEADWATER_…` variables and the keys of a `[command]` table in the TOML file from them. Here is what it leaves open: a
misspelt variable or table is an error that names the nearest one.
"""

from __future__ import annotations

import difflib
import re
import reprlib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from headwater.errors import SettingsError

PREFIX: Final = "HEADWATER_"
CONFIG_VARIABLE: Final = f"{PREFIX}CONFIG"
DEFAULT_FILE: Final = Path("headwater.toml")
_LONG_KEY: Final = re.compile(r"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){32}""")
"""A key of over 32 parts: reading it takes the square of them, hours for 250 KB."""


def variable(parameter: str) -> str:
    """Return the environment variable of a parameter: `spool-bytes` is HEADWATER_SPOOL_BYTES."""
    return PREFIX + parameter.strip("-").upper().replace("-", "_").replace(".", "_")


def check_variables(environment: Mapping[str, str], known_parameters: Iterable[str]) -> None:
    """Pass if every HEADWATER_ variable belongs to a parameter. Raises: SettingsError with the nearest name."""
    known = {variable(name) for name in known_parameters} | {CONFIG_VARIABLE}
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in known:
            bare = {one.removeprefix(PREFIX) for one in known}  # the prefix alone would make any two names alike
            near = _nearest(name.removeprefix(PREFIX), bare, PREFIX)
            raise SettingsError(f"environment variable {name} means nothing{near}")


def check_keys(path: Path, table: Mapping[str, Any], known: Mapping[str, Any], where: str = "") -> None:
    """Pass if every key of the TOML file is known; a dict in `known` is a nested table. Raises: SettingsError."""
    for key, value in table.items():
        spelled = key.replace("_", "-")
        if spelled not in known:
            raise SettingsError(f"{path}: key {where}{key} means nothing{_nearest(spelled, known)}")
        inner = known[spelled]
        if isinstance(inner, Mapping):
            if not isinstance(value, Mapping):
                shown = reprlib.repr(value)
                raise SettingsError(f"{path}: {where}{key} is {shown}, expected a table [{where}{key}]")
            check_keys(path, value, inner, f"{where}{key}.")


def read_file(path: Path) -> dict[str, Any]:
    """Return the content of a TOML file. Raises: SettingsError in one line."""
    try:
        text = path.read_text(encoding="utf-8")
        if _LONG_KEY.search(text):
            raise SettingsError(f"{path}: a key of over 32 parts, expected one such as worker.batch; correct it")
        return tomllib.loads(text)
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}; give an existing file to --config") from None
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits, and lists as deep
        raise SettingsError(f"{path}: not TOML: {error}") from None


def _nearest(name: str, known: Iterable[str], prefix: str = "") -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {prefix}{near[0]}?" if near else "; see headwater --help"


def check_ranges(settings: object, ranges: Mapping[str, tuple[float, float]]) -> None:
    """Pass where every setting named is within its range, or left out. Raises: SettingsError, with the flag."""
    for name, (low, high) in ranges.items():
        value = getattr(settings, name)
        if value is not None and not low <= value <= high:
            flag = "--" + name.replace("_", "-")
            raise SettingsError(f"{flag}: got {value}, expected {low} to {high}; correct it")


def password_of(said: str | None, file: Path | None, flag: str = "--password-file") -> str | None:
    """Return the password that was said, or the first line of the file that holds it. Raises: SettingsError."""
    if said is not None and file is not None:
        raise SettingsError(f"{flag}: got {file} and a password, expected one of the two; leave one out")
    return said if file is None else first_line(flag, file)


def store_with_password(url: str, file: Path | None) -> str:
    """Return the store's address with the password from the file in it. Raises: SettingsError."""
    if file is None:
        return url
    scheme, mark, rest = url.partition("://")
    user, at, _host = rest.partition("/")[0].rpartition("@")
    if ":" in user:
        raise SettingsError(f"--store-password-file: got {file} and a password in --store, expected one; leave one out")
    password = quote(first_line("--store-password-file", file), safe="")
    return f"{scheme}{mark}{user}:{password}@{rest.removeprefix(user + at)}"


def first_line(flag: str, file: Path, what: str = "password") -> str:
    """Return the secret in a file's first line, which `flag` names. Raises: SettingsError."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise SettingsError(f"{flag}: {file}: {why}; give a text file that this user may read") from None
    if not lines or not lines[0]:
        raise SettingsError(f"{flag}: {file}: the first line is empty, expected the {what} there; write it")
    return lines[0]
