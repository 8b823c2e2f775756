"""What Home Assistant demands of a device's discovery message, and how it reads a template: its documented rules.

Source: Home Assistant 2024.11 and later, https://www.home-assistant.io/integrations/mqtt/ ("Discovery topic", "Device
discovery payload", "Adding information about the origin of a discovery message"), the options of /sensor.mqtt/,
/binary_sensor.mqtt/ and /select.mqtt/, the units and classes of https://developers.home-assistant.io/docs/core/entity/sensor/,
and "Processing Unix EPOCH timestamps" of the sensor's page for `as_datetime`.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any, Final

from jinja2 import StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

TOPIC: Final = re.compile(r"(?P<prefix>.+?)/device/((?P<node>[a-zA-Z0-9_-]+)/)?(?P<object>[a-zA-Z0-9_-]+)/config")
SHARED: Final = {
    "device", "origin", "components", "availability_topic", "availability_template", "availability", "state_topic",
    "command_topic", "availability_mode", "payload_available", "payload_not_available", "qos", "encoding",
}  # fmt: skip
DEVICE: Final = {
    "identifiers", "connections", "configuration_url", "hw_version", "manufacturer", "model", "model_id", "name",
    "serial_number", "suggested_area", "sw_version", "via_device",
}  # fmt: skip
OF_ALL: Final = {
    "platform", "unique_id", "name", "icon", "entity_category", "enabled_by_default", "qos", "state_topic",
    "value_template", "availability_topic", "availability_template",
}  # fmt: skip
OPTIONS: Final = {
    "sensor": {
        "device_class", "state_class", "unit_of_measurement", "suggested_display_precision", "options", "expire_after",
        "force_update",
    },
    "binary_sensor": {"device_class", "payload_on", "payload_off", "expire_after", "off_delay", "force_update"},
    "select": {"command_topic", "command_template", "options", "optimistic", "retain"},
}  # fmt: skip
UNITS: Final = {
    "temperature": {"°C", "°F", "K"},
    "data_size": {"bit", "kbit", "Mbit", "Gbit", "B", "kB", "MB", "GB", "TB"},
    "timestamp": {None},
}
STATE_CLASSES: Final = {"measurement", "total", "total_increasing"}

_environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined)
_environment.globals["as_datetime"] = lambda seconds: datetime.fromtimestamp(seconds, UTC)


def rendered(template: str, payload: bytes | str) -> str:
    """Return what a value_template makes of a message: `value` is the text, `value_json` what it holds."""
    text = payload.decode() if isinstance(payload, bytes) else payload
    return _environment.from_string(template).render(value=text, value_json=json.loads(text)).strip()


def command(template: str, value: str) -> str:
    """Return what a command_template makes of a chosen value."""
    return _environment.from_string(template).render(value=value)


def checked(topic: str, payload: bytes) -> dict[str, dict[str, Any]]:
    """Return the components of a discovery message, each with what it shares with the others; it keeps to the rules."""
    assert TOPIC.fullmatch(topic), topic
    message = json.loads(payload)
    assert message.keys() <= SHARED
    assert message["device"].keys() <= DEVICE
    assert message["device"]["identifiers"] or message["device"]["connections"]
    assert message["origin"].keys() <= {"name", "sw_version", "support_url"}
    assert message["origin"]["name"]
    shared = {key: message[key] for key in message.keys() - {"device", "origin", "components"}}
    components = message["components"]
    identities = [one["unique_id"] for one in components.values()]
    assert len(set(identities)) == len(identities)
    for key, one in components.items():
        assert re.fullmatch(r"[a-zA-Z0-9_-]+", key)
        _check(one)
    return {key: {**shared, **one} for key, one in components.items()}


def _check(one: dict[str, Any]) -> None:
    """Hold one component against the rules of its platform."""
    platform = one["platform"]
    assert one.keys() <= OF_ALL | OPTIONS[platform], one
    assert one["unique_id"]
    assert one.keys() - {"platform", "unique_id"}, "a component without an option of its own would be removed"
    assert one.get("name") or one.get("device_class"), "nothing would name it"
    if platform == "sensor":
        assert one.get("entity_category") in (None, "diagnostic")
        assert one.get("state_class") in (None, *STATE_CLASSES)
        if "device_class" in one:
            assert one.get("unit_of_measurement") in UNITS[one["device_class"]]
        if one.get("device_class") == "timestamp":
            assert "state_class" not in one
    if platform == "binary_sensor":
        assert one["device_class"] == "connectivity"
        assert one.get("entity_category") in (None, "diagnostic")
    if platform == "select":
        assert one.get("entity_category") in (None, "config")
        assert one["command_topic"]
        assert len(set(one["options"])) == len(one["options"])
        assert all(isinstance(option, str) and option for option in one["options"])
    for topic in (one.get("state_topic"), one.get("command_topic")):
        assert topic is None or not re.search(r"[+#\0]", topic)
