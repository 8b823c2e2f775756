"""Writes the schemas of docs/asyncapi.yaml from the structs: python -m tests.headwater.asyncapi_schemas"""

from __future__ import annotations

import ast
import base64
import inspect
from pathlib import Path
from typing import Any

import msgspec
import yaml

from headwater import frames, reports
from headwater.clock import STAGES
from headwater.messages import encode
from tests.headwater.samples import JSON, STREAM

FILE = Path(__file__).parents[2] / "docs" / "asyncapi.yaml"
MARK = "  # From here on written by tests/headwater/asyncapi_schemas.py from headwater/frames.py and reports.py.\n"
REFERENCE = "#/components/schemas/{name}"
IN_JSON = {"Dead"}
"""The structs whose bytes travel in JSON, as base64; all others with bytes travel in MessagePack."""


def schemas() -> dict[str, Any]:
    """Return the JSON schema of every message and its parts, with descriptions and examples."""
    samples = [*STREAM.values(), *JSON.values()]
    kinds = list(dict.fromkeys(type(sample) for sample in samples))
    _, found = msgspec.json.schema_components(kinds, ref_template=REFERENCE)
    for name, schema in found.items():
        schema.pop("title", None)
        schema["description"] = " ".join(inspect.cleandoc(schema["description"]).split())
        for field, text in field_texts().get(name, {}).items():
            describe(schema["properties"], field, text)
        for field in schema["properties"]:
            schema["properties"][field] = on_the_wire(schema["properties"][field], field, name)
        examples = [msgspec.to_builtins(sample) for sample in samples if type(sample).__name__ == name]
        if examples:
            schema["examples"] = examples
        packed = [encode(sample).hex() for sample in STREAM.values() if type(sample).__name__ == name]
        if packed:
            schema["x-examples-msgpack-hex"] = packed
    return dict(sorted(found.items()))


def describe(properties: dict[str, Any], field: str, text: str) -> None:
    """Put a description beside a field's schema; one that is only a reference needs allOf for it."""
    schema = properties[field]
    properties[field] = {"description": text, **({"allOf": [schema]} if "$ref" in schema else schema)}


def on_the_wire(schema: Any, field: str, struct: str) -> Any:
    """Return a schema as other languages read it: their patterns, MessagePack's bytes, the version, the stages."""
    if isinstance(schema, list):
        return [on_the_wire(entry, field, struct) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: on_the_wire(value, field, struct) for key, value in schema.items()}
    if "pattern" in schema:
        schema["pattern"] = schema["pattern"].replace(r"\Z", "$")
    if schema.get("contentEncoding") == "base64" and struct not in IN_JSON:
        schema["description"] = (schema.get("description", "") + " MessagePack bin; base64 in the examples.").strip()
    if isinstance(schema.get("discriminator"), dict):  # AsyncAPI has the field's name alone
        schema["discriminator"] = schema["discriminator"]["propertyName"]
    if field == "version" and schema.get("type") == "integer":
        schema["const"] = 1
    if field == "stages_ns" and schema.get("type") == "object":
        schema["propertyNames"] = {"enum": list(STAGES)}
    return schema


def field_texts() -> dict[str, dict[str, str]]:
    """Return the docstrings below the fields of each struct."""
    texts: dict[str, dict[str, str]] = {}
    for module in (frames, reports):
        for node in ast.parse(inspect.getsource(module)).body:
            if isinstance(node, ast.ClassDef):
                texts[node.name] = dict(fields_with_text(node))
    return texts


def fields_with_text(node: ast.ClassDef) -> list[tuple[str, str]]:
    """Return (field, docstring) of those fields of a class that have one."""
    return [
        (field.target.id, " ".join(text.value.value.split()))
        for field, text in zip(node.body, node.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    ]


def written() -> str:
    """Return the file with its schemas as they are now."""
    by_hand = FILE.read_text().partition(MARK)[0]
    block: str = yaml.dump(
        {"schemas": schemas()}, Dumper=Plain, sort_keys=False, allow_unicode=True, width=110, default_flow_style=False
    )
    return by_hand + MARK + "".join(f"  {line}\n" for line in block.splitlines())


class Plain(yaml.SafeDumper):
    """YAML without anchors, bytes as base64."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _as_base64(dumper: Plain, data: bytes | memoryview) -> yaml.Node:
    return dumper.represent_str(base64.b64encode(data).decode())


Plain.add_representer(bytes, _as_base64)
Plain.add_representer(memoryview, _as_base64)
Plain.add_representer(tuple, Plain.represent_list)

if __name__ == "__main__":
    FILE.write_text(written())
