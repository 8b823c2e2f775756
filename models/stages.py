"""A model run in stages: at each early exit it is asked whether that is enough, before more is computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from models.bundle import Bundle, Exit, Prediction, predictions
from models.engine import DEVICE, IMAGE, Engine, Part, TensorSpec
from models.errors import ModelError
from models.exits import ExitRule


class Staged(NamedTuple):
    """Where a staged run ended: at an exit, with what it predicts, or behind the last one, with its tensors."""

    exit: str | None
    is_hopeless: bool
    predictions: list[Prediction]
    values: tuple[np.ndarray, ...]
    """The activation at the split, or the final outputs; empty when the frame left before."""


@dataclass(frozen=True)
class _Stage:
    part: Part
    found: Exit | None
    """The exit whose outputs come first in the part's; the boundary to the next stage is its last output."""


class StagedHead:
    """The stages of a model up to a split, each ready to run; for one thread at a time."""

    def __init__(self, engine: Engine, bundle: Bundle, split: str, rules: Mapping[str, ExitRule]) -> None:
        """Take out the stages; an exit without a rule is no stage. Raises: ModelError for an exit that does not fit."""
        self._bundle, self._rules = bundle, rules
        self._stages = _stages(engine, bundle, split, rules)
        self.inputs, self.outputs = self._stages[0].part.inputs, self._stages[-1].part.outputs
        self.exits = tuple(stage.found.name for stage in self._stages if stage.found)
        self.unsure: tuple[str, list[Prediction]] | None = None
        """What the deepest exit said of the last frame that left at none; None where there is no exit."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """The stages in order; the last output of each is the input of the next."""
        return tuple(stage.part for stage in self._stages)

    @property
    def takes_rows(self) -> bool:
        """Tell whether several pictures can pass at once: each tensor between the stages begins with their number."""
        specs = [spec for stage in self._stages for spec in (*stage.part.inputs, *stage.part.outputs)]
        return all(spec.shape[:1] == (1,) for spec in specs)

    def run(self, pictures: np.ndarray) -> Staged:
        """Return where a frame ends; what lies behind that is not computed.

        `pictures` is the model's input, of one row or of several that belong to one frame, as faces of one picture: it
        ends at an exit when each row may, and its predictions are those of the first row, then of the next.
        """
        values: tuple[np.ndarray, ...] = (pictures,)
        self.unsure = None
        for stage in self._stages:
            outputs = stage.part.run(*values)
            if stage.found is None:
                return Staged(None, False, [], outputs)
            values = outputs[-1:]
            specs, rule = stage.part.outputs[:-1], self._rules[stage.found.name]
            found = [
                exit_predictions(self._bundle, stage.found, outputs[:-1], specs, row) for row in range(len(pictures))
            ]
            decisions, said = {rule.decide(one) for one in found}, [p for one in found for p in one]
            if len(decisions) == 1 and decisions != {"go on"}:
                return Staged(stage.found.name, decisions == {"drop"}, said, ())
            self.unsure = (stage.found.name, said)
        return Staged(None, False, [], values)


def rules_of(bundle: Bundle) -> dict[str, ExitRule]:
    """Return the rule of every exit of a bundle by the exit's name."""
    kinds = {task.name: task.kind for task in bundle.tasks}
    return {
        found.name: ExitRule(
            found.rule,
            found.thresholds,
            found.drop,
            frozenset(task for task in found.outputs if kinds[task] == "classification"),
        )
        for found in bundle.exits
    }


def exit_predictions(
    bundle: Bundle, found: Exit, outputs: Sequence[np.ndarray], specs: Sequence[TensorSpec], row: int = 0
) -> list[Prediction]:
    """Return what an exit predicts for each of its tasks, for one row of a batch."""
    tasks = tuple(
        replace(task, output=found.outputs[task.name], temperature=found.temperatures.get(task.name, 1.0))
        for task in bundle.tasks
        if task.name in found.outputs
    )
    names = tuple(task.output for task in tasks)
    return predictions(replace(bundle, tasks=tasks, outputs=names), outputs, specs, row)


def exits_before(engine: Engine, bundle: Bundle, split: str) -> list[Exit]:
    """Return the exits that a device with this split has passed, in the order of the file; none with the picture."""
    if split == IMAGE or not bundle.exits:
        return []
    order = {point.index: place for place, point in enumerate(engine.graph.cut_points())}
    last = len(order) if split == DEVICE else order[engine.graph.index(split)]
    places = {found.name: order.get(engine.graph.index(found.after)) for found in bundle.exits}
    for found in bundle.exits:
        if places[found.name] is None:
            raise ModelError(
                f"exit {found.name} of {bundle.name} comes after {found.after!r}, expected one of its cut points; "
                "correct `after` in the bundle.toml"
            )
    passed = [found for found in bundle.exits if (places[found.name] or 0) <= last]
    return sorted(passed, key=lambda found: places[found.name] or 0)


def _stages(engine: Engine, bundle: Bundle, split: str, rules: Mapping[str, ExitRule]) -> list[_Stage]:
    stages: list[_Stage] = []
    boundary: str | None = None
    for found in (passed for passed in exits_before(engine, bundle, split) if passed.name in rules):
        outputs = [found.outputs[task.name] for task in bundle.tasks if task.name in found.outputs]
        part = engine.part(boundary and [boundary], [*outputs, found.after])
        stages.append(_Stage(part, found))
        boundary = found.after
    if boundary is None or engine.graph.index(boundary) != (None if split == DEVICE else engine.graph.index(split)):
        stages.append(_Stage(engine.part(boundary and [boundary], None if split == DEVICE else [split]), None))
    return stages
