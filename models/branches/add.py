"""Give a network without exits some: train a branch at every candidate place, choose, and graft the chosen ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from models.answers import Place
from models.branches.choice import Candidate, Judges, Weighed, choose, weigh
from models.branches.features import Activations, can_branch, places_for_exits
from models.branches.file import Perceptron, branch_file
from models.branches.train import Settings, train_task
from models.bundle import Bundle
from models.engine import Engine
from models.errors import ModelError
from models.graft import graft
from models.graph import CutPoint, Graph
from models.manifest import Exit
from models.profile import noise
from models.tasks import Task
from models.training.progress import Progress

HAND_SET: Final = 0.9
"""The top probability at which frames leave a new exit until it is calibrated."""
_COMPARED: Final = 4

Branch = Mapping[str, Perceptron]
"""By task."""


@dataclass(frozen=True)
class Wish:
    """Which exits are wanted."""

    places: tuple[str, ...] = ()
    """Cut points named by hand; none: the best are chosen."""
    count: int = 1
    max_loss: float = 0.01
    """The share of the pictures' answers that exits may cost in the choice, for each task."""
    threshold: float = HAND_SET
    settings: Settings = field(default_factory=Settings)


@dataclass(frozen=True)
class Row:
    """One candidate in figures, of branches that did not see the pictures; thresholds were fitted to them."""

    cut_point: str
    bytes: int
    madds: int
    share_of_madds: float
    accuracy: Mapping[str, float]
    error: Mapping[str, float]
    accuracy_per_million_madds: float
    leaves: float
    """The share that leaves at the allowed loss."""
    expected_madds: float
    """Of a picture, with this exit alone at the allowed loss."""
    chosen: bool


@dataclass(frozen=True)
class Grown:
    """A model with exits, and what was said of every place that was tried."""

    content: bytes
    exits: tuple[Exit, ...]
    rows: tuple[Row, ...]


def wanted_places(bundle: Bundle, wish: Wish) -> list[CutPoint]:
    """Return the cut points to train branches for.

    Raises: ModelError for a place that is none, a bundle that has exits, or one without a classification.
    """
    if bundle.exits:
        raise ModelError(f"{bundle.name} has exits already, expected none; start from the model without them")
    if not any(task.kind == "classification" for task in bundle.tasks):
        raise ModelError(f"{bundle.name} has no classification, so no exit could be sure; import it without exits")
    graph = Graph.read(bundle.model_path, outputs=bundle.outputs)
    points = [graph.cut_point(name) for name in dict.fromkeys(wish.places)] or places_for_exits(graph)
    for point in points:
        if not can_branch(point):
            raise ModelError(
                f"cut point {point.name} holds {point.dtype} of shape {point.shape}, expected float32 or quantised "
                "numbers of one picture; name another"
            )
    return points


def judge_places(
    tasks: Sequence[Task],
    seen: Activations,
    targets: Mapping[str, np.ndarray],
    points: Sequence[CutPoint],
    folds: np.ndarray,
    settings: Settings,
    progress: Progress,
) -> tuple[list[Candidate], Judges]:
    """Return what branches at every place, and the network's own end, say of the pictures that have a fold.

    `folds` are (n,): each picture is judged by branches that were trained on all pictures of other folds; those of fold
    -1 only teach. So one part held back is fold 0 beside -1, and a cross-validation has no -1.
    """
    rows = np.flatnonzero(folds >= 0)
    labelled = [task.name for task in tasks if task.kind == "classification"]
    valued = [task.name for task in tasks if task.kind == "regression"]
    candidates = []
    for point in points:
        said, madds = out_of_fold(tasks, seen, targets, point.name, folds, settings)
        progress.step(1)
        scores, values = {name: said[name][rows] for name in labelled}, {name: said[name][rows, 0] for name in valued}
        candidates.append(Candidate(point.name, point.nbytes, point.madds_head, madds, scores, values))
    ends = {name: seen.answers[name][rows] for name in labelled}
    whole = points[0].madds_head + points[0].madds_tail
    final = Place("end", ends, whole, {name: seen.answers[name][rows, 0] for name in valued})
    truth = {name: np.where(np.isnan(targets[name]), -1, targets[name])[rows].astype(int) for name in labelled}
    return candidates, Judges(final, truth, {name: targets[name][rows] for name in valued})


def out_of_fold(
    tasks: Sequence[Task],
    seen: Activations,
    targets: Mapping[str, np.ndarray],
    place: str,
    folds: np.ndarray,
    settings: Settings,
) -> tuple[dict[str, np.ndarray], int]:
    """Return by task what branches say of the pictures that they were not trained on, and a branch's multiply-adds."""
    said = {task.name: np.zeros_like(seen.answers[task.name]) for task in tasks}
    madds = 0
    for fold in np.unique(folds[folds >= 0]):
        branch = train_branch(tasks, seen, targets, place, settings, np.flatnonzero(folds != fold))
        held = np.flatnonzero(folds == fold)
        features = seen.features[place][held].astype(np.float32)
        for name, made in branch.items():
            said[name][held] = made.answer(features)
        madds = sum(made.madds for made in branch.values())
    return said, madds


