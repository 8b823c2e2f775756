"""An operator's broker and store in a drill: how to get in, and how to leave nothing behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import redis

from headwater.address import Address, BrokerUser
from headwater.errors import SettingsError, StoreError
from headwater.logs import without_password
from headwater.probes import greet_mqtt
from headwater.session import Callbacks, Session
from headwater.settings import store_with_password, variable
from headwater.topics import Topics, checked_name

CONNECT_S: Final = 10.0


@dataclass(frozen=True)
class Theirs:
    """An operator's installation, and how to get in."""

    broker: str
    store: str
    counted_at: str = field(repr=False)
    """The store with the password, if it needs one."""
    address: Address
    """The broker with who we are."""
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    """HEADWATER_… variables for our device and workers."""


def theirs(broker: str, store: str, user: BrokerUser, store_password_file: Path | None) -> Theirs:
    """Return an operator's servers, which have answered. Raises: SettingsError, BrokerError."""
    address = Address.of(broker, user)
    greet_mqtt(address)
    values = {**vars(replace(user, username=address.username)), "store_password_file": store_password_file}
    credentials = {variable(name): str(value) for name, value in values.items() if value is not None}
    return Theirs(broker, store, store_with_password(store, store_password_file), address, credentials)


def check_unused(of: Theirs, fleet: str) -> None:
    """Pass if the store knows nothing of a fleet: all that it has of it will be deleted.

    Raises: SettingsError, StoreError.
    """
    checked_name("--fleet", fleet)
    try:
        with redis.Redis.from_url(of.counted_at) as store:
            known = next(store.scan_iter(f"headwater:{fleet}:*", count=1000), None)
    except redis.RedisError as error:
        raise StoreError(f"no store at {without_password(of.store)}: {error}; correct --store") from None
    if known is not None:
        raise SettingsError(
            f"--fleet: got {fleet!r}, of which the store has records, expected one for the drill alone, whose records "
            "are deleted at the end; give another name"
        )


def forget(of: Theirs, fleet: str, device: str) -> None:
    """Delete what a drill left in the store, and what the broker keeps of its device.

    Raises: BrokerError, StoreError.
    """
    try:
        with redis.Redis.from_url(of.counted_at) as store:
            for key in list(store.scan_iter(f"headwater:{fleet}:*", count=1000)):
                store.delete(key)
    except redis.RedisError as error:
        raise StoreError(
            f"records of fleet {fleet} could not be deleted: {error}; delete headwater:{fleet}:*"
        ) from None
    session = Session(of.address, f"headwater-drill-{fleet}", Callbacks())
    session.start(CONNECT_S)
    session.publish(Topics(fleet).of_device(device, "status"), b"", retain=True)
    session.stop()
