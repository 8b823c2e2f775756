"""What a worker says: results to devices, refused messages to operators, acknowledgements to the broker."""

from __future__ import annotations

import logging
from typing import Final, Protocol

from msgspec.structs import replace

from cloud_worker.inbox import Delivery
from headwater.errors import TooLarge
from headwater.logs import event
from headwater.messages import Dead, Prediction, Result, encode, encode_json
from headwater.metrics import Counters
from headwater.properties import publish_properties
from headwater.session import Session
from headwater.topics import CONTENT_TYPES, Topics

log = logging.getLogger(__name__)

RESULT_TYPE: Final = CONTENT_TYPES["result"]
DEAD_TYPE: Final = CONTENT_TYPES["dead"]


class Replies(Protocol):
    """Where answers go."""

    def result(self, result: Result) -> None:
        """Answer a device."""

    def dead(self, dead: Dead) -> None:
        """Tell operators of a refused message."""

    def ack(self, delivery: Delivery) -> None:
        """Tell the broker that a message is done with."""


class MqttReplies:
    """Answers over MQTT. What the broker would cut us off for is made shorter, and counted when that is not enough."""

    def __init__(self, session: Session, topics: Topics, counters: Counters) -> None:
        self._session, self._topics, self._counters = session, topics, counters

    def result(self, result: Result) -> None:
        """Answer a device, without the scores when they do not fit through the broker."""
        if not self._publish_result(result):
            bare = [Prediction(p.task, p.label, p.value, p.confidence) for p in result.predictions]
            if not self._publish_result(replace(result, predictions=bare)):
                self._counters.add("results_too_large")
                log.error(event("result does not fit through the broker", frame=result.id))

    def _publish_result(self, result: Result) -> bool:
        topic = self._topics.of_device(result.id.device, "result")
        properties = publish_properties(content_type=RESULT_TYPE, correlation=str(result.id).encode("ascii"))
        try:
            self._session.publish(topic, encode(result), properties=properties)
        except TooLarge:
            return False
        return True

    def dead(self, dead: Dead) -> None:
        """Tell operators of a refused message."""
        try:
            self._session.publish(
                self._topics.dead, encode_json(dead), properties=publish_properties(content_type=DEAD_TYPE)
            )
        except TooLarge as error:
            self._counters.add("dead_too_large")
            log.error(event("refused message cannot be reported", topic=dead.topic, reason=error))

    def ack(self, delivery: Delivery) -> None:
        """Tell the broker that a message is done with."""
        self._session.ack(delivery.message)
