"""The properties of a message."""

from __future__ import annotations

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from headwater.properties import publish_properties


def read(packed: bytes) -> dict[str, object]:
    """Return what paho's own reader finds."""
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    _, used = properties.unpack(packed)  # type: ignore[no-untyped-call]
    assert used == len(packed)
    found: dict[str, object] = properties.json()  # type: ignore[no-untyped-call]
    return found


def test_properties_are_the_ones_that_were_given() -> None:
    """Each property stands where MQTT 5 has it, and what was not given is not there."""
    properties = publish_properties(
        content_type="a/b", expiry_s=3, response_topic="r", correlation=b"c", traceparent="t"
    )
    assert properties.packetType == PacketTypes.PUBLISH
    assert read(properties.pack()) == {
        "ContentType": "a/b",
        "MessageExpiryInterval": 3,
        "ResponseTopic": "r",
        "CorrelationData": "63",
        "UserProperty": [("traceparent", "t")],
    }
    assert read(publish_properties().pack()) == {}
    assert "B]" in str(properties)


@pytest.mark.parametrize("length", [0, 1, 120, 121, 122, 123, 124, 125, 126, 300, 20_000])
def test_every_length_is_written_as_mqtt_wants_it(length: int) -> None:
    """The length in front grows from one byte to three."""
    assert read(publish_properties(correlation=b"x" * length).pack()) == {"CorrelationData": "78" * length}
