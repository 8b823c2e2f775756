"""Home Assistant: one retained message by which a device appears there, made of the topics that it has anyway.

The message says where each figure stands in the device's status, as a template; no figure travels twice. It lies below
the discovery prefix at `device/FLEET/DEVICE/config`, so that a broker's access list can let a device write its own.

Source: Home Assistant 2024.11 and later, the integration MQTT: "Discovery topic", "Device discovery payload", and the
pages of the MQTT sensor, binary sensor and select. https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from edge.parts import InSight, Parts
from headwater import version
from headwater.errors import SettingsError
from headwater.host import temperature_c
from headwater.messages import encode_json
from headwater.topics import Topics

Component = dict[str, Any]

_PREFIX: Final = re.compile(r"(?!\$)[^+#/\0]+(/[^+#/\0]+)*")
LONGEST_PREFIX: Final = 128
ONLINE: Final = "{{ 'online' if value_json.online else 'offline' }}"
COUNT: Final = {"state_class": "total_increasing", "unit_of_measurement": "frames"}
NOW: Final = {"state_class": "measurement"}
ASIDE: Final = {"entity_category": "diagnostic"}


@dataclass(frozen=True)
class Told:
    """What Home Assistant is told of a device."""

    name: str
    model: str
    """The bundle's name."""
    splits: Sequence[str]
    """What an operator may set."""
    has_exits: bool
    has_temperature: bool


def checked_prefix(prefix: str) -> str:
    """Return a discovery prefix that can begin a topic. Raises: SettingsError."""
    if len(prefix) > LONGEST_PREFIX or not _PREFIX.fullmatch(prefix):
        raise SettingsError(
            f"--home-assistant-prefix: got {prefix[:80]!r}, expected at most {LONGEST_PREFIX} characters without + and"
            " #, and without / at the ends; give what Home Assistant is set to, such as homeassistant"
        )
    return prefix


def discovery_topic(prefix: str, topics: Topics, device: str) -> str:
    """Return where a device is announced. Of the ids only letters, digits, - and _ may be made."""
    return f"{prefix}/device/{plain(topics.fleet)}/{plain(device)}/config"


def plain(name: str) -> str:
    """Return a name without dots; one that had some gets a checksum, so that it stays another than its like."""
    if "." not in name:
        return name
    return f"{name.replace('.', '_')}-{zlib.crc32(name.encode()):08x}"


def discovery(topics: Topics, told: Told) -> dict[str, Any]:
    """Return the message that announces a device with all that belongs to it."""
    status, identity = topics.of_device(told.name, "status"), f"headwater:{topics.fleet}:{told.name}"
    components: dict[str, Component] = {"connected": _connected(), **_sensors(told), "set_split": _select(topics, told)}
    return {
        "device": {
            "identifiers": [identity],
            "name": told.name,
            "manufacturer": "Headwater",
            "model": told.model,
            "sw_version": version(),
        },
        "origin": {"name": "headwater", "sw_version": version()},
        "availability_topic": status,
        "availability_template": ONLINE,
        "state_topic": status,
        "components": {key: {"unique_id": f"{identity}:{key}", **one} for key, one in components.items()},
    }


def _connected() -> Component:
    """Return whether the device is there: of all components the one that is available when it is not."""
    return {
        "platform": "binary_sensor",
        "device_class": "connectivity",
        "value_template": "{{ 'ON' if value_json.online else 'OFF' }}",
        "availability_template": "{{ 'online' }}",
        **ASIDE,
    }


def _sensors(told: Told) -> dict[str, Component]:
    """Return the figures of the status; those that this device can never have are left out."""
    found: dict[str, Component] = {
        "frames_per_s": _figure("value_json.frames_per_s", "Frames per second", unit_of_measurement="frames/s", **NOW),
        "finished": _figure("value_json.finished.device + value_json.finished.worker", "Frames finished", **COUNT),
        "last_finished": {
            "platform": "sensor",
            "name": "Last answer",
            "device_class": "timestamp",
            "value_template": _or_unknown("last_finished_ns", "as_datetime(value_json.last_finished_ns // 1000000000)"),
        },
        "split": {
            "platform": "sensor",
            "name": "Split in use",
            "value_template": "{{ value_json.split or None }}",
            **ASIDE,
        },
        "dropped": _figure("value_json.dropped.values() | sum", "Frames dropped", **COUNT, **ASIDE),
        "in_flight": _figure("value_json.in_flight", "Frames under way", unit_of_measurement="frames", **NOW, **ASIDE),
        "spool": _figure(
            "value_json.spool_bytes", "Spool", device_class="data_size", unit_of_measurement="B", **NOW, **ASIDE
        ),
        "round_trip": {
            "platform": "sensor",
            "name": "Round trip",
            "unit_of_measurement": "ms",
            "suggested_display_precision": 1,
            "value_template": _or_unknown("link", "value_json.link.round_trip_ms | round(2)"),
            **NOW,
            **ASIDE,
        },
    }
    if told.has_exits:
        found["left_early"] = _figure("value_json.exits.values() | sum", "Frames finished at an exit", **COUNT)
    if told.has_temperature:
        found["temperature"] = _temperature()
    return found


def _figure(expression: str, name: str, **more: str) -> Component:
    """Return a sensor of a number. A will is passed over: it was written at the start and knows only noughts."""
    template = f"{{% if value_json.online %}}{{{{ {expression} }}}}{{% endif %}}"
    return {"platform": "sensor", "name": name, "value_template": template, **more}


def _temperature() -> Component:
    return {
        "platform": "sensor",
        "device_class": "temperature",
        "unit_of_measurement": "°C",
        "suggested_display_precision": 1,
        "value_template": _or_unknown("temperature_c", "value_json.temperature_c"),
        **NOW,
        **ASIDE,
    }


def _or_unknown(field: str, expression: str) -> str:
    """Return a template of what may be null: Home Assistant takes None for unknown."""
    return f"{{{{ {expression} if value_json.{field} is not none else None }}}}"


def _select(topics: Topics, told: Told) -> Component:
    """Return the split as something to choose: sent as an operator would, shown as the device says that it holds."""
    return {
        "platform": "select",
        "name": "Split",
        "entity_category": "config",
        "options": list(told.splits),
        "state_topic": topics.of_device(told.name, "settings/applied"),
        "value_template": "{{ value_json.split }}",
        "command_topic": topics.of_device(told.name, "settings"),
        "command_template": '{"version": 1, "split": {{ value | tojson }}}',
        "qos": 1,
        "retain": True,
    }


def announcing(prefix: str, topics: Topics, *, wanted: bool) -> InSight:
    """Return what tells Home Assistant of a device at each connection, or where it is not wanted takes that back."""

    @contextmanager
    def telling(parts: Parts) -> Iterator[None]:
        topic = discovery_topic(prefix, topics, parts.name)
        applied = topics.of_device(parts.name, "settings/applied")
        announced = json.dumps(discovery(topics, told_of(parts)), ensure_ascii=False).encode() if wanted else b""

        def greeting() -> Mapping[str, bytes]:
            """Say which settings hold, too: without an operator's word nobody else would."""
            return {topic: announced, **({applied: encode_json(parts.control.applied())} if wanted else {})}

        parts.sender.greeting = greeting
        yield

    return telling


def told_of(parts: Parts) -> Told:
    """Return what there is to tell of a device."""
    control = parts.control
    return Told(parts.name, parts.bundle, control.splits, bool(control.plan.rules), temperature_c() is not None)
