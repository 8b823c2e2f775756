"""What a worker says of its addresses: an OpenAPI document, and a page made from it that needs no internet."""

from __future__ import annotations

import ast
import inspect
from html import escape
from types import ModuleType
from typing import Any, Final

import msgspec

from cloud_worker.answering import JSON, MAX_WHOLE_PIXELS, OFFLOAD, PICTURES, PREDICT, TENSOR
from cloud_worker.http_settings import HttpSettings
from headwater import __version__, frames, requests
from headwater.messages import Answered, Offload, Refused

DIALECT: Final = "3.1.0"
REASONS: Final = {
    400: "The body or the query is not one of ours.",
    404: "No bundle here has that name or digest.",
    408: "The body did not come in time.",
    413: "The body, or the tensor in it, is over the limit.",
    415: "The body is of another type.",
    422: "The picture is damaged or too large, or the tensor does not fit the model.",
    500: "The worker's own fault; see its log.",
    501: "The bundle's crop needs something that is not installed here, or cannot be done here.",
    503: "Busy: too many requests wait; Retry-After says when to send it again.",
}
"""What each refusal means."""


def document(settings: HttpSettings) -> dict[str, Any]:
    """Return the OpenAPI document of a worker with these settings."""
    picture: dict[str, Any] = {kind: {} for kind in PICTURES}
    tensor = {TENSOR: {"schema": _reference("Offload")}}
    limits = (
        f"At most {settings.max_body_bytes:,} B a body, {settings.max_pixels:,} pixels a picture "
        f"({min(settings.max_pixels, MAX_WHOLE_PIXELS):,} a PNG), {settings.waiting} requests in hand or waiting."
    )
    bundle = {
        "name": "bundle",
        "in": "query",
        "schema": {"type": "string", "default": settings.bundle},
        "description": "Whose model answers.",
    }
    return {
        "openapi": DIALECT,
        "info": {"title": "Headwater worker", "version": __version__, "description": f"{_INFO} {limits}"},
        "paths": {
            PREDICT: {"post": _operation("predict", "A picture of any size in, predictions out.", picture, [bundle])},
            OFFLOAD: {"post": _operation("offload", "A tensor at a cut point in, predictions out.", tensor, [])},
            "/health": {"get": _look("health", "How the worker is.", JSON, health=True)},
            "/metrics": {"get": _look("metrics", "Its figures, for Prometheus.", "text/plain")},
            "/openapi.json": {"get": _look("openapi", "This document.", JSON)},
            "/docs": {"get": _look("docs", "This document as a page.", "text/html")},
        },
        "components": {"schemas": _schemas()},
    }


_INFO: Final = (
    "Finishes pictures and activations with the models of its bundles. It keeps nothing: no request reaches the store."
)


def _operation(name: str, summary: str, content: dict[str, Any], parameters: list[Any]) -> dict[str, Any]:
    answered = {"description": "The predictions.", "content": {JSON: {"schema": _reference("Answered")}}}
    why = {JSON: {"schema": _reference("Refused")}}
    possible = {status: text for status, text in REASONS.items() if status != 501 or name == "predict"}
    refusals = {str(status): {"description": text, "content": why} for status, text in possible.items()}
    return {
        "operationId": name,
        "summary": summary,
        "parameters": parameters,
        "requestBody": {"required": True, "content": content},
        "responses": {"200": answered, **refusals},
    }


def _look(name: str, summary: str, kind: str, *, health: bool = False) -> dict[str, Any]:
    responses = {"200": {"description": summary, "content": {kind: {}}}}
    if health:
        responses["503"] = {
            "description": "A request has been computed for longer than --unwell-after seconds.",
            "content": {kind: {}},
        }
    return {"operationId": name, "summary": summary, "responses": responses}


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _schemas() -> dict[str, Any]:
    """Return the schemas of what travels, each field with what the code says of it."""
    _, found = msgspec.json.schema_components([Answered, Refused, Offload], ref_template="#/components/schemas/{name}")
    texts = _field_texts(requests) | _field_texts(frames)
    for name, schema in found.items():
        schema["description"] = " ".join(inspect.cleandoc(schema.get("description", "")).split())
        for field, text in texts.get(name, {}).items():
            inner = schema["properties"][field]
            schema["properties"][field] = {"description": text, **inner}
    return {name: _portable(schema) for name, schema in found.items()}


