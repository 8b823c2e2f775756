"""The litter model: read the pictures, train and judge, convert, and write its bundles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import keras
import numpy as np
import tensorflow as tf

from models.training.convert import run, to_float, to_int8
from models.training.data import Photograph, check_apart, find_pictures, group_duplicates, read_pictures, split_folds
from models.training.equalise import equalise
from models.training.facts import Elsewhere, Facts, Judged
from models.training.measure import confusion
from models.training.recipe import Recipe, Request
from models.training.transfer import as_input, train
from models.training.weights import find_weights, read_weights
from models.training.write import write_bundles
from models.zoo.mobilenet_v2 import HIGH, LOW, Arrays, expected_arrays, load_imagenet, mobilenet_v2

TASK, LABELS, POSITIVE = "litter", ("clean", "dirty"), "dirty"
DESCRIPTION = "Says whether the street in a picture is clean or littered."
HELD_OUT_OF = 5  # one part in five is held out where no cross-validation is asked for
CALIBRATION = 128


class Progress(Protocol):
    """Where the training says how far it is."""

    def expect(self, steps: float) -> None:
        """Say how many steps there will be."""

    def say(self, text: str) -> None:
        """Name what is being done."""

    def step(self, count: float) -> None:
        """Count steps done."""


@dataclass(frozen=True)
class Trained:
    """One training: the two files, and what they say of the pictures that it never saw."""

    float_file: bytes
    int8_file: bytes
    unseen: list[int]
    float_scores: np.ndarray
    int8_scores: np.ndarray


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
        done.append(_train_without(fold, folds, pictures, weights, recipe, progress))
    facts = _facts(request, pictures, len(set(groups)), done, other)
    progress.say("writing bundles")
    return write_bundles(request.output, done[0].float_file, done[0].int8_file, facts)


def _groups(pictures: Sequence[Photograph], weights: Arrays, size: int) -> list[int]:
    backbone = mobilenet_v2(size)
    load_imagenet(backbone, weights)
    return group_duplicates(pictures, backbone.predict(as_input([p.seen for p in pictures]), verbose=0))


def _train_without(
    fold: int, folds: np.ndarray, pictures: Sequence[Photograph], weights: Arrays, recipe: Recipe, progress: Progress
) -> Trained:
    """Train on all pictures but those of the fold; convert; ask both files about the fold."""
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
    inputs = as_input([pictures[i].seen for i in seen])
    tests = as_input([pictures[i].seen for i in unseen])
    shown = _calibration(inputs, recipe.seed)
    equalise(model, shown)
    float_file = to_float(model, inputs)
    int8_file = to_int8(model, shown)
    keras.backend.clear_session()
    return Trained(float_file, int8_file, unseen, run(float_file, tests), run(int8_file, tests))


def _calibration(inputs: np.ndarray, seed: int) -> np.ndarray:
    """Return pictures that show the ranges of activations; the first holds black and white, the input's limits."""
    order = np.random.default_rng(seed).permutation(len(inputs))[:CALIBRATION]
    chosen = inputs[order].copy()
    chosen[0, 0, 0], chosen[0, 0, 1] = LOW, HIGH
    return chosen


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
        test=_judged(shipped, labels),
        folds=tuple(_judged(one, labels) for one in done) if request.folds > 1 else (),
        elsewhere=_elsewhere(away, shipped.int8_file),
        largest_difference=float(np.abs(shipped.float_scores - shipped.int8_scores).max()),
        versions=f"Keras {keras.__version__}, TensorFlow {tf.__version__}",
    )


def _judged(trained: Trained, labels: Sequence[int]) -> Judged:
    """Return the confusion of each file on what its training never saw."""
    truth = [labels[i] for i in trained.unseen]
    return {"fp32": confusion(truth, trained.float_scores), "int8": confusion(truth, trained.int8_scores)}


def _elsewhere(pictures: Sequence[Photograph], int8_file: bytes) -> tuple[Elsewhere, ...]:
    if not pictures:
        return ()
    scores = run(int8_file, as_input([picture.seen for picture in pictures]))
    place = LABELS.index(POSITIVE)
    return tuple(
        Elsewhere(picture.path.name, LABELS[picture.label], float(row[place]))
        for picture, row in zip(pictures, scores, strict=True)
    )
