"""A device's own connection to its broker: what it listens to, and what is said of it when it is gone."""

from __future__ import annotations

from typing import Final

from headwater.messages import VERSION, Status, encode_json
from headwater.session import Address, Callbacks, Session, Will
from headwater.topics import Topics

LEAST_RECEIVED: Final = 64


def connection(
    address: Address, topics: Topics, device: str, boot: str, callbacks: Callbacks, *, since_ns: int, window: int
) -> Session:
    """Return the session of a device that runs since `since_ns`, not started; `window` frames may be unconfirmed."""
    gone = Status(VERSION, device, online=False, since_ns=since_ns, sent_ns=since_ns)
    return Session(
        address,
        f"headwater-{device}-{boot}",
        callbacks,
        subscriptions=tuple((topics.of_device(device, kind), 1) for kind in ("result", "settings")),
        will=Will(topics.of_device(device, "status"), encode_json(gone)),
        receive_maximum=max(2 * window, LEAST_RECEIVED),
    )