def _portable(schema: Any) -> Any:
    """Return a schema as other languages read it: their patterns, and MessagePack's bytes."""
    if isinstance(schema, list):
        return [_portable(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: _portable(value) for key, value in schema.items()}
    if isinstance(schema.get("pattern"), str):
        schema["pattern"] = schema["pattern"].replace(r"\Z", "$")
    if schema.pop("contentEncoding", None) == "base64":
        schema["description"] = f"{schema.get('description', '')} MessagePack bin.".strip()
    return schema


def _field_texts(module: ModuleType) -> dict[str, dict[str, str]]:
    """Return by struct and field the docstring below it."""
    classes = [node for node in ast.parse(inspect.getsource(module)).body if isinstance(node, ast.ClassDef)]
    return {
        node.name: {
            field.target.id: " ".join(text.value.value.split())
            for field, text in zip(node.body, node.body[1:], strict=False)
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
            if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
        }
        for node in classes
    }


def page(described: dict[str, Any]) -> str:
    """Return an OpenAPI document as one HTML page: no script, nothing from elsewhere."""
    info = described["info"]
    title = f"{escape(info['title'])} {escape(info['version'])}"
    operations = "".join(
        _operation_html(method, path, operation)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    )
    schemas = "".join(_schema_html(name, schema) for name, schema in described["components"]["schemas"].items())
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f'<h1>{title}</h1><p>{escape(info["description"])} <a href="openapi.json">openapi.json</a></p>'
        f"{operations}<h2>What travels</h2>{schemas}</html>\n"
    )


_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}"
    "h2{margin-top:2em}code{background:#f2f2f2;padding:0 .3em}table{border-collapse:collapse;width:100%}"
    "td{border-top:1px solid #ddd;padding:.3em .6em .3em 0;vertical-align:top}td:first-child{white-space:nowrap}"
)


def _operation_html(method: str, path: str, operation: dict[str, Any]) -> str:
    bodies = operation.get("requestBody", {}).get("content", {})
    sent = "".join(
        f"<tr><td>body<td><code>{escape(kind)}</code> {_content_html(found)}" for kind, found in bodies.items()
    )
    asked = "".join(
        f"<tr><td>?<code>{escape(one['name'])}</code><td>{escape(one['description'])} "
        f"Default: <code>{escape(str(one['schema']['default']))}</code>"
        for one in operation.get("parameters", ())
    )
    answers = "".join(
        f"<tr><td>{escape(status)}<td>{escape(found['description'])} {_content_html(found['content'].get(JSON, {}))}"
        for status, found in operation["responses"].items()
    )
    head = f"<h2><code>{method.upper()} {escape(path)}</code></h2><p>{escape(operation['summary'])}</p>"
    return f"{head}<table>{asked}{sent}{answers}</table>"


def _schema_html(name: str, schema: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(field)}</code><td>{_kind_html(inner)}<td>{escape(inner.get('description', ''))}"
        for field, inner in schema.get("properties", {}).items()
    )
    text = escape(schema.get("description", ""))
    return f'<h3 id="{escape(name)}">{escape(name)}</h3><p>{text}</p><table>{rows}</table>'


def _content_html(content: dict[str, Any]) -> str:
    return _kind_html(content["schema"]) if "schema" in content else ""


def _kind_html(schema: dict[str, Any]) -> str:
    """Return what a value is, in a word or a link."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(_kind_html(one) for one in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_kind_html(schema['items'])}" if "items" in schema else "list"
    if "enum" in schema:
        return ", ".join(f"<code>{escape(str(value))}</code>" for value in schema["enum"])
    return escape(str(schema.get("type", "value")))
