"""The litter model: read the pictures, train and judge, convert, and write its bundles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from models.pictures import HIGH, LOW, centred
from models.tasks import Task
from models.training.convert import run, run_all, to_float, to_int8, with_limits
from models.training.data import Photograph, check_apart, find_pictures, group_duplicates, read_pictures, split_folds
from models.training.equalise import equalise
from models.training.facts import EXIT, EarlyExit, Elsewhere, Facts, Judged
from models.training.litter_exit import Exited, exit_madds, leaving, with_exit
from models.training.measure import confusion
from models.training.progress import Progress
from models.training.recipe import Recipe, Request
from models.training.transfer import train
from models.training.weights import find_weights, read_weights
from models.training.write import write_bundles
from models.zoo.mobilenet_v2 import Arrays, expected_arrays, load_imagenet, mobilenet_v2

TASK, LABELS, POSITIVE = "litter", ("clean", "dirty"), "dirty"
DESCRIPTION = "Says whether the street in a picture is clean or littered."
HELD_OUT_OF = 5  # one part in five is held out where no cross-validation is asked for
CALIBRATION = 128
_TASK = Task(TASK, "classification", TASK, LABELS, positive=POSITIVE)


@dataclass(frozen=True)
class Trained:
    """One training: the two files with their exit, and what they say of the pictures that it never saw."""

    files: Mapping[str, Exited]
    """By precision."""
    seen: list[int]
    unseen: list[int]
    scores: Mapping[str, np.ndarray]
    """By precision, at the end."""
    exit_scores: Mapping[str, np.ndarray]


def train_litter(request: Request, progress: Progress) -> list[Path]:
    """Return the folders of the bundles written: float32 and int8 of the asked size.

    Each fold is held out once; what ships is the first fold's training, and the first fold its test.
    Raises: DataError for folders, pictures or weights that cannot be used; ConversionError.
    """
    tf.config.experimental.enable_op_determinism()
    recipe = request.recipe
    files = find_pictures(request.data, LABELS)
    away = find_pictures(request.elsewhere, LABELS, fewest=0) if request.elsewhere else []
    weights = read_weights(find_weights(request.weights), expected_arrays())
    trainings = max(1, request.folds)
    parts = request.folds if request.folds > 1 else HELD_OUT_OF
    progress.expect(2 * len(files) + trainings * recipe.steps(len(files) * (parts - 1) // parts))

    progress.say("reading pictures")
    pictures = read_pictures(files, recipe.size, lambda: progress.step(1))
    other = read_pictures(away, recipe.size)
    check_apart(pictures, other)
    groups = _groups(pictures, weights, recipe.size)
    progress.step(len(files))
    labels = [picture.label for picture in pictures]
    folds = split_folds(labels, groups, parts, recipe.seed)

    done = []
    for fold in range(trainings):
        progress.say(f"training {fold + 1} of {trainings}")
        done.append(_train_without(fold, folds, pictures, groups, weights, recipe, progress))
    facts = _facts(request, pictures, len(set(groups)), done, other)
    progress.say("writing bundles")
    return write_bundles(request.output, done[0].files["fp32"].content, done[0].files["int8"].content, facts)


def _groups(pictures: Sequence[Photograph], weights: Arrays, size: int) -> list[int]:
    backbone = mobilenet_v2(size)
    load_imagenet(backbone, weights)
    return group_duplicates(pictures, backbone.predict(centred([p.seen for p in pictures]), verbose=0))


def _train_without(
    fold: int,
    folds: np.ndarray,
    pictures: Sequence[Photograph],
    groups: Sequence[int],
    weights: Arrays,
    recipe: Recipe,
    progress: Progress,
) -> Trained:
    """Train on all pictures but those of the fold; convert; add exits; ask both files about the fold."""
    seen = [int(i) for i in np.flatnonzero(folds != fold)]
    unseen = [int(i) for i in np.flatnonzero(folds == fold)]
    model = train(
        [pictures[i].base for i in seen],
        [pictures[i].label for i in seen],
        LABELS,
        TASK,
        weights,
        recipe,
        progress.step,
    )
    inputs = centred([pictures[i].seen for i in seen])
    tests = centred([pictures[i].seen for i in unseen])
    shown = _calibration(inputs, recipe.seed)
    equalise(model, shown)
    files = {"fp32": to_float(model, inputs), "int8": to_int8(model, shown)}
    keras.backend.clear_session()
    shown_to = [pictures[i] for i in seen], [groups[i] for i in seen]
    exited = {kind: with_exit(file, _TASK, *shown_to, recipe) for kind, file in files.items()}
    said = {kind: run_all(one.content, tests) for kind, one in exited.items()}
    ends = {kind: outputs[TASK] for kind, outputs in said.items()}
    early = {kind: outputs[f"{EXIT}/{TASK}"] for kind, outputs in said.items()}
    return Trained(exited, seen, unseen, ends, early)


def _calibration(inputs: np.ndarray, seed: int) -> np.ndarray:
    order = np.random.default_rng(seed).permutation(len(inputs))[:CALIBRATION]
    return with_limits(inputs[order])


def _facts(
    request: Request, pictures: Sequence[Photograph], groups: int, done: Sequence[Trained], away: Sequence[Photograph]
) -> Facts:
    labels = [picture.label for picture in pictures]
    shipped = done[0]
    return Facts(
        task=TASK,
        description=DESCRIPTION,
        labels=LABELS,
        positive=POSITIVE,
        source=request.source,
        licence=request.licence,
        value_range=(LOW, HIGH),
        recipe=request.recipe,
        pictures=tuple(labels.count(number) for number in range(len(LABELS))),
        groups=groups,
        held_out=tuple((pictures[i].digest, labels[i]) for i in shipped.unseen),
        test=_judged(shipped.scores, shipped.unseen, labels),
        folds=tuple(_judged(one.scores, one.unseen, labels) for one in done) if request.folds > 1 else (),
        elsewhere=_elsewhere(away, shipped.files["int8"].content),
        largest_difference=float(np.abs(shipped.scores["fp32"] - shipped.scores["int8"]).max()),
        versions=f"Keras {keras.__version__}, TensorFlow {tf.__version__}",
        exit=_early_exit(request, done, labels),
    )


def _early_exit(request: Request, done: Sequence[Trained], labels: Sequence[int]) -> EarlyExit:
    """Return what was measured of the exit, on what each training never saw."""
    judged = [_judged(one.exit_scores, one.unseen, labels) for one in done]
    limit = request.recipe.exit_threshold
    left = [
        {
            kind: leaving([labels[i] for i in one.unseen], one.exit_scores[kind], one.scores[kind], limit)
            for kind in one.scores
        }
        for one in done
    ]
    early, whole = exit_madds(done[0].files["int8"].content, TASK)
    crossed = request.folds > 1
    return EarlyExit(
        request.recipe.exit_after, limit, early, whole, judged[0], left[0],
        _judged({kind: one.said for kind, one in done[0].files.items()}, done[0].seen, labels),
        {
            kind: leaving([labels[i] for i in done[0].seen], one.said, one.final, limit)
            for kind, one in done[0].files.items()
        },
        tuple(judged) if crossed else (), tuple(left) if crossed else (),
    )  # fmt: skip


def _judged(scores: Mapping[str, np.ndarray], unseen: Sequence[int], labels: Sequence[int]) -> Judged:
    """Return the confusion of each file on what its training never saw."""
    truth = [labels[i] for i in unseen]
    return {kind: confusion(truth, found) for kind, found in scores.items()}


def _elsewhere(pictures: Sequence[Photograph], int8_file: bytes) -> tuple[Elsewhere, ...]:
    if not pictures:
        return ()
    scores = run(int8_file, centred([picture.seen for picture in pictures]))
    place = LABELS.index(POSITIVE)
    return tuple(
        Elsewhere(picture.path.name, LABELS[picture.label], float(row[place]))
        for picture, row in zip(pictures, scores, strict=True)
    )
