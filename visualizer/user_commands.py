"""The commands for the site's password file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal


def add(
    who: str,
    /,
    *,
    users: Path,
    role: Literal["viewer", "operator"] | None = None,
    new_password_file: Path | None = None,
) -> None:
    """Let somebody sign in to the site, or give who is there already another password.

    Asks for the password twice. A site that runs takes the file up at once; whoever has a new password signs in anew.

    Example: headwater users add camille --role operator --users site.users

    Args:
        who: the name
        users: the password file; it is made where there is none
        role: viewers see everything, operators may set devices too; viewer, or for who is there what they were
        new_password_file: a file whose first line is the password, instead of asking
    """
    from visualizer.door.users import User, checked_name, hashed, read_users, write_users

    name = checked_name(who)
    known = read_users(users) if users.exists() else {}
    before = known.get(name)
    as_what = role or (before.role if before else "viewer")
    password = _asked() if new_password_file is None else _read(new_password_file)
    write_users(users, (known | {name: User(name, as_what, hashed(password))}).values())
    print(f"{name} {as_what} {'has a new password' if before else 'may sign in'}")


def list_users(*, users: Path, json: bool = False) -> None:
    """List who may sign in to the site.

    Example: headwater users list --users site.users

    Args:
        users: the password file
        json: print a JSON list instead of a line each
    """
    from visualizer.door.users import read_users

    known = read_users(users).values()
    if json:
        import msgspec

        print(msgspec.json.encode([{"name": user.name, "role": user.role} for user in known]).decode())
        return
    for user in known:
        print(f"{user.name} {user.role}")


def remove(who: str, /, *, users: Path) -> None:
    """Let somebody sign in no longer; a site that runs ends their sessions at once.

    Example: headwater users remove camille --users site.users

    Args:
        who: the name
        users: the password file
    """
    from headwater.errors import SettingsError
    from visualizer.door.users import read_users, write_users

    known = read_users(users)
    if who not in known:
        names = ", ".join(known) or "nobody"
        raise SettingsError(f"users: {users} has no {who!r}, it has {names}; headwater users list")
    write_users(users, [user for user in known.values() if user.name != who])
    print(f"{who} may sign in no longer")


def _asked() -> str:
    """Return the password that somebody types twice. Raises: SettingsError."""
    from getpass import getpass

    from headwater.errors import SettingsError
    from visualizer.door.users import checked_password

    if not sys.stdin.isatty():
        raise SettingsError("password: there is no terminal to ask on; give --new-password-file FILE")
    password = checked_password(getpass("Password: "))
    if getpass("Once more: ") != password:
        raise SettingsError("password: the two differ, so nothing was changed; try again")
    return password


def _read(file: Path) -> str:
    from headwater.settings import password_of
    from visualizer.door.users import checked_password

    return checked_password(password_of(None, file, "--new-password-file") or "")
