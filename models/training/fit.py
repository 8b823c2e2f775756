"""Train a network with exits: all of it together, or its exits alone on a frozen network.

`joint` trains everything with a weight for each output (Lee et al. 2021, section 3; Teerapittayanon et al. 2016,
BranchyNet), `separate` the branches on a frozen network (the way of the age and gender thesis), `distilled` likewise,
with the network's own final answer as a second teacher (Phuong and Lampert 2019, Distillation-Based Training for
Multi-Exit Architectures). The outputs of a network are a dict: `gender` is final, `exit1/gender` an exit's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from models.tasks import Task
from models.training.batches import Batches, Labelled, Watcher, task_of
from models.training.checkpoint import Checkpoint, History
from models.training.progress import Progress

Mode = Literal["joint", "separate", "distilled"]
_LEAST = 1e-7


@dataclass(frozen=True)
class Schedule:
    """How long and how fast; the rate falls to zero along a cosine."""

    epochs: int
    batch: int = 32
    rate: float = 1e-3
    optimiser: Literal["adamw", "sgd"] = "adamw"
    weight_decay: float = 1e-4
    momentum: float = 0.9
    warm_up: float = 0.0
    """Share of all steps in which the rate climbs from zero."""
    average: float | None = None
    """Momentum of the running mean of the weights that is kept in the end; None: the last weights."""
    clip: float | None = 5.0
    """Largest norm of all gradients together."""
    seed: int = 0


@dataclass(frozen=True)
class Aim:
    """What is minimised."""

    mode: Mode = "joint"
    weights: Mapping[str, float] = field(default_factory=dict)
    """Of outputs by name, or of tasks by name; 1 where none is given. Regressions are weighed in their own unit."""
    smoothing: float = 0.0
    teacher: float = 0.7
    """In `distilled`, the share of the loss that the final answer decides; the labels decide the rest."""
    teacher_temperature: float = 2.0

    def weight(self, output: str) -> float:
        """Return the weight of an output."""
        return self.weights.get(output, self.weights.get(task_of(output), 1.0))


def fit(
    model: keras.Model,
    tasks: Sequence[Task],
    batches: Batches,
    schedule: Schedule,
    aim: Aim,
    *,
    resume: Path | None = None,
    progress: Progress | None = None,
    after_epoch: Callable[[int], None] = lambda epoch: None,
) -> History:
    """Train the model in place and return its losses, one per epoch, by Keras's names.

    With `resume`, a file, every epoch is kept there, and a training that was interrupted goes on after its last one;
    the batches of an epoch depend on seed and number alone, so that it ends where it would have. The file stays, for
    the caller to remove. `after_epoch` is called with the number of each epoch that ended, from 0.
    Raises: DataError when the file is damaged or of another network.
    """
    keras.utils.set_random_seed(schedule.seed)
    trained = model if aim.mode == "joint" else _with_frozen_rest(model, aim.mode)
    outputs = sorted(trained.output) if aim.mode != "distilled" else exit_outputs(model)
    student = Student(trained.input, trained.output)
    student.teach({task.name: task for task in tasks}, outputs, aim)
    student.compile(optimizer=_optimiser(schedule, len(batches)), jit_compile=False)
    try:
        return _run(student, batches, schedule.epochs, Watcher(batches, progress, after_epoch), resume)
    finally:
        model.trainable = True


def _run(student: Student, batches: Batches, epochs: int, watcher: Watcher, resume: Path | None) -> History:
    """Train for the epochs that are not done yet and return the losses of all."""
    options: dict[str, Any] = {"epochs": epochs, "shuffle": False, "verbose": 0}
    if resume is None:
        return dict(student.fit(batches, callbacks=[watcher], **options).history)
    student.optimizer.build(student.trainable_variables)
    kept = Checkpoint(resume)
    kept.restore(student)
    watcher.pass_over(kept.epochs)
    student.fit(batches, initial_epoch=kept.epochs, callbacks=[watcher, kept], **options)
    return kept.history


def final_outputs(model: keras.Model) -> list[str]:
    """Return the names of the outputs that no exit gives, sorted."""
    return sorted(name for name in model.output if "/" not in name)


def exit_outputs(model: keras.Model) -> list[str]:
    """Return the names of the exits' outputs, sorted."""
    return sorted(name for name in model.output if "/" in name)


