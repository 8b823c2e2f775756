"""The page of topics and messages, from docs/asyncapi.yaml, whose fields the tests hold against the code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import yaml

FILE: Final = Path(__file__).parent / "asyncapi.yaml"
WHO: Final = re.compile(r"^(device|worker|operator)")
BOUNDS: Final = {
    "const": "{}", "minimum": "≥ {}", "exclusiveMinimum": "> {}", "maximum": "≤ {}", "exclusiveMaximum": "< {}",
    "minLength": "at least {} characters", "maxLength": "at most {} characters",
    "minItems": "at least {}", "maxItems": "at most {}", "maxProperties": "at most {}", "pattern": "`{}`",
}  # fmt: skip
INTRO: Final = """\
# Topics and messages

Everything that travels over the broker, written by `make reference` from [asyncapi.yaml](asyncapi.yaml), which also has
the formulas and examples that a device in another language needs; [wire.md](wire.md) says why it is so.

| topic | sent by | heard by | QoS | retained | message |
|---|---|---|---:|---|---|
"""
MESSAGES_INTRO: Final = """\

Workers hear frames and journeys through the shared subscription `$share/workers/headwater/v1/{fleet}/+/…`, or in a
group of another name (`--group-file`). Frame,
result and journeys are `application/msgpack`, all others `application/json`; fields that a receiver does not know are
refused.
"""


def topics_page() -> str:
    """Return the page: the topics, then every message and what it is made of."""
    document = yaml.safe_load(FILE.read_text())
    rows = "\n".join(topic_row(name, document) for name in document["channels"])
    schemas = document["components"]["schemas"]
    return "\n".join([INTRO + rows, MESSAGES_INTRO, *(schema_part(name, schemas[name]) for name in schemas)])


def topic_row(name: str, document: dict[str, Any]) -> str:
    """Return one topic as a row: who sends and hears it, how, and which message."""
    channel = document["channels"][name]
    used = {key: op for key, op in document["operations"].items() if last(op["channel"]) == name}
    (sends,) = [op for op in used.values() if op["action"] == "send"]
    who = {
        action: sorted({who_of(key) for key, op in used.items() if op["action"] == action})
        for action in ("send", "receive")
    }
    (message,) = channel["messages"].values()
    payload = last(document["components"]["messages"][last(message)]["payload"])
    mqtt = sends["bindings"]["mqtt"]
    cells = [
        f"`{channel['address']}`", ", ".join(who["send"]), ", ".join(who["receive"]) or "whoever watches",
        str(mqtt["qos"]), "yes" if mqtt["retain"] else "", link(payload),
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def who_of(operation: str) -> str:
    """Return whose operation it is, from its name."""
    found = WHO.match(operation)
    if found is None:
        raise ValueError(f"operation {operation}: expected a name that begins with device, worker or operator")
    return found[1]


def schema_part(name: str, schema: dict[str, Any]) -> str:
    """Return a message, or a part of one, with a table of its fields."""
    needed = schema.get("required", [])
    head = [f"## {name}", "", schema["description"], "", "| field | what | needed | meaning |", "|---|---|---|---|"]
    rows = [
        f"| `{field}` | {kind(one)} | {'yes' if field in needed else ''} | {one.get('description', '')} |"
        for field, one in schema["properties"].items()
    ]
    return "\n".join([*head, *rows, ""])


def kind(schema: dict[str, Any]) -> str:
    """Return what a field holds, with its bounds."""
    if "$ref" in schema:
        return link(last(schema))
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return " or ".join(kind(one) for one in schema[several])
    if "enum" in schema:
        return ", ".join(f"`{one}`" for one in schema["enum"])
    bounds = [text.format(schema[key]) for key, text in BOUNDS.items() if key in schema]
    return ", ".join([f"{schema.get('type', 'anything')}{inner(schema)}", *bounds])


def inner(schema: dict[str, Any]) -> str:
    """Return what an array or a map holds."""
    if isinstance(schema.get("items"), dict):
        return f" of {kind(schema['items'])}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f" of {kind(schema['additionalProperties'])}"
    return ""


def last(reference: dict[str, Any]) -> str:
    """Return the name at the end of a local reference."""
    return str(reference["$ref"]).rpartition("/")[2]


def link(name: str) -> str:
    """Return a link to a message's part of the page."""
    return f"[{name}](#{name.lower()})"
