"""What the broker reads of a frame message: its MQTT properties."""

from __future__ import annotations

from paho.mqtt.properties import Properties

from headwater.messages import Frame
from headwater.properties import publish_properties
from headwater.topics import CONTENT_TYPES


def envelope(frame: Frame, reply_to: str, left_s: float | None, traceparent: str | None) -> Properties:
    """Return the properties of a frame that leaves now; what is `left_s` of its time is the broker's to hold to."""
    return publish_properties(
        content_type=CONTENT_TYPES["frame"],
        expiry_s=None if left_s is None else max(1, round(left_s)),
        response_topic=reply_to,
        correlation=str(frame.id).encode(),
        traceparent=traceparent,
    )
