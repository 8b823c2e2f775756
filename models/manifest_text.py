"""bundle.toml written: a new one from a Manifest, or an existing one with other values where its comments stay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.items import AoT, Array

from models.evidence import Leak, Wire
from models.manifest import FORMAT, Accuracy, Exit, Manifest, parse_manifest
from models.tasks import Task
from models.toml_table import BundleError

WITH_EXITS = " with exits"
"""How the metric of an accuracy ends that holds for the thresholds beside it."""
Comments = Mapping[str, Sequence[str]]
"""Lines for a person, by the name of the exit at whose end they stand."""


def manifest_text(manifest: Manifest, comments: Comments | None = None) -> str:
    """Return the text of a bundle.toml that reads back as this manifest."""
    top = {
        "format": FORMAT,
        "name": manifest.name,
        "description": manifest.description or None,
        "digest": manifest.digest,
        "outputs": list(manifest.outputs),
        "cut_points": _lines(manifest.cut_points) if manifest.cut_points else None,
        "input": _filled(vars(manifest.input)),
        "tasks": [_task(task) for task in manifest.tasks],
        "exits": _exits(manifest.exits, comments or {}),
        "training": dict(manifest.training) or None,
        "accuracy": [_accuracy(found) for found in manifest.accuracy] or None,
        "wire": wire_table(manifest.wire) if manifest.wire else None,
        "leak": [vars(leak) for leak in manifest.leaks] or None,
    }
    text = tomlkit.dumps(_filled(top))
    parse_manifest(text, "the bundle.toml to be written")
    return text


def rewrite_measured(path: Path, *, wire: Wire | None = None, leaks: Sequence[Leak] | None = None) -> None:
    """Put other codecs or other leaks into a bundle.toml; all else stays, comments too.

    Raises: BundleError when the file cannot be read or written, or would not be read back.
    """
    try:
        document: dict[str, Any] = tomlkit.parse(path.read_text(encoding="utf-8"))
        if wire is not None:
            document["wire"] = wire_table(wire)
        if leaks is not None:
            document["leak"] = [vars(leak) for leak in leaks]
        text = tomlkit.dumps(document)
        parse_manifest(text, str(path))
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BundleError(f"{path} cannot be changed: {error.strerror or error}; check its rights") from error


def wire_table(wire: Wire) -> dict[str, Any]:
    """Return codecs as their table of a bundle.toml."""
    return {"max_loss": wire.max_loss, "pictures": wire.pictures, "codec": dict(wire.codec)}


def rewrite_exits(path: Path, exits: Iterable[Exit], temperatures: Mapping[str, float]) -> None:
    """Put other exits and temperatures of tasks into a bundle.toml; all else stays, comments too.

    Accuracies "with exits" go where thresholds change: they were measured with others.

    Raises: BundleError when the file cannot be read or written, or would not be read back.
    """
    try:
        document: dict[str, Any] = tomlkit.parse(path.read_text(encoding="utf-8"))
        for task in document["tasks"]:
            if task["name"] in temperatures:
                task["temperature"] = temperatures[task["name"]]
        old, changed = {table["name"]: table for table in document["exits"]}, False
        for found in exits:
            table = exit_table(found)
            changed |= any(old[found.name].get(key) != table.get(key) for key in ("rule", "thresholds", "temperatures"))
            for key in {"drop", "thresholds", "temperatures", "leave"} - table.keys():
                old[found.name].pop(key, None)
            for key, value in table.items():
                if old[found.name].get(key) != value:
                    old[found.name][key] = value
        if changed:
            _drop_accuracies(document)
        text = tomlkit.dumps(document)
        parse_manifest(text, str(path))
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BundleError(f"{path} cannot be changed: {error.strerror or error}; check its rights") from error


def _drop_accuracies(document: dict[str, Any]) -> None:
    """Take out what was measured with other thresholds."""
    rows = document.get("accuracy", [])
    for number in reversed(range(len(rows))):
        if rows[number]["metric"].endswith(WITH_EXITS):
            del rows[number]


def _exits(exits: Sequence[Exit], comments: Comments) -> AoT | None:
    tables = tomlkit.aot()
    for found in exits:
        table = tomlkit.table()
        table.update(exit_table(found))
        for line in comments.get(found.name, ()):
            table.add(tomlkit.comment(line))
        tables.append(table)
    return tables if exits else None


def exit_table(found: Exit) -> dict[str, Any]:
    """Return an exit as its table of a bundle.toml; its maps of tasks are inline tables."""
    table = {
        "name": found.name,
        "after": found.after,
        "rule": found.rule,
        "outputs": _inline(found.outputs),
        "thresholds": _inline(found.thresholds),
        "drop": _inline(found.drop),
        "temperatures": _inline(found.temperatures),
        "leave": found.leave,
    }
    return _filled(table)


def _task(task: Task) -> dict[str, Any]:
    return _filled(
        {
            "name": task.name,
            "kind": task.kind,
            "output": task.output,
            "labels": list(task.labels) or None,
            "unit": task.unit,
            "positive": task.positive,
            "scores": task.scores if task.scores != "probabilities" else None,
            "temperature": task.temperature if task.temperature != 1.0 else None,
        }
    )


def _accuracy(found: Accuracy) -> dict[str, Any]:
    return _filled(vars(found))


def _filled(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if value is not None}


def _lines(texts: Sequence[str]) -> Array:
    array = tomlkit.array()
    array.extend(texts)
    return array.multiline(True)


def _inline(values: Mapping[str, Any]) -> Any:
    if not values:
        return None
    table = tomlkit.inline_table()
    table.update(values)
    return table
