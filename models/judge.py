"""Ask a bundle about labelled pictures: what its exits and its end say, each picture computed once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.answers import Answers, Place
from models.bundle import Bundle, Exit, Prediction, predictions
from models.choices import Rule
from models.crop import Crop, NothingFound, open_crop
from models.engine import DEVICE, Engine, Part
from models.errors import ModelError
from models.graph import Graph
from models.madds import madds
from models.manifest import END
from models.parts import cuts_of
from models.pictures import to_input
from models.samples import Sample
from models.stages import exit_predictions, exits_before

Tick = Callable[[], None]


@dataclass(frozen=True)
class Judged:
    """What a bundle says of the samples in which its crop found something."""

    answers: Answers
    samples: tuple[Sample, ...]
    passed_over: int
    """Pictures in which the crop found nothing."""


def judge(bundle: Bundle, samples: Sequence[Sample], *, threads: int = 1, tick: Tick = lambda: None) -> Judged:
    """Return what a bundle says of labelled pictures, before any temperature; of several faces the largest counts.

    Raises: ModelError for a bundle without tasks, pictures that cannot be read, or none in which there is anything.
    """
    asked = _Asked(bundle, threads)
    seen, said = [], []
    for sample in samples:
        found = asked.about(sample)
        tick()
        if found is not None:
            seen.append(sample)
            said.append(found)
    if not seen:
        raise NothingFound(bundle.input.crop, len(samples))
    return Judged(asked.answers(said, seen), tuple(seen), len(samples) - len(seen))


def one_rule(bundle: Bundle) -> Rule:
    """Return the rule of all exits, where they can be judged together.

    Raises: ModelError where there are none, where they decide by different rules, or where one gives frames up.
    """
    if not bundle.exits:
        raise ModelError(f"{bundle.name} has no exits; give it some: headwater models import FILE --add-exits auto")
    given_up = next((found.name for found in bundle.exits if found.drop), None)
    if given_up is not None:
        raise ModelError(
            f"{given_up} of {bundle.name} has drop thresholds, which nothing here weighs: frames that they end would "
            "be missing from every figure; take `drop` out of the bundle.toml, and put it back afterwards"
        )
    rules = sorted({found.rule for found in bundle.exits})
    if len(rules) > 1:
        raise ModelError(
            f"the exits of {bundle.name} decide by {' and '.join(rules)}, expected one rule; write the same for all "
            f"into the bundle.toml, or calibrate with --rule {rules[0]}"
        )
    return rules[0]


def temperatures_of(bundle: Bundle) -> dict[str, dict[str, float]]:
    """Return the temperatures that a bundle states, by exit (the end is `end`) and classification; 1 where none is."""
    tasks = [task for task in bundle.tasks if task.kind == "classification"]
    exits = {e.name: {task.name: e.temperatures.get(task.name, 1.0) for task in tasks} for e in bundle.exits}
    return exits | {END: {task.name: task.temperature for task in tasks}}


def place_madds(bundle: Bundle, engine: Engine) -> list[tuple[int, int]]:
    """Return, of each exit and of the end, the multiply-adds until its answer and those of its branch among them.

    No other exit is counted: a device computes those alone at which a picture may leave.
    """

    def count(outputs: Sequence[str]) -> int:
        part = Graph.read(engine.graph.extract(None, list(outputs)))
        return sum(madds(operator, part.tensors) for operator in part.operators)

    found = [(count([*one.outputs.values()]), count([one.after])) for one in exits_before(engine, bundle, DEVICE)]
    return [(answer, answer - trunk) for answer, trunk in found] + [(count(bundle.outputs), 0)]


class _Asked:
    """A bundle whose every output is computed in one run."""

    def __init__(self, bundle: Bundle, threads: int) -> None:
        if not bundle.tasks:
            raise ModelError(
                f"{bundle.name} has no tasks, so nothing is right or wrong; add [[tasks]] to a bundle.toml"
            )
        for found in bundle.exits:
            _check_exit(bundle, found)
        self._bundle = _untempered(bundle)
        self._engine = Engine(bundle.model_path, threads=threads, outputs=bundle.finals)
        self._exits = exits_before(self._engine, self._bundle, DEVICE)
        names = [[found.outputs[t.name] for t in bundle.tasks if t.name in found.outputs] for found in self._exits]
        self._ends = np.cumsum([len(outputs) for outputs in names])
        self._part: Part = self._engine.part(None, [name for outputs in names for name in outputs] + [*bundle.outputs])
        self._crop: Crop = open_crop(bundle.input.crop, max_faces=1)

    def about(self, sample: Sample) -> list[list[Prediction]] | None:
        """Return what each exit and the end predict; None where the crop finds nothing."""
        wanted, part = self._bundle.input, self._part
        cuts = cuts_of(sample, self._crop, wanted)
        if not cuts:
            return None
        outputs = part.run(to_input(cuts[0].pixels, part.inputs[0], wanted.low, wanted.high, wanted.colour))
        groups = np.split(np.arange(len(outputs)), self._ends)
        found = [
            exit_predictions(self._bundle, exit_, [outputs[i] for i in group], part.outputs[group[0] : group[-1] + 1])
            for exit_, group in zip(self._exits, groups[:-1], strict=True)
        ]
        last = groups[-1]
        return [*found, predictions(self._bundle, [outputs[i] for i in last], part.outputs[last[0] :])]

    def answers(self, said: Sequence[Sequence[Sequence[Prediction]]], samples: Sequence[Sample]) -> Answers:
        """Return the predictions of all pictures as arrays, with what is true of them."""
        names = [*(found.name for found in self._exits), END]
        costs = place_madds(self._bundle, self._engine)
        places = [
            _place(name, *cost, [of_picture[number] for of_picture in said])
            for number, (name, cost) in enumerate(zip(names, costs, strict=True))
        ]
        kinds = {task.name: task.kind for task in self._bundle.tasks}
        truth = {
            task: _truth(samples, task, -1).astype(int) for task, kind in kinds.items() if kind == "classification"
        }
        values = {task: _truth(samples, task, np.nan) for task, kind in kinds.items() if kind == "regression"}
        return Answers(tuple(places[:-1]), places[-1], truth, values)


def _check_exit(bundle: Bundle, found: Exit) -> None:
    missing = [task.name for task in bundle.tasks if task.name not in found.outputs]
    if missing:
        raise ModelError(
            f"exit {found.name} of {bundle.name} says nothing of {missing[0]}, expected every task: a picture "
            "that left there would have no answer to it; give it an output, or drop the exit"
        )


def _untempered(bundle: Bundle) -> Bundle:
    tasks = tuple(replace(task, temperature=1.0) for task in bundle.tasks)
    return replace(bundle, tasks=tasks, exits=tuple(replace(found, temperatures={}) for found in bundle.exits))


def _place(name: str, cost: int, branch: int, said: Sequence[Sequence[Prediction]]) -> Place:
    scores: Mapping[str, np.ndarray] = {
        p.task: np.array([found[n].scores for found in said], np.float32)
        for n, p in enumerate(said[0])
        if p.label is not None
    }
    values = {p.task: np.array([found[n].value for found in said]) for n, p in enumerate(said[0]) if p.label is None}
    return Place(name, scores, cost, values, branch)


def _truth(samples: Sequence[Sample], task: str, missing: float) -> np.ndarray:
    return np.array([sample.targets.get(task, missing) for sample in samples], np.float64)
