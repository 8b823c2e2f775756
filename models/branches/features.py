"""What a network computes of labelled pictures at its cut points, pooled to one number per channel, in one pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from models.bundle import Bundle, predictions
from models.crop import NothingFound, open_crop
from models.engine import Engine
from models.errors import ModelError
from models.graph import CutPoint, Graph
from models.parts import cuts_of
from models.pictures import to_input
from models.samples import Sample

LARGEST_FEATURES_BYTES: Final = 1 << 30
DEEPEST_SHARE: Final = 0.95
"""An exit behind this share of the multiply-adds saves nothing worth asking for."""
_LARGEST_HALF: Final = float(np.finfo(np.float16).max)
_TYPES: Final = frozenset({"float32", "int8", "uint8", "int16"})


@dataclass(frozen=True)
class Activations:
    """What a network computed of n pictures."""

    features: dict[str, np.ndarray]
    """By cut point: (n, channels) float16, the mean over the picture, held within what float16 holds."""
    answers: dict[str, np.ndarray]
    """By task: (n, labels) probabilities, or (n, 1) values, of the network's own end."""

    @property
    def pictures(self) -> int:
        """How many pictures."""
        return len(next(iter(self.answers.values())))


def places_for_exits(graph: Graph) -> list[CutPoint]:
    """Return the cut points behind which an exit can be grafted: of those with the same work before them the smallest.

    Raises: ModelError when there is none.
    """
    smallest: dict[int, CutPoint] = {}
    for point in graph.cut_points():
        share = point.madds_head / max(1, point.madds_head + point.madds_tail)
        if can_branch(point) and 0 < share <= DEEPEST_SHARE:
            other = smallest.setdefault(point.madds_head, point)
            smallest[point.madds_head] = min(other, point, key=lambda p: p.nbytes)
    if not smallest:
        raise ModelError(
            f"{graph.origin} has no cut point in its first {DEEPEST_SHARE:.0%}, expected one for an exit; "
            "import it without --add-exits"
        )
    return list(smallest.values())


def can_branch(point: CutPoint) -> bool:
    """Tell whether an activation has channels, of one picture, as numbers that a branch can read."""
    known = point.dtype in _TYPES and (point.dtype == "float32" or point.scale > 0)
    return known and 2 <= len(point.shape) <= 4 and point.shape[0] == 1


class Probe:
    """Runs a network once per picture and keeps the pooled activations of some cut points."""

    def __init__(self, bundle: Bundle, points: Sequence[CutPoint], *, threads: int = 1) -> None:
        self._bundle = bundle
        engine = Engine(bundle.model_path, outputs=bundle.outputs, threads=threads)
        self._part = engine.part(None, [*(point.name for point in points), *bundle.outputs])
        self._names = [point.name for point in points]
        self._features: list[list[np.ndarray]] = [[] for _ in points]
        self._answers: list[list[np.ndarray]] = [[] for _ in bundle.tasks]

    def look(self, picture: np.ndarray) -> None:
        """Run the network on a (height, width, 3) uint8 picture of its own size."""
        wanted, part, count = self._bundle.input, self._part, len(self._names)
        outputs = part.run(to_input(picture, part.inputs[0], wanted.low, wanted.high, wanted.colour))
        for kept, values, spec in zip(self._features, outputs[:count], part.outputs[:count], strict=True):
            kept.append(pooled(values, spec.scale, spec.zero_point))
        found = predictions(self._bundle, outputs[count:], part.outputs[count:])
        for answers, prediction in zip(self._answers, found, strict=True):
            answers.append(np.array(prediction.scores or [prediction.value or 0.0], np.float32))

    def activations(self) -> Activations:
        """Return what was kept of all pictures."""
        features = {name: np.stack(rows) for name, rows in zip(self._names, self._features, strict=True)}
        tasks = self._bundle.tasks
        answers = {task.name: np.stack(rows) for task, rows in zip(tasks, self._answers, strict=True)}
        return Activations(features, answers)


def pooled(values: np.ndarray, scale: float, zero_point: int) -> np.ndarray:
    """Return the mean over the picture of one activation as (channels,) float16 real numbers."""
    mean = values.reshape(-1, values.shape[-1]).mean(axis=0, dtype=np.float32)
    real = (mean - zero_point) * np.float32(scale) if scale else mean
    return np.asarray(np.clip(real, -_LARGEST_HALF, _LARGEST_HALF), np.float16)


def probe_samples(
    bundle: Bundle,
    points: Sequence[CutPoint],
    samples: Sequence[Sample],
    *,
    threads: int = 1,
    tick: Callable[[], None] = lambda: None,
) -> tuple[Activations, list[Sample]]:
    """Return the activations of labelled pictures, and those samples in which the bundle's crop finds something.

    Raises: ModelError when there is nothing in any of them.
    """
    probe, crop, kept = Probe(bundle, points, threads=threads), open_crop(bundle.input.crop, max_faces=1), []
    for sample in samples:
        cuts = cuts_of(sample, crop, bundle.input)
        if cuts:
            probe.look(cuts[0].pixels)
            kept.append(sample)
        tick()
    if not kept:
        raise NothingFound(bundle.input.crop, len(samples))
    return probe.activations(), kept


def most_pictures(points: Sequence[CutPoint]) -> int:
    """Return how many pictures' features fit into memory's share for them."""
    return LARGEST_FEATURES_BYTES // (2 * sum(point.shape[-1] for point in points))


def targets_of(samples: Sequence[Sample], task: str) -> np.ndarray:
    """Return (n,) numbers of labels or values of a task, NaN where it is not known."""
    return np.array([sample.targets.get(task, np.nan) for sample in samples], np.float64)
