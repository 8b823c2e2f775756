"""Train a bottleneck by distillation: the model itself, frozen, says what the tail should make of the decoded code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf

from models.bundle import Bundle
from models.engine import Engine
from models.graph import Graph
from models.parts import seen
from models.pictures import decode_picture, fit, to_input
from models.samples import Sample
from models.tasks import dequantise
from models.tensorflow_engine.computation import Computation
from models.training.augment import Changes, augment
from models.training.bottleneck.layers import Bottleneck
from models.training.bottleneck.network import Network, Shape, rounded
from models.training.bottleneck.splice import check_cut, with_bottleneck
from models.training.progress import Progress

BASE: Final = 2  # pictures are kept at this many times the network's input, so that crops have pixels to show
ZSTD_BYTES: Final = 30  # what zstd adds to a code's entropy: frame header, table of lengths; measured
_MEASURED_ON: Final = 256
_STEP: Final = 3  # what a picture costs in training, in pictures run forward


@dataclass(frozen=True)
class Recipe:
    """The settings of one training; `wire_bytes` is what the code of a picture should take after zstd."""

    at: str
    wire_bytes: int = 1000
    shape: Shape = field(default_factory=Shape)
    epochs: int = 20
    copies: int = 16
    batch: int = 32
    rate: float = 2e-3
    seed: int = 0
    answers: float = 1.0
    features: float = 1.0
    activation: float = 0.1
    changes: Changes = field(default_factory=lambda: Changes(smallest_crop=0.5, paste=0.0))


@dataclass(frozen=True)
class _Data:
    """Activations as the head gives them, and what the tail makes of them."""

    values: np.ndarray
    scale: float
    zero_point: int
    wanted: tuple[np.ndarray, ...]

    def real(self, rows: np.ndarray | slice) -> np.ndarray:
        """Return some activations as real numbers."""
        return dequantise(self.values[rows], self).reshape(self.values[rows].shape)


def train_bottleneck(bundle: Bundle, samples: Sequence[Sample], recipe: Recipe, progress: Progress) -> bytes:
    """Return the model with a bottleneck behind `recipe.at`, trained on these pictures; labels are not looked at.

    The same recipe and pictures give the same file on the same machine with one thread.
    Raises: UnsupportedModel for a cut point that cannot have one, NotInTensorFlow for a tail that it cannot be trained
    through.
    """
    keras.utils.set_random_seed(recipe.seed)
    content = bundle.model_path.read_bytes()
    graph = Graph.read(content, outputs=bundle.finals)
    check_cut(graph, recipe.at)
    targets = _targets(graph, recipe.at)
    ends = [graph.index(recipe.at)], [graph.index(name) for name in targets]
    tail = Computation(graph, *ends, rounds=False, remedy="cut behind it, or train in Keras")
    pictures = len(samples) * (recipe.copies + 1)
    progress.expect(pictures + pictures * recipe.epochs * _STEP)
    progress.say("computing activations")
    values = activations(bundle, samples, recipe, progress.step)
    data = _with_wanted(values, graph, recipe.at, tail)
    network = Network(recipe.shape, values.shape[-1], float(data.real(slice(_MEASURED_ON)).std()) or 1.0)
    progress.say(f"training the bottleneck behind {recipe.at}")
    _fit(network, tail, data, recipe, lambda count: progress.step(count * _STEP))
    return with_bottleneck(content, recipe.at, _layers(network, data, recipe), bundle.finals)


def _layers(network: Network, data: _Data, recipe: Recipe) -> Bottleneck:
    chosen = np.random.default_rng(recipe.seed).permutation(len(data.values))[:_MEASURED_ON]
    return network.layers(data.real(chosen))


def _targets(graph: Graph, at: str) -> list[str]:
    """Return what the student must repeat: the final outputs, and the last cut point before them."""
    last = graph.cut_points()[-1].name
    finals = [graph.tensor_name(tensor.index) for tensor in graph.outputs]
    return finals if last == at else [*finals, last]


def activations(bundle: Bundle, samples: Sequence[Sample], recipe: Recipe, tick: Callable[[float], None]) -> np.ndarray:
    """Return the activations of each picture and of its changed copies, in the model's own type."""
    rng, wanted = np.random.default_rng(recipe.seed), bundle.input
    head = Engine(bundle.model_path, outputs=bundle.finals).head(recipe.at)
    side, found = max(wanted.width, wanted.height), []
    for sample in samples:
        base = _base(bundle, sample, 2 * BASE * side)
        larger = fit(base, BASE * side, BASE * side)
        copies = [augment(larger, 0, side, recipe.changes, rng)[0] for _ in range(recipe.copies)]
        for picture in (base, *copies):
            pixels = fit(np.ascontiguousarray(picture), wanted.width, wanted.height)
            found.append(head.run(to_input(pixels, head.inputs[0], wanted.low, wanted.high, wanted.colour))[0][0])
            tick(1)
    return np.stack(found)


