"""Who is signed in: random words in memory, of which only checksums are kept.

Not a signed cookie: there is no key that could leak, and what is signed out, or whose password is new, ends at once.
The price: a restart of the site signs everybody out.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

MOST_SESSIONS: Final = 2000
MOST_OF_ONE: Final = 20
"""A person who signs in on more browsers is signed out of the one that signed in first."""
LONGEST_TOKEN: Final = 100


@dataclass(frozen=True)
class Session:
    """Somebody signed in, until then by the monotonic clock, with the password of that hash."""

    name: str
    hash: str = field(repr=False)
    until_s: float
    key: str = field(repr=False)
    """Its token's checksum."""


class Sessions:
    """The sessions of a site, bounded. Any thread may use it."""

    def __init__(self, lasting_s: float, now_s: Callable[[], float] = time.monotonic) -> None:
        self.lasting_s, self._now_s = lasting_s, now_s
        self._lock = threading.Lock()
        self._open: OrderedDict[str, Session] = OrderedDict()

    def open(self, name: str, hash_: str) -> str:
        """Return the word that stands for a new session."""
        token = secrets.token_urlsafe(32)
        key = _key(token)
        with self._lock:
            self._forget_ended()
            mine = [one.key for one in self._open.values() if one.name == name]
            for old in mine[: max(0, len(mine) + 1 - MOST_OF_ONE)]:
                del self._open[old]
            while len(self._open) >= MOST_SESSIONS:
                self._open.popitem(last=False)
            self._open[key] = Session(name, hash_, self._now_s() + self.lasting_s, key)
        return token

    def find(self, token: str) -> Session | None:
        """Return the session that the word stands for, unless it has ended."""
        if not 0 < len(token) <= LONGEST_TOKEN:
            return None
        with self._lock:
            found = self._open.get(_key(token))
        return found if found is not None and self._now_s() < found.until_s else None

    def close(self, key: str) -> None:
        """End a session."""
        with self._lock:
            self._open.pop(key, None)

    def count(self) -> int:
        """Return how many there are, ended ones that nobody has asked for included."""
        with self._lock:
            return len(self._open)

    def _forget_ended(self) -> None:
        now_s = self._now_s()
        while self._open and next(iter(self._open.values())).until_s <= now_s:
            self._open.popitem(last=False)


def _key(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
