"""The site's own password file: a user a line, name:role:hash, and no password anywhere.

Hashes are argon2id with the parameters that argon2-cffi recommends (RFC 9106, section 4, second choice: 64 MiB, three
passes), so that a stolen file is guessed slowly, and each guess at the site costs it the same.
"""

from __future__ import annotations

import logging
import re
import secrets
import stat
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import argon2

from headwater.errors import HeadwaterError, SettingsError
from headwater.files import write_whole
from headwater.logs import event
from visualizer.door.visitor import ROLES, Role

log = logging.getLogger(__name__)

SHORTEST_PASSWORD: Final = 12
LONGEST_PASSWORD: Final = 256
"""Characters; a longer one only costs time."""
LARGEST_FILE_BYTES: Final = 1_000_000
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9@._-]{0,63}")
_KIND: Final = "$argon2id$"


class Untried(HeadwaterError):
    """A password could not be tried, so nobody knows whether it is right."""


@dataclass(frozen=True)
class User:
    """Somebody who may sign in."""

    name: str
    role: Role
    hash: str = field(repr=False)


def checked_name(name: str) -> str:
    """Return a name that a line of the file can hold. Raises: SettingsError."""
    if not NAME.fullmatch(name):
        raise SettingsError(
            f"user: got {name[:80]!r}, expected 1 to 64 of a-z A-Z 0-9 @ . _ -, the first a letter or digit"
        )
    return name


def checked_password(password: str) -> str:
    """Return a password that is worth having. Raises: SettingsError; it never says the password."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise SettingsError(
            f"password: got {len(password)} characters, expected {SHORTEST_PASSWORD} to {LONGEST_PASSWORD}; "
            "three or four words that have nothing to do with one another do well"
        )
    return password


def hashed(password: str) -> str:
    """Return the argon2id hash of a password, with a salt of its own."""
    return argon2.PasswordHasher().hash(password)


def is_password(hash_: str, password: str) -> bool:
    """Tell whether the hash is that password's; it takes as long either way. Raises: Untried."""
    try:
        return argon2.PasswordHasher().verify(hash_, password)
    except (argon2.exceptions.VerifyMismatchError, argon2.exceptions.InvalidHashError, UnicodeEncodeError):
        return False
    except argon2.exceptions.VerificationError as error:
        raise Untried(
            f"password: got {str(error)!r} instead of an answer, expected 64 MiB of free memory for a try, "
            "and a hash that headwater users add has written"
        ) from None


def parse_users(text: str, where: str) -> dict[str, User]:
    """Return the users by name; empty lines and those that begin with # are left out. Raises: SettingsError."""
    found: dict[str, User] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            user = _user(line.strip(), f"{where}, line {number}")
            if user.name in found:
                raise SettingsError(f"{where}, line {number}: user {user.name!r} is there twice; remove one")
            found[user.name] = user
    return found


def _user(line: str, where: str) -> User:
    """Return the user of a line. What is wrong with it is said without its hash. Raises: SettingsError."""
    name, _, rest = line.partition(":")
    role, _, hash_ = rest.partition(":")
    if not NAME.fullmatch(name) or not hash_:
        raise SettingsError(f"{where}: expected NAME:ROLE:HASH; write it with: headwater users add NAME")
    for known in ROLES:
        if role == known:
            return User(name, known, _checked_hash(hash_, f"{where}: user {name!r}"))
    raise SettingsError(f"{where}: user {name!r} has the role {role[:40]!r}, expected {' or '.join(ROLES)}")


def _checked_hash(hash_: str, where: str) -> str:
    try:
        argon2.extract_parameters(hash_)
    except argon2.exceptions.InvalidHashError:
        hash_ = ""
    if not hash_.startswith(_KIND):
        raise SettingsError(f"{where} has no argon2id hash; write it with: headwater users add NAME")
    return hash_


def read_users(path: Path) -> dict[str, User]:
    """Return the users in a file. Raises: SettingsError."""
    try:
        if path.stat().st_size > LARGEST_FILE_BYTES:
            raise SettingsError(f"users: {path} is over {LARGEST_FILE_BYTES} B, expected a password file")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise SettingsError(f"users: {path}: {why}; make one with: headwater users add NAME --users FILE") from None
    return parse_users(text, f"users: {path}")


def write_users(path: Path, users: Iterable[User]) -> None:
    """Put the users into the file in one step: whoever reads it has the old ones or the new ones, never half."""
    text = "".join(f"{user.name}:{user.role}:{user.hash}\n" for user in users)
    mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o600
    write_whole(path, text.encode(), mode)


class Users:
    """The users in a file, read again whenever it has changed. Any thread may ask."""

    def __init__(self, path: Path) -> None:
        """Read the file. Raises: SettingsError, also where nobody is in it."""
        self._path, self._lock = path, threading.Lock()
        self._stamp, self._users = _stamp(path), read_users(path)
        if not self._users:
            raise SettingsError(f"users: {path} names nobody, so nobody could sign in; headwater users add NAME")
        self._strangers = _hash_like(next(iter(self._users.values())).hash)

    def find(self, name: str) -> User | None:
        """Return the user of that name, as the file has it now."""
        return self._now().get(name)

    def proven(self, name: str, password: str) -> User | None:
        """Return the user whose password that is; a name that is not there costs the same time as a wrong password.

        Raises: Untried.
        """
        user = self.find(name)
        is_right = is_password(user.hash if user else self._strangers, password)
        return user if is_right else None

    def _now(self) -> Mapping[str, User]:
        """Return the users; a file that cannot be used lets nobody in, and the log says why, once."""
        with self._lock:
            stamp = _stamp(self._path)
            if stamp != self._stamp:
                self._stamp = stamp
                try:
                    self._users = read_users(self._path)
                    log.info(event("users read again", users=len(self._users)))
                except SettingsError as error:
                    self._users = {}
                    log.error(event("nobody can sign in", reason=error))
            return self._users


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """Return what changes when a file does, None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def _hash_like(hash_: str) -> str:
    """Return a hash that no password fits and that takes as long to try as this one."""
    parameters = argon2.extract_parameters(hash_)
    return argon2.PasswordHasher.from_parameters(parameters).hash(secrets.token_hex())
