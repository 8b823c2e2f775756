"""One model in two bundles: its exits closed, and open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tomlkit

from models.bundle import MANIFEST_FILE, MODEL_FILE, Bundle, Exit
from models.crop import open_crop, read_cuts
from models.engine import DEVICE, Engine
from models.errors import ModelError
from models.exits import MEASURES
from models.pictures import to_input
from models.stages import exit_predictions, exits_before, rules_of

Thresholds = Mapping[str, Mapping[str, float]]
"""By exit and task."""


def closed_and_open(bundle: Bundle, folder: Path, pictures: Sequence[Path]) -> tuple[Path, Path, str]:
    """Return a bundle none of whose exits is asked, one with open exits, and a line on how these were opened.

    The bundle's own thresholds hold; where it has none, each exit is opened at the median of how sure it is of these
    pictures, so that about half of those that reach the first leave there. Raises: ModelError without any exit.
    """
    if not bundle.exits:
        raise ModelError(f"{bundle.name} has no exits, needed to compare them; give another --bundle")
    rules = rules_of(bundle)
    can_leave = [
        found for found in bundle.exits if found.thresholds and rules[found.name].tasks <= set(found.thresholds)
    ]
    own = {found.name: found.thresholds for found in can_leave}
    opened: Thresholds = own or medians(bundle, pictures)
    said = "as the bundle has them" if own else f"at the medians of these pictures: {_text(opened)}"
    closed = _written(bundle, folder / "closed", {})
    return closed, _written(bundle, folder / "open", opened), said


def medians(bundle: Bundle, pictures: Sequence[Path]) -> Thresholds:
    """Return for each exit and classification the median of how sure the exit is of the pictures."""
    engine, crop = Engine(bundle.model_path, outputs=bundle.finals), open_crop(bundle.input.crop, max_faces=1)
    wanted, spec = bundle.input, engine.whole().inputs[0]
    cuts = [cut for path in pictures for cut in read_cuts(path.read_bytes(), crop, wanted.width, wanted.height)]
    inputs = [to_input(cut.pixels, spec, wanted.low, wanted.high, wanted.colour) for cut in cuts]
    if not inputs:
        raise ModelError(f"the crop {wanted.crop!r} finds nothing in {len(pictures)} pictures; give others (--source)")
    return {found.name: _medians(bundle, engine, found, inputs) for found in exits_before(engine, bundle, DEVICE)}


def _medians(bundle: Bundle, engine: Engine, found: Exit, inputs: Sequence[np.ndarray]) -> dict[str, float]:
    part = engine.part(None, [found.outputs[task.name] for task in bundle.tasks if task.name in found.outputs])
    sure: dict[str, list[float]] = {}
    for values in inputs:
        for said in exit_predictions(bundle, found, part.run(values), part.outputs):
            if said.label is not None:
                sure.setdefault(said.task, []).append(float(MEASURES[found.rule](np.asarray(said.scores))))
    return {task: float(np.median(values)) for task, values in sure.items()}


def _written(bundle: Bundle, folder: Path, thresholds: Thresholds) -> Path:
    """Write the bundle with these thresholds and no others, and return its folder; the model is a link."""
    document: dict[str, Any] = tomlkit.parse((bundle.folder / MANIFEST_FILE).read_text(encoding="utf-8"))
    for found in document["exits"]:
        for key in ("thresholds", "drop", "leave"):
            found.pop(key, None)
        if thresholds.get(found["name"]):
            found["thresholds"] = dict(thresholds[found["name"]])
    place = folder / bundle.name
    place.mkdir(parents=True)
    (place / MANIFEST_FILE).write_text(tomlkit.dumps(document), encoding="utf-8")
    (place / MODEL_FILE).symlink_to(bundle.model_path.resolve())
    return place


def _text(thresholds: Thresholds) -> str:
    return ", ".join(
        f"{name} {task} {value:.3g}" for name, tasks in thresholds.items() for task, value in tasks.items()
    )
