"""Answers fit through the broker."""

from __future__ import annotations

from typing import Any

from cloud_worker.replies import MqttReplies
from headwater.errors import TooLarge
from headwater.messages import VERSION, Dead, FrameId, Prediction, Result, decode
from headwater.metrics import Counters
from tests.cloud_worker.fleet import BOOT, TOPICS


class PaperSession:
    """Takes messages up to a size."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.sent: list[tuple[str, bytes, Any]] = []

    def publish(self, topic: str, payload: bytes, *, properties: Any) -> int:
        if len(payload) > self.limit_bytes:
            raise TooLarge("message", len(payload), self.limit_bytes)
        self.sent.append((topic, payload, properties))
        return len(self.sent)


def replies(limit_bytes: int) -> tuple[MqttReplies, PaperSession, Counters]:
    session, counters = PaperSession(limit_bytes), Counters()
    return MqttReplies(session, TOPICS, counters), session, counters  # type: ignore[arg-type]


def result(scores: int) -> Result:
    found = Prediction("litter", "dirty", None, 0.5, [0.5] * scores)
    return Result(VERSION, FrameId("cam1", BOOT, 17), "w1", 1, 2, 3, {"tail": 4}, [found])


def test_a_result_goes_to_its_device() -> None:
    """With the frame id as correlation data."""
    speaker, session, _ = replies(1000)
    speaker.result(result(2))
    topic, payload, properties = session.sent[0]
    assert topic == "headwater/v1/demo/cam1/result"
    assert decode(Result, payload, 1000) == result(2)
    assert f"cam1-{BOOT}-17".encode() in properties.pack()


def test_a_result_too_long_for_the_broker_goes_without_scores() -> None:
    """Label and confidence still arrive."""
    speaker, session, counters = replies(300)
    speaker.result(result(1000))
    (found,) = decode(Result, session.sent[0][1], 1000).predictions
    assert (found.label, found.confidence, found.scores) == ("dirty", 0.5, [])
    assert counters.snapshot() == {}


def test_what_never_fits_is_counted() -> None:
    """Neither a result nor a report of a refused message ends the worker."""
    speaker, session, counters = replies(10)
    speaker.result(result(1000))
    speaker.dead(Dead(VERSION, "why", "Malformed", "t", "w1", 1, 3, b"abc"))
    assert session.sent == []
    assert counters.snapshot() == {"dead_too_large": 1, "results_too_large": 1}
