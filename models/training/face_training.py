"""Train a model for faces: the network in its own way, then thresholds, figures and bundles.

Everything after the training asks the finished file as a device would: the faces are cut again out of their pictures.
"""

from __future__ import annotations

import hashlib
import tempfile
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
from models.pictures import HIGH, LOW, DataError, centred
from models.samples import PARTS, Sample, read_samples
from models.training.checkpoint import digest_of
from models.training.convert import to_float, to_int8, with_limits
from models.training.face_order import FaceOrder
from models.training.faces import cut_faces, middle
from models.training.progress import Progress
from models.zoo.faces import TASKS

DESCRIPTION: Final = "Says of each face whether it is a man's or a woman's, its age in years, and its age group."
ALL: Final = "all"
"""The name of all sources together."""
RULE: Final[Rule] = "entropy"
_SHOWN: Final = 256


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
    kept: Path
    """Folder from which the training would go on after an interruption; whoever has written the bundle removes it."""


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
    progress.expect(count * (1 + order.net.passes(order)) + 2 * (len(every["validation"]) + len(every["test"])))
    progress.say("cutting out faces")
    pictures, samples = cut_faces(every["train"], order.size, order.work, lambda: progress.step(1))
    progress.say("training")
    kept = order.work / f"unfinished-{unfinished_key(order, samples)}"
    model, losses = order.net.train(order, pictures, samples, kept, progress)
    shown = _shown(pictures, order)
    order.net.settle(model, shown)
    files = {"int8": to_int8(model, shown), "fp32": to_float(model, shown)}
    progress.say("judging")
    counts = {part: len(found) for part, found in every.items()}
    return [_judged(order, kind, content, parts, counts, losses, kept, progress) for kind, content in files.items()]


def unfinished_key(order: FaceOrder, samples: Sequence[Sample]) -> str:
    """Return what tells one training from another: network, size, schedule, pictures, labels, start."""
    weights = order.weights if order.weights is not None and order.weights.is_file() else None
    begun = "" if weights is None else hashlib.sha256(weights.read_bytes()).hexdigest()
    known = [(sample.digest, dict(sample.targets)) for sample in samples]
    return digest_of([order.net.name, order.net.told(order), order.size, order.schedule, begun, known])


def _read(data: Sequence[Path]) -> Parts:
    """Return the samples of every source by part; a picture that two of them hold counts in the first."""
    seen: set[str] = set()
    found: dict[str, Mapping[SamplePart, Sequence[Sample]]] = {}
    for source, name in source_names(data).items():
        fresh = [sample for sample in read_samples(source, TASKS) if sample.digest not in seen]
        seen |= {sample.digest for sample in fresh}
        found[name] = {part: [sample for sample in fresh if sample.part == part] for part in PARTS}
    _check_parts(found)
    return found


def source_names(data: Sequence[Path]) -> dict[Path, str]:
    """Return a name for each source: without its suffix, or with as much of its path as tells it from the others."""
    sources = list(dict.fromkeys(source.absolute() for source in data))
    names, length = [source.stem for source in sources], 0
    while len({ALL, *names}) <= len(sources) and length < max(len(source.parts) for source in sources):
        length += 1
        names = ["/".join(source.parts[-length:]) for source in sources]
    return dict(zip(sources, names, strict=True))


def _check_parts(parts: Parts) -> None:
    """Refuse data that could be trained on and not judged. Raises: DataError."""
    for part in ("train", "validation"):
        if not any(found[part] for found in parts.values()):
            raise DataError(f"{', '.join(parts)}: no picture of the part {part}, expected some; see --data")
    for name, found in parts.items():
        if not found["test"]:
            raise DataError(
                f"{name} has no picture of the part test that no source before it has, expected some in each to "
                "judge it by; put more pictures there, or put it together with another source"
            )


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
    kept: Path,
    progress: Progress,
) -> FaceOutcome:
    """Choose thresholds on the validation pictures, and ask about the test pictures, source by source."""
    tick = lambda: progress.step(1)  # noqa: E731
    validation = [sample for found in parts.values() for sample in found["validation"]]
    with tempfile.TemporaryDirectory() as folder:
        bundle = write_bundle(Path(folder), content, bare_manifest(order, precision, content))
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
        kept=kept,
    )


def bundle_name(order: FaceOrder, precision: str) -> str:
    """Return the name of a bundle; the plain one is full integer at the network's usual size."""
    size = "" if order.size == order.net.size else f"-{order.size}"
    return f"{order.net.name}{size}{'' if precision == 'int8' else '-' + precision}"


def bare_manifest(order: FaceOrder, precision: str, content: bytes) -> Manifest:
    """Return what is known of a file before it was judged; nobody leaves at its exits."""
    exits = tuple(
        Exit(name, after, {task.name: f"{name}/{task.name}" for task in TASKS}, RULE, {}, {})
        for name, after in order.net.exits.items()
    )
    return Manifest(
        name=bundle_name(order, precision),
        description=DESCRIPTION,
        digest=hashlib.sha256(content).hexdigest(),
        input=InputSpec(order.size, order.size, LOW, HIGH, "RGB", "face"),
        outputs=tuple(task.output for task in TASKS),
        tasks=TASKS,
        exits=exits,
        cut_points=order.net.offered(content),
        training={
            "network": f"{order.net.network}, {precision}",
            "start": order.net.start,
            "data": order.source,
            "licence": order.licence,
            "seed": str(order.schedule.seed),
        },
        accuracy=(),
    )


def calibrated_manifest(outcome: FaceOutcome) -> Manifest:
    """Return the manifest with thresholds and temperatures."""
    bare, found = bare_manifest(outcome.order, outcome.precision, outcome.content), outcome.calibration
    exits = tuple(replace(one, temperatures=found.temperatures[one.name]) for one in found.applied(bare.exits))
    end = found.temperatures["end"]
    tasks = tuple(replace(task, temperature=end.get(task.name, 1.0)) for task in bare.tasks)
    return replace(bare, exits=exits, tasks=tasks)
