"""One user of a broker, as tests of access lists and of attacks play them."""

from __future__ import annotations

from headwater.address import Address
from headwater.session import Callbacks, Received, Session, Will


class Party:
    """One user's session, and the last that it heard on every topic."""

    def __init__(
        self, to: Address, name: str, *filters: str, will: Will | None = None, deadline_s: float = 10.0
    ) -> None:
        self.heard: dict[str, bytes] = {}
        self.count = self.lost = 0
        callbacks = Callbacks(on_message=self._take, on_disconnected=self._gone)
        topics = [(one, 1) for one in filters]
        self.session = Session(to, name, callbacks, subscriptions=topics, will=will)
        self.session.start(deadline_s)

    def _take(self, message: Received) -> None:
        self.heard[message.topic] = message.payload
        self.count += 1
        self.session.ack(message)

    def _gone(self) -> None:
        self.lost += 1

    def say(self, topic: str, payload: bytes = b"x", *, retain: bool = False) -> None:
        """Publish, whether or not it is allowed."""
        self.session.publish(topic, payload, retain=retain)
