"""Bundle folders as a training writes them: model, bundle.toml, model card, and the list of pictures held out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.bundle_folder import write_bundle
from models.graph import Graph
from models.manifest import Accuracy, Exit, InputSpec, Manifest
from models.manifest_text import Comments
from models.parts import HELD_OUT_FILE
from models.tasks import Task
from models.training.card import model_card
from models.training.facts import EXIT, Facts
from models.training.measure import measured_accuracy

SHIPPED_SIZE = 160
_HELD_OUT = f"pictures held out, listed in {HELD_OUT_FILE}"


@dataclass(frozen=True)
class Variant:
    """One file of a training: its precision and its bytes."""

    precision: str
    content: bytes


def write_bundles(folder: Path, float_file: bytes, int8_file: bytes, facts: Facts) -> list[Path]:
    """Return the two bundle folders written below `folder`; both are read back, so what is written loads."""
    written = []
    for variant in (Variant("fp32", float_file), Variant("int8", int8_file)):
        target = folder / bundle_name(facts.task, facts.recipe.size, variant.precision)
        card = model_card(target.name, variant.precision, len(variant.content), facts)
        held_out = {HELD_OUT_FILE: held_out_text(facts)}
        manifest = _manifest(variant, facts)
        write_bundle(target, variant.content, manifest, card, comments=_comments(facts), beside=held_out)
        written.append(target)
    return written


def bundle_name(task: str, size: int, precision: str) -> str:
    """Return the name of a bundle; the plain task is the one that ships: int8 at 160."""
    parts = [task, *([str(size)] if size != SHIPPED_SIZE else []), *([precision] if precision != "int8" else [])]
    return "-".join(parts)


def offered_cut_points(content: bytes, outputs: Sequence[str]) -> tuple[str, ...]:
    """Return the cut points between two bottlenecks, and the mean features: few bytes, nothing inside a block."""
    names = [point.name for point in Graph.read(content, outputs=outputs).cut_points()]
    return tuple(name for name in names if name.endswith(("_add", "_project")) or name == "features")


def held_out_text(facts: Facts) -> str:
    """Return one line per held-out picture: the SHA-256 of its file, and its label."""
    lines = sorted(f"{digest} {facts.labels[label]}" for digest, label in facts.held_out)
    return "\n".join(["# SHA-256 of the picture's file, and what it shows; the model never saw these.", *lines, ""])


def _manifest(variant: Variant, facts: Facts) -> Manifest:
    """Return what the bundle.toml of one file says."""
    size, (low, high) = facts.recipe.size, facts.value_range
    return Manifest(
        name=bundle_name(facts.task, size, variant.precision),
        description=facts.description,
        digest=hashlib.sha256(variant.content).hexdigest(),
        input=InputSpec(size, size, low, high),
        outputs=(facts.task,),
        tasks=(Task(facts.task, "classification", facts.task, facts.labels, positive=facts.positive),),
        exits=tuple(_exits(facts)),
        cut_points=offered_cut_points(variant.content, [facts.task]),
        training={
            "network": f"MobileNetV2, width 1.0, {variant.precision}",
            "start": "ImageNet weights of torchvision (BSD-3-Clause)",
            "data": facts.source,
            "licence": facts.licence,
            "pictures": facts.counted,
            "seed": str(facts.recipe.seed),
        },
        accuracy=tuple(_accuracies(variant.precision, facts)),
    )


def _exits(facts: Facts) -> Iterator[Exit]:
    if facts.exit is not None:
        outputs = {facts.task: f"{EXIT}/{facts.task}"}
        yield Exit(EXIT, facts.exit.after, outputs, "top-probability", thresholds={}, drop={})


def _comments(facts: Facts) -> Comments:
    """Return what to do to open the exit, which is closed."""
    if facts.exit is None:
        return {}
    limit = facts.exit.threshold
    return {
        EXIT: (
            f"Closed until you open it: too few pictures for a promise. What {limit} would do is in MODEL_CARD.md.",
            f'thresholds = {{ "{facts.task}" = {limit} }}',
        )
    }


def _accuracies(precision: str, facts: Facts) -> Iterator[Accuracy]:
    """Yield the figures of the end, on the held-out pictures and of the folds, then that of the exit."""
    found = [("accuracy", facts.test[precision], _HELD_OUT)]
    if facts.folds:
        folds = f"cross-validation of the training in {len(facts.folds)} folds"
        found.append(("accuracy", facts.crossed(precision), folds))
    if facts.exit is not None:
        found.append((f"accuracy at {EXIT}", facts.exit.test[precision], _HELD_OUT))
    for metric, judged, data in found:
        yield measured_accuracy(facts.task, metric, judged.right, judged.pictures, data)
