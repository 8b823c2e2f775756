"""Paho's MQTT client, as it outlives what it reads: nothing that comes over a connection ends its network thread."""

from __future__ import annotations

import logging
import struct
from typing import Final

import paho.mqtt.client as mqtt
from paho.mqtt import properties
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.exception import MQTTException

from headwater.logs import event

log = logging.getLogger(__name__)

_UNREADABLE: Final = (MQTTException, ValueError, LookupError, TypeError, struct.error)
"""What paho raises at a packet of which the parts do not fit together."""


class Client(mqtt.Client):
    """A client that hangs up on a packet that it cannot read; paho's thread would end, and still seem connected."""

    def _packet_handle(self) -> MQTTErrorCode:
        try:
            return super()._packet_handle()
        except _UNREADABLE as error:
            log.warning(event("packet cannot be read", error=type(error).__name__, reason=error))
            return MQTTErrorCode.MQTT_ERR_PROTOCOL


def _read_text(buffer: bytes, room: int) -> tuple[str, int]:
    """Return a text among a packet's properties, and its length in the packet.

    Paho's own reader hangs up on U+FEFF, which MQTT allows and brokers pass on: a device could so cut off every worker,
    again and again. Source: MQTT 5.0, section 1.5.4.
    """
    text, size = properties.readBytes(buffer, room)  # type: ignore[no-untyped-call]
    return bytes(text).decode("utf-8", "replace"), size


properties.readUTF = _read_text
