"""Bundle folders of the shelf's classifiers: model, manifest and card, written from what was measured."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from models.bundle_folder import write_bundle
from models.manifest import Accuracy, Manifest
from models.pictures import HIGH, LOW
from models.training import card_text
from models.training.measure import Confusion, measured_accuracy
from models.training.plan import Plan

PRECISIONS = {"int8": "", "fp32": "-fp32"}


@dataclass(frozen=True)
class Outcome:
    """One training of a plan, measured."""

    plan: Plan
    files: Mapping[str, bytes]
    judged: Mapping[str, Mapping[str, Confusion]]
    """By precision, then by exit; `final` is the whole network."""
    pictures: Mapping[str, int]
    """By part."""
    source: str
    licence: str
    losses: tuple[float, ...]
    versions: str


def write_outcome(folder: Path, outcome: Outcome) -> list[Path]:
    """Return the bundle folders written, full integer first; each is read back, so what is written loads."""
    written = []
    for precision, suffix in PRECISIONS.items():
        target, content = folder / f"{outcome.plan.name}{suffix}", outcome.files[precision]
        manifest = _manifest(target.name, precision, outcome)
        write_bundle(target, content, manifest, card(target.name, precision, outcome))
        written.append(target)
    return written


def _manifest(name: str, precision: str, outcome: Outcome) -> Manifest:
    plan = outcome.plan
    return Manifest(
        name=name,
        description=plan.description,
        digest=hashlib.sha256(outcome.files[precision]).hexdigest(),
        input=plan.input,
        outputs=(plan.task.output,),
        tasks=(plan.task,),
        exits=plan.exits,
        cut_points=plan.cut_points,
        training={
            "network": f"{plan.network}, {precision}",
            "data": outcome.source,
            "licence": outcome.licence,
            "pictures": _counted(outcome),
            "seed": str(plan.schedule.seed),
        },
        accuracy=tuple(_accuracies(precision, outcome)),
    )


def _accuracies(precision: str, outcome: Outcome) -> Iterator[Accuracy]:
    """Yield the final answer's accuracy first, then that of each exit when all pictures are asked there."""
    for name, found in reversed(list(outcome.judged[precision].items())):
        metric = "accuracy" if name == "final" else f"accuracy of {name}"
        yield measured_accuracy(outcome.plan.task.name, metric, found.right, found.pictures, "test part of the data")


def _counted(outcome: Outcome) -> str:
    return ", ".join(f"{count:,} {part}" for part, count in outcome.pictures.items())


def card(name: str, precision: str, outcome: Outcome) -> str:
    """Return MODEL_CARD.md of one file of a training."""
    plan = outcome.plan
    opening = (
        f"{plan.description} {plan.network[0].upper()}{plan.network[1:]}, {precision}, "
        f"{len(outcome.files[precision]):,} B. This card was written by the training, from what it measured."
    )
    return card_text.document(
        name,
        opening,
        {
            "Input and output": [_ends(plan)],
            "Data": [_data(outcome)],
            "Training": [card_text.paragraph(plan.document), card_text.paragraph(_training(outcome))],
            "Accuracy": [_about(outcome), _figures(outcome), _matrix_title(precision), _matrix(outcome, precision)],
            "Limits": [card_text.bullets(*plan.limits)],
            "Licences": [card_text.paragraph(_licences(outcome))],
        },
    )  # fmt: skip


def _ends(plan: Plan) -> str:
    colour = "grey" if plan.input.colour == "grey" else "RGB"
    points = [
        f"Input: the whole picture squeezed to {plan.input.width}x{plan.input.height}, {colour}; pixel v as (v - 128) "
        f"/ 128, which is {LOW:g} to {HIGH:g}.",
        f"Output: probabilities (softmax) of {', '.join(plan.task.labels)}.",
    ]
    if plan.exits:
        names = ", ".join(f"{found.name} behind {found.after}" for found in plan.exits)
        rule, threshold = plan.exits[0].rule, plan.exits[0].thresholds[plan.task.name]
        points.append(f"Exits: {names}; a picture leaves where its {rule} is below {threshold:g}.")
    return card_text.bullets(*points)


def _data(outcome: Outcome) -> str:
    return card_text.bullets(
        outcome.source,
        f"Licence of the pictures: {outcome.licence}",
        f"{_counted(outcome)} pictures. The validation part was neither trained on nor judged: calibrate on it. The "
        "test part decided neither when the training ended nor which epoch was kept.",
    )


def _training(outcome: Outcome) -> str:
    plan, schedule = outcome.plan, outcome.plan.schedule
    together = "all exits together with equal weights, " if plan.exits else ""
    return (
        f"{schedule.epochs} epochs from random weights, {together}{schedule.optimiser} at {schedule.rate:g} falling "
        f"along a cosine, decay {schedule.weight_decay:g}, batches of {schedule.batch}, seed {schedule.seed}; copies: "
        f"{plan.changes}. Loss of the first epoch {outcome.losses[0]:.3f}, of the last {outcome.losses[-1]:.3f}. int8: "
        f"full-integer post-training quantisation, weights per channel, ranges from training pictures. "
        f"{outcome.versions}."
    )


def _about(outcome: Outcome) -> str:
    if not outcome.plan.exits:
        return "On the test part; intervals are Wilson's, 95%."
    return card_text.paragraph(
        "On the test part, every picture asked at every exit: what leaves early in use are the sure ones, which are "
        "right more often. Intervals are Wilson's, 95%."
    )


def _figures(outcome: Outcome) -> str:
    rows = [
        (name, str(found.pictures), *(_share(outcome.judged[kind][name]) for kind in ("fp32", "int8")))
        for name, found in outcome.judged["fp32"].items()
    ]
    return card_text.table(("answer", "pictures", "fp32", "int8"), rows)


def _share(found: Confusion) -> str:
    low, high = found.interval
    return f"{found.accuracy:.2%} ({low:.2%} to {high:.2%})"


def _matrix_title(precision: str) -> str:
    return f"The final answer of this file ({precision}); a row is what pictures are, a column what was said:"


def _matrix(outcome: Outcome, precision: str) -> str:
    labels, found = outcome.plan.task.labels, outcome.judged[precision]["final"]
    rows = [(label, *map(str, row)) for label, row in zip(labels, found.counts, strict=True)]
    return card_text.table(("is \\ said", *labels), rows)


def _licences(outcome: Outcome) -> str:
    return (
        f"Code and this file: Apache-2.0. Training pictures: {outcome.licence}. They are not part of this bundle. "
        "Whether weights trained on them may be used commercially is for the user to decide."
    )