def train_branch(
    tasks: Sequence[Task],
    seen: Activations,
    targets: Mapping[str, np.ndarray],
    place: str,
    settings: Settings,
    rows: np.ndarray,
) -> Branch:
    """Return the branch of one place, trained for every task on some of the pictures."""
    features = seen.features[place][rows]
    return {
        task.name: train_task(task, features, targets[task.name][rows], seen.answers[task.name][rows], settings)
        for task in tasks
    }


def add_exits(
    bundle: Bundle,
    seen: Activations,
    targets: Mapping[str, np.ndarray],
    points: Sequence[CutPoint],
    folds: np.ndarray,
    wish: Wish,
    progress: Progress,
) -> Grown:
    """Return the model with exits at the places named or chosen; their branches are trained on all these pictures.

    So none of them may serve to find thresholds afterwards: give those of the train part.

    Raises: ModelError when no exit pays, or a graft would change what the model says.
    """
    candidates, judges = judge_places(bundle.tasks, seen, targets, points, folds, wish.settings, progress)
    if wish.places:
        best = weigh(candidates, judges, wish.max_loss)
    else:
        best = choose(candidates, judges, wish.count, wish.max_loss)
    chosen = [one.name for one in best.exits]
    everything = np.arange(seen.pictures)
    branches = {place: train_branch(bundle.tasks, seen, targets, place, wish.settings, everything) for place in chosen}
    content, exits = graft_exits(bundle, branches, seen, wish.threshold)
    rows = tuple(_row(one, judges, wish.max_loss, one.name in chosen) for one in candidates)
    return Grown(content, exits, rows)


def graft_exits(
    bundle: Bundle, branches: Mapping[str, Branch], seen: Activations, threshold: float
) -> tuple[bytes, tuple[Exit, ...]]:
    """Return the model with a branch behind each of these cut points, in that order; `seen` shows int8 its ranges.

    Raises: ModelError when a graft would change what the model says.
    """
    content = bundle.model_path.read_bytes()
    graph, exits = Graph.read(content, outputs=bundle.outputs), []
    for number, (place, branch) in enumerate(branches.items(), 1):
        source = graph.tensors[graph.index(place)]
        file = branch_file(source, branch, seen.features[place].astype(np.float32))
        outputs = {task.name: f"exit{number}/{task.name}" for task in bundle.tasks}
        content = graft(content, file, place, {output: task for task, output in outputs.items()})
        thresholds = {task.name: threshold for task in bundle.tasks if task.kind == "classification"}
        exits.append(Exit(f"exit{number}", place, outputs, "top-probability", thresholds, {}))
    _check_same(bundle, content)
    return content, tuple(exits)


def _row(one: Candidate, judges: Judges, max_loss: float, is_chosen: bool) -> Row:
    alone: Weighed = weigh([one], judges, max_loss)
    accuracy = {
        task: float((one.scores[task].argmax(axis=1) == truth)[truth >= 0].mean()) if (truth >= 0).any() else 0.0
        for task, truth in judges.truth.items()
    }
    error = {
        task: float(np.nanmean(np.abs(one.values[task] - truth))) if np.isfinite(truth).any() else 0.0
        for task, truth in judges.true_values.items()
    }
    madds = one.madds_head + one.madds_branch
    return Row(
        cut_point=one.name,
        bytes=one.nbytes,
        madds=madds,
        share_of_madds=madds / judges.final.madds,
        accuracy=accuracy,
        error=error,
        accuracy_per_million_madds=float(np.mean(list(accuracy.values()))) / (madds / 1e6),
        leaves=alone.outcome.shares[0],
        expected_madds=alone.outcome.madds,
        chosen=is_chosen,
    )


def _check_same(bundle: Bundle, content: bytes) -> None:
    """Raise ModelError unless the model's own outputs have the bits that they had."""
    before, after = (Engine(model, outputs=bundle.outputs) for model in (bundle.model_path, content))
    file = Engine(content)
    for seed in range(_COMPARED):
        picture = noise(before.whole().inputs[0], seed)
        expected = [values.tobytes() for values in before.whole().run(picture)]
        for part in (file.whole(), after.whole()):
            if [values.tobytes() for values in part.run(picture)[: len(expected)]] != expected:
                raise ModelError(f"with exits {bundle.name} would answer otherwise than before; do not use the file")
