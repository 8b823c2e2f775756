"""One exit or many: the single-exit networks of papers/003 against the one with eight exits.

Source: Lee et al. 2021, sections 3 and 4. One exit is asked at a time, also of the network with eight; a picture leaves
where the normalised entropy of the answer is below the threshold, the others get the final answer.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.bundle import MANIFEST_FILE, Bundle, Exit
from models.engine import Engine, Part
from models.errors import ModelError
from models.exits import is_sure, normalised_entropy
from models.judge import judge
from models.manifest import read_manifest
from models.parts import chosen_samples, seen
from models.pictures import to_input
from models.samples import Sample

RUNS = 300
Tick = Callable[[int, int], None]


@dataclass(frozen=True)
class Asked:
    """One exit of one network asked about every picture, and what it costs."""

    network: str
    kind: str
    """SEM or MEM."""
    seed: str
    exit: int
    entropy: np.ndarray
    exit_right: np.ndarray
    final_right: np.ndarray
    head_ms: float
    """From the picture to the exit's answer."""
    tail_ms: float
    """From there to the final answer."""


@dataclass(frozen=True)
class Row:
    """What one exit does at one threshold; accuracies in per cent, None of no pictures."""

    network: str
    kind: str
    seed: str
    exit: int
    threshold: float
    pictures: int
    exited: int
    edge_accuracy: float | None
    cloud_accuracy: float | None
    overall_accuracy: float
    edge_ms: float
    cloud_ms: float
    overall_ms: float


def row(asked: Asked, threshold: float) -> Row:
    """Return what becomes of all pictures at this threshold."""
    leaves = is_sure("normalised-entropy", asked.entropy, threshold)
    right = np.where(leaves, asked.exit_right, asked.final_right)
    both = asked.head_ms + asked.tail_ms
    share = float(leaves.mean())
    return Row(
        network=asked.network,
        kind=asked.kind,
        seed=asked.seed,
        exit=asked.exit,
        threshold=threshold,
        pictures=len(leaves),
        exited=int(leaves.sum()),
        edge_accuracy=_percent(asked.exit_right[leaves]),
        cloud_accuracy=_percent(asked.final_right[~leaves]),
        overall_accuracy=round(100 * float(right.mean()), 2),
        edge_ms=round(asked.head_ms, 3),
        cloud_ms=round(both, 3),
        overall_ms=round(share * asked.head_ms + (1 - share) * both, 3),
    )


def _percent(right: np.ndarray) -> float | None:
    return round(100 * float(right.mean()), 2) if len(right) else None


def found_networks(folders: Sequence[Path], suffix: str) -> list[Path]:
    """Return the bundles `cifar-sem1` … and `cifar-mem` of the folders, with this behind their names.

    Raises: ModelError when there is none.
    """
    names = [*(f"cifar-sem{number}" for number in range(1, 9)), "cifar-mem"]
    paths = [folder / f"{name}{suffix}" for folder in folders for name in names]
    found = [path for path in paths if (path / MANIFEST_FILE).is_file()]
    if not found:
        raise ModelError(
            f"{', '.join(map(str, folders))}: no bundle such as cifar-sem1{suffix}; `headwater models train cifar-sem1`"
        )
    return found


def ask(
    paths: Sequence[Path], data: Path, limit: int | None = None, tick: Tick = lambda done, total: None
) -> list[Asked]:
    """Return every exit of these networks asked about the test part of the data. Raises: ModelError."""
    bundles = [Bundle.load(path) for path in paths]
    samples = chosen_samples(bundles[0], data, "test", limit)
    counted, total = itertools.count(1), len(bundles) * len(samples)
    return [one for bundle in bundles for one in _asked(bundle, samples, lambda: tick(next(counted), total))]


def _asked(bundle: Bundle, samples: Sequence[Sample], tick: Callable[[], None]) -> Iterator[Asked]:
    task, engine = bundle.tasks[0], Engine(bundle.model_path, outputs=bundle.outputs)
    seed = read_manifest(bundle.folder / MANIFEST_FILE).training.get("seed", "")
    answers = judge(bundle, samples, tick=tick).answers
    right, pictures = answers.right(task.name), [seen(bundle, sample) for sample in samples[:RUNS]]
    numbers = {place.name: number for number, place in enumerate(answers.exits)}
    for found in bundle.exits:
        number = numbers[found.name]
        head_ms, tail_ms = _stage_ms(engine, bundle, found, pictures)
        yield Asked(
            network=bundle.name,
            kind="MEM" if len(bundle.exits) > 1 else "SEM",
            seed=seed,
            exit=int(found.name.removeprefix("exit")),
            entropy=normalised_entropy(answers.exits[number].scores[task.name]),
            exit_right=right[number],
            final_right=right[-1],
            head_ms=head_ms,
            tail_ms=tail_ms,
        )


def _given(bundle: Bundle, picture: np.ndarray, part: Part) -> np.ndarray:
    return to_input(picture, part.inputs[0], bundle.input.low, bundle.input.high, bundle.input.colour)


def _stage_ms(engine: Engine, bundle: Bundle, found: Exit, pictures: Sequence[np.ndarray]) -> tuple[float, float]:
    """Return the median milliseconds of the stage up to an exit and of the rest, by turns on the same pictures."""
    head = engine.part(None, [found.outputs[bundle.tasks[0].name], found.after])
    tail = engine.tail(found.after)
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(RUNS):
        given = _given(bundle, pictures[number % len(pictures)], head)
        began = time.perf_counter()
        activation = head.run(given)[-1]
        between = time.perf_counter()
        tail.run(activation)
        times[0].append(between - began)
        times[1].append(time.perf_counter() - between)
    return 1000 * statistics.median(times[0]), 1000 * statistics.median(times[1])
