"""Train a classifier of the shelf: read, train, convert, judge, write its bundles."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from models.choices import SamplePart
from models.pictures import DataError, decode_to_fit
from models.samples import Sample, read_all
from models.training.batches import Batches, Labelled, labelled
from models.training.checkpoint import digest_of
from models.training.convert import run_all, to_float, to_int8, with_limits
from models.training.epochs import FILE, Epochs
from models.training.fit import Aim, fit
from models.training.measure import Confusion, confusion
from models.training.plan import Plan, prepared
from models.training.progress import Progress
from models.training.shelf_bundle import Outcome, write_outcome

CALIBRATION = 256
_LOOK = 250
"""Pictures asked at once after an epoch."""


@dataclass(frozen=True)
class Order:
    """What to train on, and where to put it."""

    data: tuple[Path, ...]
    output: Path
    source: str = "not stated"
    licence: str = "not stated"


def train_classifier(plan: Plan, order: Order, progress: Progress) -> list[Path]:
    """Return the folders of the bundles written: full integer under the plan's name, and float32.

    An interrupted training goes on where it stopped when the same command is given again.
    Raises: DataError for data that cannot be used; ConversionError.
    """
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(plan.schedule.seed)
    progress.say("reading pictures")
    order.output.mkdir(parents=True, exist_ok=True)
    samples = read_all(order.data, (plan.task,))
    parts = {part: pixels(plan, found) for part, found in samples.items() if found}
    train, test = _needed(parts, "train"), _needed(parts, "test")
    progress.expect(plan.schedule.epochs * len(train.pictures) + 2 * len(test.pictures))
    progress.say(f"training {plan.name}")
    model = plan.build()
    batches = Batches(
        train,
        plan.schedule.batch,
        seed=plan.schedule.seed,
        change=plan.change,
        prepare=lambda pictures: prepared(pictures, plan.input.colour),
    )
    kept = _kept(plan, order, model, samples)
    epochs = _epochs(plan, model, parts.get("validation"), kept)
    losses = fit(model, (plan.task,), batches, plan.schedule, Aim(), resume=kept, progress=progress, after_epoch=epochs)
    progress.say("converting and judging")
    shown = with_limits(prepared(train.pictures[_drawn(plan, len(train.pictures))], plan.input.colour))
    files = {"fp32": to_float(model, shown), "int8": to_int8(model, shown)}
    judged = {kind: _judge(plan, content, test, progress) for kind, content in files.items()}
    counts = {str(part): len(found.pictures) for part, found in parts.items()}
    outcome = Outcome(plan, files, judged, counts, order.source, order.licence, tuple(losses["loss"]), _versions())
    folders = write_outcome(order.output, outcome)
    _put_beside(kept.with_suffix(".csv"), folders)
    kept.unlink()
    return folders


def pixels(plan: Plan, samples: Sequence[Sample]) -> Labelled:
    """Return the pictures at the size of a plan's network. Raises: DataError, which names a damaged one."""
    width, height = plan.input.width, plan.input.height
    return labelled([_decoded(sample, width, height) for sample in samples], samples, (plan.task,))


def _decoded(sample: Sample, width: int, height: int) -> np.ndarray:
    with sample.opened() as content:
        return decode_to_fit(content, width, height)


def _needed(parts: dict[SamplePart, Labelled], part: SamplePart) -> Labelled:
    if part not in parts:
        raise DataError(f"the data has no picture of the part {part}, expected some; see --data")
    return parts[part]


def _kept(plan: Plan, order: Order, model: keras.Model, samples: Mapping[SamplePart, Sequence[Sample]]) -> Path:
    """Return the file in which an unfinished training is kept; other data, or another network, is another training."""
    layers = [(type(layer).__name__, [tuple(one.shape) for one in layer.variables]) for layer in model.layers]
    known = [(sample.digest, sample.part, dict(sample.targets)) for found in samples.values() for sample in found]
    key = digest_of([plan.schedule, plan.network, plan.changes, plan.task, plan.input, layers, known])
    return order.output / f".unfinished-{plan.name}-{key}.npz"


def _epochs(plan: Plan, model: keras.Model, held: Labelled | None, kept: Path) -> Callable[[int], None]:
    """Return what writes down the accuracies on the validation part after each epoch."""
    if held is None:
        return lambda epoch: None
    inputs, truth = prepared(held.pictures, plan.input.colour), held.targets[plan.task.name]

    def look() -> dict[str, float]:
        said = model.predict(inputs, batch_size=_LOOK, verbose=0)
        return {name: float((said[output].argmax(axis=1) == truth).mean()) for name, output in plan.outputs.items()}

    return Epochs(kept.with_suffix(".csv"), len(truth), look)


def _put_beside(epochs: Path, folders: Sequence[Path]) -> None:
    """Put the accuracies of each epoch into the bundles' folders, where there are any."""
    if epochs.is_file():
        for folder in folders:
            partial = folder / f"{FILE}.partial"
            shutil.copyfile(epochs, partial)
            partial.replace(folder / FILE)
        epochs.unlink()


def _drawn(plan: Plan, pictures: int) -> np.ndarray:
    return np.random.default_rng(plan.schedule.seed).permutation(pictures)[:CALIBRATION]


def _judge(plan: Plan, content: bytes, test: Labelled, progress: Progress) -> dict[str, Confusion]:
    """Return the confusion of every exit and of the final answer on pictures that the training never saw."""
    answers = run_all(content, prepared(test.pictures, plan.input.colour), progress.step)
    truth = test.targets[plan.task.name].astype(int).tolist()
    return {name: confusion(truth, answers[output]) for name, output in plan.outputs.items()}


def _versions() -> str:
    return f"Keras {keras.__version__}, TensorFlow {tf.__version__}"