def _base(bundle: Bundle, sample: Sample, at_least: int) -> np.ndarray:
    """Return what the changed copies are made of: the picture, or what the bundle's crop cuts out of it."""
    if bundle.input.crop != "none":
        return seen(bundle, sample)
    with sample.opened() as content:
        return decode_picture(content, at_least=(at_least, at_least))


def _with_wanted(values: np.ndarray, graph: Graph, at: str, tail: Computation) -> _Data:
    point = graph.cut_point(at)
    bare = _Data(values, point.scale, point.zero_point, ())
    batches = [tail(tf.constant(bare.real(slice(start, start + 64)))) for start in range(0, len(values), 64)]
    wanted = tuple(np.concatenate([np.asarray(part) for part in column]) for column in zip(*batches, strict=True))
    return _Data(values, point.scale, point.zero_point, wanted)


def _fit(network: Network, tail: Computation, data: _Data, recipe: Recipe, tick: Callable[[float], None]) -> None:
    """Train; the price of a bit is moved until the code takes the bytes that are asked for."""
    size = min(recipe.batch, len(data.values))
    steps = len(data.values) // size * recipe.epochs
    optimiser = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(recipe.rate, steps, warmup_steps=0))
    optimiser.build(network.variables)
    weights = [recipe.answers] * (len(data.wanted) - 1) + [recipe.features]
    spreads = [float(np.var(wanted)) + 1e-6 for wanted in data.wanted]

    @tf.function(reduce_retracing=True, autograph=False)  # type: ignore[untyped-decorator]
    def step(values: Any, wanted: tuple[Any, ...], price: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            code = network.encode(values / network.unit)
            decoded = network.decode(rounded(code), values.shape[1:3])
            bits = tf.reduce_mean(network.bits(code))
            loss = recipe.activation * tf.reduce_mean(tf.square(decoded - values / network.unit))
            found = tail(decoded * network.unit)
            for one, other, weight, spread in zip(found, wanted, weights, spreads, strict=True):
                loss += weight * tf.reduce_mean(tf.square(one - other)) / spread
            total = loss + price * bits / (8 * recipe.wire_bytes)
        optimiser.apply(tape.gradient(total, network.variables), network.variables)
        return loss, bits

    rng, price = np.random.default_rng(recipe.seed), 0.1
    for _ in range(recipe.epochs):
        order = rng.permutation(len(data.values))
        for start in range(0, len(order) - size + 1, size):
            rows = np.sort(order[start : start + size])
            wanted = tuple(tf.constant(column[rows]) for column in data.wanted)
            _, bits = step(tf.constant(data.real(rows)), wanted, tf.constant(price, tf.float32))
            over = (float(bits) / 8 + ZSTD_BYTES) / recipe.wire_bytes
            price = float(np.clip(price * over**0.05, 1e-4, 1e3))
            tick(size)
