"""Train the faces model: network and exits together, then thresholds, figures and bundles.

Everything after the training asks the finished file as a device would: the faces are cut again out of their pictures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import keras
import numpy as np
import tensorflow as tf

from models.answers import Answers
from models.bundle_folder import write_bundle
from models.calibration import Calibration, calibrate
from models.choices import Rule, SamplePart
from models.judge import judge
from models.manifest import Exit, InputSpec, Manifest
from models.pictures import HIGH, LOW, centred
from models.samples import PARTS, Sample, read_samples
from models.training.batches import Batches, balanced
from models.training.convert import to_float, to_int8, with_limits
from models.training.equalise import equalise
from models.training.faces import FaceChanges, as_labelled, cut_faces, middle
from models.training.fit import Aim, Schedule, fit
from models.training.progress import Progress
from models.training.weights import find_weights, read_weights
from models.training.write import offered_cut_points
from models.zoo.faces import BRANCHES, EXITS, TASKS, faces
from models.zoo.mobilenet_v2 import expected_arrays, load_imagenet

NAME: Final = "faces"
DESCRIPTION: Final = "Says of each face whether it is a man's or a woman's, its age in years, and its age group."
RULE: Final[Rule] = "entropy"
WEIGHTS: Final[Mapping[str, float]] = {
    "age": 0.05, "exit1/age": 0.02, "exit2/age": 0.025,
    "exit1/gender": 0.4, "exit1/age-group": 0.4, "exit2/gender": 0.5, "exit2/age-group": 0.5,
}  # fmt: skip
"""Of the outputs in the loss; ages count in years."""
SMOOTHING: Final = 0.05
RARITY: Final = 0.3
"""To which power the rarity of an age group raises the weight of its pictures."""
SCHEDULE: Final = Schedule(14, 32, 4e-4, weight_decay=0.01, warm_up=0.05, average=0.998)
_SHOWN: Final = 256


@dataclass(frozen=True)
class FaceOrder:
    """What to train on, how long, and where to put it."""

    data: tuple[Path, ...]
    output: Path
    work: Path
    """Folder for cut faces and unfinished trainings."""
    weights: Path | None = None
    size: int = 128
    schedule: Schedule = SCHEDULE
    max_loss: float = 0.01
    confidence: float = 0.95
    source: str = "not stated"
    licence: str = "not stated"


@dataclass(frozen=True)
class FaceOutcome:
    """One file of a training of faces, measured on pictures that it never saw."""

    order: FaceOrder
    precision: str
    content: bytes
    calibration: Calibration
    validated: Answers
    """What it says of the validation pictures, before temperature scaling."""
    test: Mapping[str, Answers]
    """By source: what it says of the test pictures, after temperature scaling."""
    pictures: Mapping[SamplePart, int]
    passed_over: int
    """Test pictures in which no face was found."""
    losses: tuple[float, ...]
    versions: str


Parts = Mapping[str, Mapping[SamplePart, Sequence[Sample]]]
"""By source and part."""


def train_faces(order: FaceOrder, progress: Progress) -> list[FaceOutcome]:
    """Return what was measured of both files, full integer first.

    An interrupted training goes on where it stopped when the same order is given again.
    Raises: DataError for data or weights that cannot be used; CropError without what the face crop needs.
    """
    keras.utils.set_random_seed(order.schedule.seed)
    progress.say("reading pictures")
    parts = _read(order.data)
    every = {part: [s for found in parts.values() for s in found[part]] for part in PARTS}
    count = len(every["train"])
    progress.expect(count * (1 + order.schedule.epochs) + 2 * (len(every["validation"]) + len(every["test"])))
    progress.say("cutting out faces")
    pictures, kept = cut_faces(every["train"], order.size, order.work, lambda: progress.step(1))
    progress.say("training")
    model, losses = _train(order, pictures, kept, progress)
    shown = _shown(pictures, order)
    equalise(model, shown, BRANCHES)
    files = {"int8": to_int8(model, shown), "fp32": to_float(model, shown)}
    progress.say("judging")
    counts = {part: len(found) for part, found in every.items()}
    return [_judged(order, kind, content, parts, counts, losses, progress) for kind, content in files.items()]


def _read(data: Sequence[Path]) -> Parts:
    """Return the samples of every source by part; a picture that two of them hold counts in the first."""
    seen: set[str] = set()
    found: dict[str, Mapping[SamplePart, Sequence[Sample]]] = {}
    for source in data:
        fresh = [sample for sample in read_samples(source, TASKS) if sample.digest not in seen]
        seen |= {sample.digest for sample in fresh}
        found[source.stem] = {part: [sample for sample in fresh if sample.part == part] for part in PARTS}
    return found


def _train(
    order: FaceOrder, pictures: Sequence[np.ndarray], samples: Sequence[Sample], progress: Progress
) -> tuple[keras.Model, tuple[float, ...]]:
    data, schedule = as_labelled(pictures, samples), order.schedule
    model = faces(order.size)
    load_imagenet(model, read_weights(find_weights(order.weights), expected_arrays()))
    groups = next(task for task in TASKS if task.name == "age-group")
    rare = balanced(data.targets["age-group"], len(groups.labels), RARITY)
    batches = Batches(data, schedule.batch, seed=schedule.seed, change=FaceChanges(), class_weights={"age-group": rare})
    kept = order.work / f"unfinished-{order.size}-{schedule.epochs}-{schedule.seed}"
    aim = Aim("joint", WEIGHTS, SMOOTHING)
    history = fit(model, TASKS, batches, schedule, aim, resume=kept, progress=progress)
    return model, tuple(history["loss"])


def _shown(pictures: Sequence[np.ndarray], order: FaceOrder) -> np.ndarray:
    chosen = np.random.default_rng(order.schedule.seed).permutation(len(pictures))[:_SHOWN]
    return with_limits(centred(middle(np.stack([pictures[int(place)] for place in chosen]), order.size)))


def _judged(
    order: FaceOrder,
    precision: str,
    content: bytes,
    parts: Parts,
    counts: Mapping[SamplePart, int],
    losses: tuple[float, ...],
    progress: Progress,
) -> FaceOutcome:
    """Choose thresholds on the validation pictures, and ask about the test pictures, source by source."""
    manifest = bare_manifest(order, precision, content)
    bundle = write_bundle(order.output / manifest.name, content, manifest)
    tick = lambda: progress.step(1)  # noqa: E731
    validation = [sample for found in parts.values() for sample in found["validation"]]
    validated = judge(bundle, validation, tick=tick).answers
    found = calibrate(validated, RULE, order.max_loss, order.confidence)
    test = {name: judge(bundle, of_source["test"], tick=tick) for name, of_source in parts.items()}
    return FaceOutcome(
        order=order,
        precision=precision,
        content=content,
        calibration=found,
        validated=validated,
        test={name: judged.answers.tempered(found.temperatures) for name, judged in test.items()},
        pictures=counts,
        passed_over=sum(judged.passed_over for judged in test.values()),
        losses=losses,
        versions=f"Keras {keras.__version__}, TensorFlow {tf.__version__}",
    )


def bundle_name(order: FaceOrder, precision: str) -> str:
    """Return the name of a bundle; the plain one is full integer at 128 pixels."""
    size = "" if order.size == 128 else f"-{order.size}"
    return f"{NAME}{size}{'' if precision == 'int8' else '-' + precision}"


def bare_manifest(order: FaceOrder, precision: str, content: bytes) -> Manifest:
    """Return what is known of a file before it was judged; nobody leaves at its exits."""
    exits = tuple(
        Exit(name, after, {task.name: f"{name}/{task.name}" for task in TASKS}, RULE, {}, {})
        for name, after in EXITS.items()
    )
    outputs = tuple(task.output for task in TASKS)
    return Manifest(
        name=bundle_name(order, precision),
        description=DESCRIPTION,
        digest=hashlib.sha256(content).hexdigest(),
        input=InputSpec(order.size, order.size, LOW, HIGH, "RGB", "face"),
        outputs=outputs,
        tasks=TASKS,
        exits=exits,
        cut_points=offered_cut_points(content, outputs),
        training={
            "network": f"MobileNetV2, width 1.0, two exits, {precision}",
            "start": "ImageNet weights of torchvision (BSD-3-Clause)",
            "data": order.source,
            "licence": order.licence,
            "seed": str(order.schedule.seed),
        },
        accuracy=(),
    )


def calibrated_manifest(outcome: FaceOutcome) -> Manifest:
    """Return the manifest with thresholds and temperatures."""
    bare, found = bare_manifest(outcome.order, outcome.precision, outcome.content), outcome.calibration
    exits = tuple(
        replace(
            exit_, thresholds=found.chosen.thresholds.get(exit_.name, {}), temperatures=found.temperatures[exit_.name]
        )
        for exit_ in bare.exits
    )
    end = found.temperatures["end"]
    tasks = tuple(replace(task, temperature=end.get(task.name, 1.0)) for task in bare.tasks)
    return replace(bare, exits=exits, tasks=tasks)
