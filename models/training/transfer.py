"""Transfer learning in two phases: the new layer on frozen features, then the whole network.

Source: Leroy & Goedemé 2021, section 3.2 (20 epochs of the classification layer, 10 of fine-tuning).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import numpy as np

from models.pictures import centred
from models.training.augment import Patch, augment, cut_patch
from models.training.recipe import Recipe
from models.zoo.mobilenet_v2 import FEATURES, Arrays, load_imagenet, mobilenet_v2

Tick = Callable[[float], None]
Copies = Callable[[], tuple[np.ndarray, np.ndarray]]


def train(
    bases: Sequence[np.ndarray],
    labels: Sequence[int],
    names: Sequence[str],
    output: str,
    weights: Arrays,
    recipe: Recipe,
    tick: Tick = lambda n: None,
) -> keras.Model:
    """Return a network from picture to {output: probabilities of the names}, trained on these pictures.

    The weights are the mean over the second half of the fine-tuning's epochs, which stands for what any one of them
    would give and moves less with the seed. The same recipe and pictures give the same weights on the same machine.
    """
    keras.utils.set_random_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    backbone, head = mobilenet_v2(recipe.size), _head(len(names), output, recipe.dropout)
    load_imagenet(backbone, weights)
    whole = keras.Model(backbone.input, head(backbone.output))
    patches: list[list[Patch]] = []

    def copies() -> tuple[np.ndarray, np.ndarray]:
        order = np.concatenate([rng.permutation(len(bases)) for _ in range(recipe.repeats)])
        pairs = [augment(bases[i], labels[i], recipe.size, recipe.changes, rng, patches) for i in order]
        return centred([picture for picture, _ in pairs]), np.array([label for _, label in pairs])

    _train_head(backbone, head, copies, recipe, tick)
    patches += find_patches(whole, bases, labels, recipe, rng, tick)
    _fine_tune(whole, copies, recipe, tick)
    return keras.Model(whole.input, {output: whole.output}, name=output)


def find_patches(
    model: keras.Model,
    bases: Sequence[np.ndarray],
    labels: Sequence[int],
    recipe: Recipe,
    rng: np.random.Generator,
    tick: Tick,
) -> list[list[Patch]]:
    """Return for each label the parts of its pictures which the network of the first phase is sure about.

    A part of a littered picture may show a car or a wall; what the network calls littered with certainty mostly is.
    """
    found: list[list[Patch]] = [[] for _ in range(max(labels) + 1)]
    for base, label in zip(bases, labels, strict=True):
        parts = [cut_patch(base, recipe.size, rng) for _ in range(recipe.patches)]
        scores = model.predict_on_batch(centred(parts))[:, label]
        tick(len(parts))
        found[label] += [Patch(p, label) for p, score in zip(parts, scores, strict=True) if score > recipe.sure]
    return found


def _head(labels: int, output: str, dropout: float) -> keras.Model:
    features = keras.Input((FEATURES,), name="features")
    kept = keras.layers.Dropout(dropout, name="dropout")(features)
    scores = keras.layers.Dense(labels, activation="softmax", name=f"{output}_scores")(kept)
    return keras.Model(features, scores, name=f"{output}_head")


def _train_head(backbone: keras.Model, head: keras.Model, copies: Copies, recipe: Recipe, tick: Tick) -> None:
    """Train the new layer on the frozen features of a few changed copies of every picture."""
    cached = []
    for _ in range(recipe.variants):
        pictures, labels = copies()
        cached.append((backbone.predict(pictures, batch_size=32, verbose=0), labels))
        tick(len(labels))
    head.compile(keras.optimizers.Adam(recipe.head_rate), "categorical_crossentropy")
    for epoch in range(recipe.epochs_head):
        _fit(head, *cached[epoch % recipe.variants], recipe)


def _fine_tune(model: keras.Model, copies: Copies, recipe: Recipe, tick: Tick) -> None:
    """Train all layers, the rate falling to zero along a cosine, and keep the mean weights of the second half."""
    sums: list[np.ndarray] = []
    first_kept = recipe.epochs_fine // 2
    for epoch in range(recipe.epochs_fine):
        pictures, labels = copies()
        if epoch == 0:
            steps = recipe.epochs_fine * -(-len(labels) // recipe.batch)
            rate = keras.optimizers.schedules.CosineDecay(recipe.fine_rate, steps)
            optimiser = keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay)
            model.compile(optimiser, "categorical_crossentropy")
        _fit(model, pictures, labels, recipe)
        tick(3 * len(labels))
        if epoch >= first_kept:
            now = model.get_weights()
            sums = [a + b for a, b in zip(sums, now, strict=True)] if sums else now
    if sums:
        model.set_weights([total / (recipe.epochs_fine - first_kept) for total in sums])


def _fit(model: keras.Model, inputs: np.ndarray, labels: np.ndarray, recipe: Recipe) -> None:
    """Run one epoch; classes weigh alike however many copies each has, and targets are smoothed."""
    classes = model.output_shape[-1]
    counts = np.maximum(np.bincount(labels, minlength=classes), 1)
    targets = np.eye(classes)[labels] * (1 - recipe.smoothing) + recipe.smoothing / classes
    model.fit(
        inputs,
        targets,
        sample_weight=len(labels) / classes / counts[labels],
        batch_size=recipe.batch,
        verbose=0,
    )
