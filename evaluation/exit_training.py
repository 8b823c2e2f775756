"""Three ways to train the exits of one network: together with it, alone on it when frozen, and taught by its answer."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import keras
import numpy as np

from models.answers import Answers, Place, outcome
from models.calibration import calibrate
from models.choices import SamplePart
from models.samples import read_all
from models.training.batches import Batches, Labelled
from models.training.classifier import pixels
from models.training.fit import Aim, Mode, answers, fit
from models.training.plan import Plan, prepared
from models.training.progress import Progress

WAYS: Final[tuple[Mode, ...]] = ("joint", "separate", "distilled")
MAX_LOSS: Final = 0.01
CONFIDENCE: Final = 0.9
_ONE: Final = 1
"""Multiply-adds are not compared here: every place costs one more than the one before it."""


@dataclass(frozen=True)
class Row:
    """One way with one seed, judged on test pictures; shares of 1."""

    way: str
    seed: int
    exit: str
    exit_accuracy: float
    """Of all pictures at this exit."""
    final_accuracy: float
    """Of all pictures at the end."""
    left: float
    """Share that leaves at this exit with thresholds chosen on validation pictures."""
    accuracy: float
    """Of all pictures, each where it leaves, with those thresholds."""
    seconds: float
    """Of training, what it stands on included."""


def read(plan: Plan, data: Sequence[Path], limit: int | None) -> dict[SamplePart, Labelled]:
    """Return the pictures of every part at the network's size; at most `limit` of each, of all labels alike."""
    parts = read_all(data, (plan.task,))
    drawn = {part: sorted(found, key=lambda sample: sample.digest)[:limit] for part, found in parts.items()}
    return {part: pixels(plan, found) for part, found in drawn.items()}


def compare(
    plan: Plan, parts: Mapping[SamplePart, Labelled], exit_epochs: int, seeds: Sequence[int], progress: Progress
) -> Iterator[Row]:
    """Yield what every way gives with every seed; the ways with a frozen network share that network."""
    count = len(parts["train"].pictures)
    progress.expect(len(seeds) * count * (2 * plan.schedule.epochs + 2 * exit_epochs))
    for seed in seeds:
        seeded = replace(plan, schedule=replace(plan.schedule, seed=seed))
        plain, plain_s = _trained(seeded, parts["train"], Aim("joint", _exits_at(seeded, 0.0)), None, progress)
        frozen = plain.get_weights()
        for way in WAYS:
            progress.say(f"{way}, seed {seed}")
            if way == "joint":
                model, seconds = _trained(seeded, parts["train"], Aim("joint"), None, progress)
            else:
                plain.set_weights(frozen)
                schedule = replace(seeded.schedule, epochs=exit_epochs)
                shorter = replace(seeded, schedule=schedule)
                model, exit_s = _trained(shorter, parts["train"], Aim(way), plain, progress)
                seconds = plain_s + exit_s
            yield from _rows(seeded, model, parts, way, seconds)


def _exits_at(plan: Plan, weight: float) -> Mapping[str, float]:
    return {output: weight for name, output in plan.outputs.items() if name != "final"}


def _trained(
    plan: Plan, data: Labelled, aim: Aim, model: keras.Model | None, progress: Progress
) -> tuple[keras.Model, float]:
    keras.utils.set_random_seed(plan.schedule.seed)
    trained, began_s = model or plan.build(), time.monotonic()
    fit(trained, (plan.task,), _batches(plan, data), plan.schedule, aim, progress=progress)
    return trained, time.monotonic() - began_s


def _batches(plan: Plan, data: Labelled) -> Batches:
    schedule = plan.schedule
    return Batches(
        data,
        schedule.batch,
        seed=schedule.seed,
        change=plan.change,
        prepare=lambda pictures: prepared(pictures, plan.input.colour),
    )


def _rows(
    plan: Plan, model: keras.Model, parts: Mapping[SamplePart, Labelled], way: str, seconds: float
) -> Iterator[Row]:
    chosen = calibrate(_ask(plan, model, parts["validation"]), plan.exits[0].rule, MAX_LOSS, CONFIDENCE)
    test = _ask(plan, model, parts["test"]).tempered(chosen.temperatures)
    found = outcome(test, chosen.chosen.thresholds, chosen.rule)
    right = test.right(plan.task.name).mean(axis=1)
    for number, place in enumerate(test.exits):
        yield Row(
            way=way,
            seed=plan.schedule.seed,
            exit=place.name,
            exit_accuracy=round(float(right[number]), 4),
            final_accuracy=round(float(right[-1]), 4),
            left=round(found.shares[number], 4),
            accuracy=round(found.accuracy[plan.task.name], 4),
            seconds=round(seconds, 1),
        )


def _ask(plan: Plan, model: keras.Model, data: Labelled) -> Answers:
    said = answers(model, data, _batches(plan, data))
    names = plan.outputs
    places = [
        Place(name, {plan.task.name: np.asarray(said[output], np.float32)}, _ONE + number)
        for number, (name, output) in enumerate(names.items())
    ]
    return Answers(tuple(places[:-1]), places[-1], {plan.task.name: data.targets[plan.task.name].astype(int)})
