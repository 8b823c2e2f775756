"""Train one task of a branch on pooled features: a hidden layer, Adam, a rate that falls along a cosine. NumPy only.

The network itself is frozen, as in separate training of exits; nothing but its pooled activations is needed. The same
features and seed give the same weights on the same machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.branches.file import Perceptron, softmax
from models.tasks import Task

_BETAS, _EPSILON = (0.9, 0.999), 1e-8  # Source: Kingma and Ba 2015, Adam, algorithm 1
_LEAST_SPREAD = 1e-3  # of the widest feature: a channel that hardly moves is not blown up


@dataclass(frozen=True)
class Settings:
    """How a branch is trained."""

    hidden: int = 64
    rate: float = 3e-3
    weight_decay: float = 1e-2
    dropout: float = 0.3
    smoothing: float = 0.05
    epochs: int = 40
    fewest_steps: int = 600
    most_steps: int = 8000
    teacher: float = 0.0
    """How much of each target is the network's own final answer instead of the label."""
    seed: int = 0


def train_task(
    task: Task, features: np.ndarray, targets: np.ndarray, answers: np.ndarray, settings: Settings
) -> Perceptron:
    """Return the branch of a task, trained on (n, channels) features.

    `targets` are (n,): the number of a label or a value, NaN where it is not known; `answers` are what the network
    itself says in the end, (n, labels) or (n, 1). A picture without a target teaches only through the answer.
    """
    share = np.where(np.isnan(targets), 1.0, settings.teacher)[:, None]
    known = np.flatnonzero(~np.isnan(targets) | (settings.teacher > 0))
    filled = np.nan_to_num(targets)
    if task.kind == "classification":
        labels = np.eye(len(task.labels), dtype=np.float32)[filled.astype(int)]
        goal = (1 - share) * labels + share * answers
        goal = goal * (1 - settings.smoothing) + settings.smoothing / len(task.labels)
        made = _fit(features[known], goal[known], _balance(goal[known]), settings, is_softmax=True)
        return replace(made, gives_logits=task.scores == "logits")
    goal = (1 - share) * filled[:, None] + share * answers
    return _fit(features[known], goal[known], np.ones(len(known)), settings, is_softmax=False)


def _balance(goal: np.ndarray) -> np.ndarray:
    """Return a weight for each row, so that labels count alike however many pictures each has; of mean 1."""
    totals = np.maximum(goal.sum(axis=0), 1.0)
    weights = goal @ (1 / totals)
    return np.asarray(weights / weights.mean())


def _fit(
    features: np.ndarray, goal: np.ndarray, weights: np.ndarray, settings: Settings, *, is_softmax: bool
) -> Perceptron:
    """Return the layers after training on standardised numbers, the standardisation folded into them."""
    rng = np.random.default_rng(settings.seed)
    values = features.astype(np.float32)
    middle, spread = values.mean(axis=0), values.std(axis=0)
    spread = np.maximum(spread, max(_LEAST_SPREAD * float(spread.max()), _EPSILON))
    values = (values - middle) / spread
    offset, unit = (0.0, 1.0) if is_softmax else (goal.mean(axis=0), np.maximum(goal.std(axis=0), _EPSILON))
    layers = _start(values.shape[1], settings.hidden, goal.shape[1], rng)
    _descend(layers, values, ((goal - offset) / unit).astype(np.float32), weights, settings, rng, is_softmax)
    kernel, bias, out, out_bias = layers
    kernel = kernel / spread[:, None]
    return Perceptron(kernel, bias - middle @ kernel, out * unit, out_bias * unit + offset, is_softmax)


def _start(channels: int, hidden: int, outputs: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Return random layers. Source: He et al. 2015, Delving Deep into Rectifiers, equation 10."""
    kernel = rng.normal(0, np.sqrt(2 / channels), (channels, hidden)).astype(np.float32)
    out = rng.normal(0, np.sqrt(1 / hidden), (hidden, outputs)).astype(np.float32)
    return [kernel, np.zeros(hidden, np.float32), out, np.zeros(outputs, np.float32)]


def _descend(
    layers: list[np.ndarray],
    values: np.ndarray,
    goal: np.ndarray,
    weights: np.ndarray,
    settings: Settings,
    rng: np.random.Generator,
    is_softmax: bool,
) -> None:
    """Train the layers in place. Source: Loshchilov and Hutter 2019, Decoupled Weight Decay, algorithm 2."""
    count = len(values)
    batch = int(np.clip(count // 50, 16, 256))
    steps = int(np.clip(settings.epochs * count // batch, settings.fewest_steps, settings.most_steps))
    moments = [(np.zeros_like(layer), np.zeros_like(layer)) for layer in layers]
    order = np.empty(0, int)
    for step in range(1, steps + 1):
        if len(order) < batch:
            order = np.concatenate([order, rng.permutation(count)])
        rows, order = order[:batch], order[batch:]
        kept = (rng.random((len(rows), settings.hidden), np.float32) >= settings.dropout) / (1 - settings.dropout)
        gradients = _gradients(layers, values[rows], goal[rows], weights[rows], kept, is_softmax)
        rate = settings.rate * 0.5 * (1 + np.cos(np.pi * step / steps))
        _step(layers, moments, gradients, float(rate), settings.weight_decay, step)


def _gradients(
    layers: Sequence[np.ndarray],
    values: np.ndarray,
    goal: np.ndarray,
    weights: np.ndarray,
    kept: np.ndarray,
    is_softmax: bool,
) -> list[np.ndarray]:
    """Return the gradients of the cross-entropy, or of Huber's loss with its bend at 1, for one batch."""
    kernel, bias, out, out_bias = layers
    hidden = np.maximum(values @ kernel + bias, 0) * kept
    answer = hidden @ out + out_bias
    error = softmax(answer) - goal if is_softmax else np.clip(answer - goal, -1, 1)
    error = (error * weights[:, None] / len(values)).astype(np.float32)
    back = (error @ out.T) * kept * (hidden > 0)
    return [values.T @ back, back.sum(axis=0), hidden.T @ error, error.sum(axis=0)]


def _step(
    layers: list[np.ndarray],
    moments: Sequence[tuple[np.ndarray, np.ndarray]],
    gradients: Sequence[np.ndarray],
    rate: float,
    decay: float,
    step: int,
) -> None:
    for layer, (first, second), gradient in zip(layers, moments, gradients, strict=True):
        first[...] = _BETAS[0] * first + (1 - _BETAS[0]) * gradient
        second[...] = _BETAS[1] * second + (1 - _BETAS[1]) * gradient * gradient
        size = np.sqrt(second / (1 - _BETAS[1] ** step)) + _EPSILON
        layer[...] -= rate * (first / (1 - _BETAS[0] ** step) / size + decay * layer)
