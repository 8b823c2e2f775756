"""What a network predicts: tasks, and the predictions read from its outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from models.choices import Scores
from models.errors import ModelError

Kind = Literal["classification", "regression"]
MAX_RAW_SCORES = 1024
_LEAST_TOGETHER = 1 / 64  # so much of the whole at most, however many labels there are
_LEAST = 1 / 512  # half a step of an int8 softmax: a probability of 0 in such a file may be as large as this


class OutputTensor(Protocol):
    """What `predictions` must know of an output: its name and, where quantised, its scale and zero point."""

    @property
    def name(self) -> str: ...
    @property
    def scale(self) -> float: ...
    @property
    def zero_point(self) -> int: ...


@dataclass(frozen=True)
class Task:
    """One thing that a network predicts."""

    name: str
    kind: Kind
    output: str
    labels: tuple[str, ...] = ()
    unit: str | None = None
    positive: str | None = None
    scores: Scores = "probabilities"
    temperature: float = 1.0
    """What the logits are divided by, so that of answers with a confidence of 0.9 nine in ten are right."""


@dataclass(frozen=True)
class Prediction:
    """What a network says of one picture for one task; raw scores only where the task is not known."""

    task: str
    label: str | None
    value: float | None
    confidence: float | None
    scores: list[float]


class Answering(Protocol):
    """What `predictions` must know of a bundle."""

    @property
    def tasks(self) -> tuple[Task, ...]: ...
    @property
    def outputs(self) -> tuple[str, ...]: ...


def predictions(
    bundle: Answering, outputs: Sequence[np.ndarray], specs: Sequence[OutputTensor], row: int = 0
) -> list[Prediction]:
    """Return one prediction per task for one row of a batch of outputs; one of raw scores per output without tasks.

    An output belongs to a task by its name, or by its place where the file names its outputs differently.
    """
    if len(outputs) != len(specs):
        raise ModelError(f"{len(outputs)} outputs came with {len(specs)} descriptions; pass those of the same part")
    if not bundle.tasks:
        return [_raw(spec.name, dequantise(o[row], spec)) for o, spec in zip(outputs, specs, strict=True)]
    found = []
    for task in bundle.tasks:
        place = _place(task, bundle.outputs, [spec.name for spec in specs])
        found.append(_predict(task, dequantise(outputs[place][row], specs[place])))
    return found


def dequantise(values: np.ndarray, spec: Any) -> np.ndarray:
    """Return real numbers as a flat float32 array; a scale of 0.0 leaves the values as they are."""
    flat = np.asarray(values).reshape(-1)
    if spec.scale == 0.0:
        return flat.astype(np.float32)
    return (flat.astype(np.float32) - np.float32(spec.zero_point)) * np.float32(spec.scale)


def _place(task: Task, outputs: Sequence[str], names: list[str]) -> int:
    if task.output in names:
        return names.index(task.output)
    if task.output in outputs and len(outputs) == len(names):
        return outputs.index(task.output)
    raise ModelError(
        f"task {task.name} reads output {task.output}, the model gave {', '.join(names)}; "
        "correct `output` in the bundle.toml"
    )


def _raw(name: str, values: np.ndarray) -> Prediction:
    scores = [float(v) for v in values] if values.size <= MAX_RAW_SCORES else []
    return Prediction(name, None, None, None, scores)


def _predict(task: Task, values: np.ndarray) -> Prediction:
    if task.kind == "regression":
        _check_size(task, values, 1)
        return Prediction(task.name, None, float(values[0]), None, [])
    scores = tempered(_as_probabilities(task, values), task.temperature)
    _check_size(task, scores, len(task.labels))
    best = int(np.argmax(scores))
    return Prediction(task.name, task.labels[best], None, float(scores[best]), [float(s) for s in scores])


def _as_probabilities(task: Task, values: np.ndarray) -> np.ndarray:
    """Return one probability per label; a single value is that of the second of two labels."""
    single = values.size == 1 and len(task.labels) == 2
    if task.scores == "logits":
        logits = np.array([0.0, values[0]], np.float32) if single else values
        powers = np.exp(logits - logits.max())
        return np.asarray(powers / powers.sum())
    return np.array([1 - values[0], values[0]], np.float32) if single else values


def tempered(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Return (…, labels) probabilities after their logits were divided by the temperature; 1 leaves them untouched.

    Source: Guo et al. 2017, On Calibration of Modern Neural Networks, section 4.2.
    """
    if temperature == 1.0:
        return probabilities
    least = min(_LEAST, _LEAST_TOGETHER / probabilities.shape[-1])
    logits = np.log(np.maximum(probabilities, least)) / temperature
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float32)


def _check_size(task: Task, values: np.ndarray, expected: int) -> None:
    if values.size != expected:
        raise ModelError(
            f"output {task.output} of task {task.name} has {values.size} values, expected {expected}; "
            "correct `labels` or `kind` in the bundle.toml"
        )
