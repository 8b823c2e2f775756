"""The early exit of the litter model: a branch on the finished, frozen files, float and int8 alike."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.branches.add import graft_exits, out_of_fold, train_branch
from models.branches.features import Activations, Probe
from models.branches.train import Settings
from models.bundle import Bundle, InputSpec, Task
from models.graph import Graph
from models.pictures import HIGH, LOW
from models.training.augment import augment
from models.training.data import Photograph
from models.training.facts import EXIT, Leaving
from models.training.recipe import Recipe

_FOLDS = 5


@dataclass(frozen=True)
class Exited:
    """A file with its exit, and what branches say of the training pictures that they did not see themselves."""

    content: bytes
    said: np.ndarray
    """(n, labels) probabilities of a cross-validation of the branch alone: the network had seen these pictures."""
    final: np.ndarray
    """(n, labels) what the network says of them in the end."""


def with_exit(
    content: bytes, task: Task, pictures: Sequence[Photograph], groups: Sequence[int], recipe: Recipe
) -> Exited:
    """Return a trained file with an exit behind the recipe's place; what it says in the end keeps its bits.

    The branch learns from these pictures, the file's own training pictures, and changed copies of them; nothing is laid
    on the ground in the copies. `groups` of near-duplicates stay together in the cross-validation. The same file,
    pictures and recipe give the same bytes on the same machine.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(content)
        size, digest = recipe.size, hashlib.sha256(content).hexdigest()
        bundle = Bundle("litter", digest, path, InputSpec(size, size, LOW, HIGH), (task,), (task.output,))
        seen, labels = _seen(bundle, pictures, recipe)
        targets, settings, place = {task.name: labels}, Settings(seed=recipe.seed), recipe.exit_after
        branch = train_branch([task], seen, targets, place, settings, np.arange(seen.pictures))
        grown, _ = graft_exits(bundle, {place: branch}, seen, recipe.exit_threshold)
    each = 1 + recipe.exit_copies
    folds = np.repeat(_folds(groups, recipe.seed), each)
    said, _ = out_of_fold([task], seen, targets, place, folds, settings)
    return Exited(grown, said[task.name][::each], seen.answers[task.name][::each])


def _folds(groups: Sequence[int], seed: int) -> np.ndarray:
    """Return a fold for each picture: groups stay whole, the folds have about as many groups each."""
    different = sorted(set(groups))
    order = np.random.default_rng(seed).permutation(len(different))
    fold_of = {group: int(place) % _FOLDS for group, place in zip(different, order, strict=True)}
    return np.array([fold_of[group] for group in groups])


def _seen(bundle: Bundle, pictures: Sequence[Photograph], recipe: Recipe) -> tuple[Activations, np.ndarray]:
    """Return what the file computes of the pictures and their copies, and their labels."""
    graph = Graph.read(bundle.model_path, outputs=bundle.outputs)
    probe, rng = Probe(bundle, [graph.cut_point(recipe.exit_after)]), np.random.default_rng(recipe.seed)
    labels = []
    for picture in pictures:
        copies = [augment(picture.base, picture.label, recipe.size, recipe.changes, rng)[0]
                  for _ in range(recipe.exit_copies)]  # fmt: skip
        for shown in (picture.seen, *copies):
            probe.look(shown)
            labels.append(float(picture.label))
    return probe.activations(), np.array(labels)


def leaving(truth: Sequence[int], exit_scores: np.ndarray, final_scores: np.ndarray, threshold: float) -> Leaving:
    """Return what becomes of pictures that leave where the exit's top probability reaches the threshold."""
    left = exit_scores.max(axis=1) >= threshold
    early, late = (scores.argmax(axis=1) == np.asarray(truth) for scores in (exit_scores, final_scores))
    together = np.where(left, early, late)
    return Leaving(len(left), int(left.sum()), int(early[left].sum()), int(together.sum()))


def exit_madds(content: bytes, output: str) -> tuple[int, int]:
    """Return the multiply-adds of a picture that leaves at the exit, and of one that does not."""
    from models.madds import madds

    graph, found = Graph.read(content), []
    for ends in ([f"{EXIT}/{output}"], [f"{EXIT}/{output}", output]):
        part = Graph.read(graph.extract(None, ends))
        found.append(sum(madds(operator, part.tensors) for operator in part.operators))
    return found[0], found[1]