def answers(model: keras.Model, data: Labelled, batches: Batches) -> dict[str, np.ndarray]:
    """Return what every output says of every picture, unchanged: (n, labels) or (n, 1)."""
    parts: dict[str, list[np.ndarray]] = {name: [] for name in model.output}
    for start in range(0, len(data.pictures), batches.size):
        found = model.predict_on_batch(batches.prepare(data.pictures[start : start + batches.size]))
        for name, values in found.items():
            parts[name].append(np.asarray(values))
    return {name: np.concatenate(values) for name, values in parts.items()}


def _with_frozen_rest(model: keras.Model, mode: Mode) -> keras.Model:
    """Return what of a model its exits need, all but their branches frozen; distilled needs it whole."""
    backbone = keras.Model(model.input, {name: model.output[name] for name in final_outputs(model)})
    for layer in backbone.layers:
        layer.trainable = False
    wanted = model.output if mode == "distilled" else {name: model.output[name] for name in exit_outputs(model)}
    return keras.Model(model.input, wanted)


def _optimiser(schedule: Schedule, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    steps = schedule.epochs * steps_per_epoch
    warm = round(steps * schedule.warm_up)
    rate: Any = keras.optimizers.schedules.CosineDecay(
        0.0 if warm else schedule.rate,
        max(1, steps - warm),
        warmup_target=schedule.rate if warm else None,
        warmup_steps=warm,
    )
    common = {
        "weight_decay": schedule.weight_decay,
        "use_ema": schedule.average is not None,
        "ema_momentum": schedule.average or 0.99,
        "global_clipnorm": schedule.clip,
    }
    if schedule.optimiser == "sgd":
        return keras.optimizers.SGD(rate, momentum=schedule.momentum, nesterov=True, **common)
    return keras.optimizers.AdamW(rate, **common)


class Student(keras.Model):  # type: ignore[misc]
    """A functional model with the loss of its outputs; what of a picture is not known has weight 0."""

    def teach(self, tasks: Mapping[str, Task], outputs: Sequence[str], aim: Aim) -> None:
        """Say what is minimised. Attributes of a Keras model are tracked, so they are set in one tuple."""
        self._aimed = (dict(tasks), tuple(outputs), aim)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Return the weighted sum of the outputs' losses. `y` and `sample_weight` are dicts by task."""
        tasks, outputs, aim = self._aimed
        total = ops.sum(ops.stack(self.losses)) if self.losses else 0.0
        for output in outputs:
            name = task_of(output)
            found = self._loss(tasks[name], aim, y_pred[output], y[name], y_pred.get(name) if "/" in output else None)
            total += aim.weight(output) * ops.sum(found * sample_weight[name]) / (ops.sum(sample_weight[name]) + _LEAST)
        return total

    def _loss(self, task: Task, aim: Aim, said: Any, target: Any, final: Any) -> Any:
        taught = aim.mode == "distilled" and final is not None
        if task.kind == "regression":
            hard = ops.abs(said[:, 0] - target)
            soft = ops.abs(said[:, 0] - ops.stop_gradient(final[:, 0])) if taught else 0.0
        else:
            classes = len(task.labels)
            wanted = ops.one_hot(ops.cast(target, "int32"), classes) * (1 - aim.smoothing) + aim.smoothing / classes
            hard = -ops.sum(wanted * ops.log(said + _LEAST), axis=-1)
            soft = _divergence(ops.stop_gradient(final), said, aim.teacher_temperature) if taught else 0.0
        return hard * (1 - aim.teacher) + soft * aim.teacher if taught else hard


def _divergence(teacher: Any, student: Any, temperature: float) -> Any:
    """Return temperature² times the divergence of two answers softened by it. Source: Hinton et al. 2015, section 2."""
    soft = [ops.softmax(ops.log(p + _LEAST) / temperature, axis=-1) for p in (teacher, student)]
    gap = ops.log(soft[0] + _LEAST) - ops.log(soft[1] + _LEAST)
    return temperature**2 * ops.sum(soft[0] * gap, axis=-1)
