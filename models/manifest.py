"""bundle.toml: what is written in it, read strictly. The format is described in docs/bundles.md."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast, get_args

from models.choices import Colour, CropName, Rule, Scores
from models.crop import CROPS
from models.evidence import Leak, Wire, read_leak, read_wire
from models.exits import MEASURES
from models.tasks import Kind, Task
from models.toml_table import BundleError, Table, read_toml

FORMAT = 1
MAX_MANIFEST_BYTES = 262_144
MAX_SIDE = 8192
END: Final = "end"
"""What the place behind all exits is called in every table, so that no exit may be."""
_ROUNDING: Final = 1e-3
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class InputSpec:
    """The picture that a network takes: its size, what pixel values 0 and 255 become, and the order of colours."""

    width: int
    height: int
    low: float
    high: float
    colour: Colour = "RGB"
    crop: CropName = "none"
    """What of a picture the network was trained on."""


@dataclass(frozen=True)
class Exit:
    """An early exit: branch outputs behind a cut point and the rule by which a frame leaves there."""

    name: str
    after: str
    outputs: Mapping[str, str]
    rule: Rule
    thresholds: Mapping[str, float]
    """How sure a task must be for its frame to leave here; a task without one never is."""
    drop: Mapping[str, float]
    """How unsure a task must be for its frame to be given up as hopeless; none by default."""
    temperatures: Mapping[str, float] = field(default_factory=dict)
    """What the logits of a task are divided by before the rule looks at them; 1 where none is given."""
    leave: float | None = None
    """The share of all pictures that left here when the thresholds were chosen."""


@dataclass(frozen=True)
class Accuracy:
    """One measured figure of a task, with the bounds of its 95 % interval and the pictures behind it."""

    task: str
    metric: str
    value: float
    low: float | None
    high: float | None
    pictures: int
    data: str


@dataclass(frozen=True)
class Manifest:
    """Everything that a bundle.toml says."""

    name: str
    description: str
    digest: str
    input: InputSpec
    outputs: tuple[str, ...]
    tasks: tuple[Task, ...]
    exits: tuple[Exit, ...]
    cut_points: tuple[str, ...]
    training: Mapping[str, str]
    accuracy: tuple[Accuracy, ...]
    wire: Wire | None = None
    leaks: tuple[Leak, ...] = ()


def read_manifest(path: Path) -> Manifest:
    """Return what a bundle.toml says. Raises: BundleError naming the file, the key, what it is and what is expected."""
    try:
        size = path.stat().st_size
        if size > MAX_MANIFEST_BYTES:
            raise BundleError(f"{path} has {size} B, expected at most {MAX_MANIFEST_BYTES}; this is no bundle.toml")
        text = path.read_text(encoding="utf-8")
        return parse_manifest(text, str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"{path} cannot be read: {error}; write a bundle.toml as in docs/bundles.md") from error


def parse_manifest(text: str, source: str = "bundle.toml") -> Manifest:
    """Return what the text of a bundle.toml says. Raises: BundleError."""
    try:
        top = Table(read_toml(text), "", source)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{source} is not TOML: {error}; correct that line") from error
    if (version := top.integer("format", 1, 1_000_000)) != FORMAT:
        raise BundleError(f"{source} has format {version}, this program reads {FORMAT}; update the older of the two")
    outputs = top.texts("outputs", required=True)
    tasks = tuple(_task(table, outputs) for table in top.tables("tasks", required=True))
    cut_points = top.texts("cut_points")
    manifest = Manifest(
        name=top.matching("name", _NAME, "lower-case letters, digits, dots, dashes, at most 64"),
        description=top.text("description", ""),
        digest=top.matching("digest", _DIGEST, "the 64 hex digits of the model file's SHA-256"),
        input=_input(top.table("input")),
        outputs=outputs,
        tasks=tasks,
        exits=tuple(_exit(table, tasks) for table in top.tables("exits")),
        cut_points=cut_points,
        training=top.table("training", {}).all_texts(),
        accuracy=tuple(_accuracy(table, tasks) for table in top.tables("accuracy")),
        wire=read_wire(top.table("wire")) if "wire" in top.rest else None,
        leaks=tuple(read_leak(table) for table in top.tables("leak")),
    )
    top.no_more()
    _check_distinct(manifest, source)
    return manifest


def _input(table: Table) -> InputSpec:
    low, high = table.number("low"), table.number("high")
    if low >= high:
        raise table.wrong("high", high, f"a number over low = {low}")
    width, height = table.integer("width", 1, MAX_SIDE), table.integer("height", 1, MAX_SIDE)
    colour = cast(Colour, table.choice("colour", get_args(Colour), "RGB"))
    crop = cast(CropName, table.choice("crop", CROPS, "none"))
    table.no_more()
    return InputSpec(width, height, low, high, colour, crop)


def _task(table: Table, outputs: tuple[str, ...]) -> Task:
    kind = cast(Kind, table.choice("kind", get_args(Kind)))
    labels = table.texts("labels", required=kind == "classification")
    if kind == "classification" and len(set(labels)) < max(2, len(labels)):
        raise table.wrong("labels", list(labels), "two or more different labels")
    if kind == "regression" and labels:
        raise table.wrong("labels", list(labels), "none: a regression has no labels")
    task = Task(
        name=table.matching("name", _NAME, "lower-case letters, digits, dots, dashes, at most 64"),
        kind=kind,
        output=table.choice("output", outputs),
        labels=labels,
        unit=table.text("unit", "") or None,
        positive=table.choice("positive", labels, "") or None,
        scores=cast(Scores, table.choice("scores", get_args(Scores), "probabilities")),
        temperature=table.positive("temperature", 1.0),
    )
    table.no_more()
    return task


def _exit(table: Table, tasks: tuple[Task, ...]) -> Exit:
    names = tuple(task.name for task in tasks)
    outputs, thresholds, drop = table.table("outputs"), table.table("thresholds", {}), table.table("drop", {})
    temperatures = table.table("temperatures", {})
    found = Exit(
        name=table.matching("name", _NAME, "lower-case letters, digits, dots, dashes, at most 64"),
        after=table.text("after"),
        outputs={name: outputs.text(name) for name in names if name in outputs.rest},
        rule=cast(Rule, table.choice("rule", tuple(MEASURES))),
        thresholds={name: thresholds.number(name) for name in names if name in thresholds.rest},
        drop={name: drop.number(name) for name in names if name in drop.rest},
        temperatures={name: temperatures.positive(name) for name in names if name in temperatures.rest},
        leave=table.share("leave"),
    )
    if found.name == END:
        raise table.wrong("name", END, "another name: that is the place behind all exits")
    for inner in (drop, outputs, thresholds, temperatures):
        inner.no_more(known=names)
    table.no_more()
    return found


def _accuracy(table: Table, tasks: tuple[Task, ...]) -> Accuracy:
    found = Accuracy(
        task=table.choice("task", tuple(task.name for task in tasks)),
        metric=table.text("metric"),
        value=table.number("value"),
        low=table.number("low") if "low" in table.rest else None,
        high=table.number("high") if "high" in table.rest else None,
        pictures=table.integer("pictures", 1, 10**12),
        data=table.text("data"),
    )
    if found.low is not None and found.high is not None and not found.low <= found.value <= found.high:
        raise table.wrong("value", found.value, f"{found.low} to {found.high}, its interval")
    table.no_more()
    return found


def _check_distinct(manifest: Manifest, source: str) -> None:
    lists = {
        "tasks": [task.name for task in manifest.tasks],
        "outputs": list(manifest.outputs),
        "cut_points": list(manifest.cut_points),
        "exits": [found.name for found in manifest.exits],
        "exits[].after": [found.after for found in manifest.exits],
        "leak[].cut": [leak.cut for leak in manifest.leaks],
    }
    for key, names in lists.items():
        twice = next((name for name, count in Counter(names).items() if count > 1), None)
        if twice is not None:
            raise BundleError(f"{source}: {key} names {twice!r} twice, expected different names; rename one")
    leave = sum(found.leave or 0.0 for found in manifest.exits)
    if leave > 1 + _ROUNDING:
        raise BundleError(f"{source}: exits[].leave add up to {leave:g}, expected at most 1; correct the shares")
