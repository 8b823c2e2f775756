"""Who looks at the site, and what a login must tell of a request."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

Role = Literal["viewer", "operator"]
ROLES: Final[tuple[Role, ...]] = ("viewer", "operator")
VISITOR: Final = "headwater.visitor"
"""Where a request that came through the door holds its visitor."""
STYLE: Final = "/door.css"


@dataclass(frozen=True)
class Visitor:
    """Somebody who has proven who they are."""

    name: str
    role: Role
    key: str = field(default="", repr=False)
    """What tells this session from every other of the same person."""


@dataclass(frozen=True)
class TurnedAway:
    """Why a request is not answered: a status of HTTP, and one line that says what to do."""

    status: int
    why: str


class Login(Protocol):
    """How visitors prove who they are."""

    @property
    def open_paths(self) -> Collection[str]:
        """The addresses that answer everybody."""

    @property
    def sign_in(self) -> str | None:
        """Where people who are turned away from a page are sent."""

    @property
    def longest_push_s(self) -> float | None:
        """After so long a websocket is ended, so that the next request proves again who asks."""

    def visitor(self, scope: Any) -> Visitor | TurnedAway:
        """Return who asks, or why they are not answered."""


class Tokens:
    """What the forms of a visitor carry, so that no other site can fill them in; other after every start."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def of(self, visitor: Visitor) -> str:
        """Return the token of this visitor's forms."""
        return hmac.digest(self._key, f"{visitor.name}\0{visitor.key}".encode(), "sha256").hex()

    def fits(self, visitor: Visitor, token: str) -> bool:
        """Tell whether a form was made for this visitor."""
        return hmac.compare_digest(self.of(visitor).encode(), token.encode("utf-8", "surrogatepass"))
