"""What the outputs of a model are: found in its graph where that tells, else by asking it about a few pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from models.choices import Scores
from models.engine import Engine
from models.graph import Graph
from models.importing.wishes import ImportFailed, TaskWish
from models.structure import Tensor
from models.tasks import Task, dequantise

_PASSES_ON: Final = frozenset({"DEQUANTIZE", "QUANTIZE", "RESHAPE", "SQUEEZE", "CAST"})
_DETECTION: Final = "CUSTOM:TFLite_Detection_PostProcess"
_TOLERANCE: Final = 0.02
_NOT_ONE: Final = "a network that gives boxes, points or maps is not one answer per picture, and no bundle holds it"


def tasks_of(
    engine: Engine, wishes: Sequence[TaskWish], pictures: Sequence[np.ndarray], scores: Scores | None
) -> tuple[Task, ...]:
    """Return the tasks of a model, one for each of its outputs, in the outputs' order.

    `pictures` are inputs of the network on which it shows whether its scores are probabilities; `scores` spares that.
    Raises: ImportFailed where outputs, tasks and labels do not fit.
    """
    graph = engine.graph
    names = [graph.tensor_name(tensor.index) for tensor in graph.outputs]
    _check_one_answer(graph, names)
    by_output = _assigned(wishes, graph, names)
    answers = _answers(engine, pictures)
    return tuple(
        _task(by_output[name], name, answers[place], scores or told_by_graph(graph, tensor))
        for place, (name, tensor) in enumerate(zip(names, graph.outputs, strict=True))
    )


def values_of(tensor: Tensor) -> int:
    """Return how many values an output holds for one picture."""
    return math.prod(tensor.shape[1:]) if len(tensor.shape) > 1 else math.prod(tensor.shape)


def _check_one_answer(graph: Graph, names: Sequence[str]) -> None:
    if any(operator.kind == _DETECTION for operator in graph.operators):
        raise ImportFailed(f"{graph.origin} is a detector; {_NOT_ONE}")
    for name, tensor in zip(names, graph.outputs, strict=True):
        sizes = [size for size in tensor.shape[1:] if size != 1]
        if len(sizes) > 1 or -1 in tensor.shape_signature[1:]:
            raise ImportFailed(
                f"output {name} of {graph.origin} is {list(tensor.shape)}, expected (1, labels) or (1, 1); {_NOT_ONE}"
            )


def _assigned(wishes: Sequence[TaskWish], graph: Graph, names: Sequence[str]) -> dict[str, TaskWish]:
    """Return by output the task that reads it."""
    found: dict[str, TaskWish] = {}
    for wish in wishes:
        output = wish.output or (names[0] if len(names) == 1 else None)
        if output is None or output not in names or output in found:
            said = " and ".join(f"{n} ({values_of(t)} values)" for n, t in zip(names, graph.outputs, strict=True))
            fault = f"task {wish.name} reads {output!r}" if output else "the tasks are not told apart"
            raise ImportFailed(f"{fault}, the outputs are {said}; give each one --task NAME=OUTPUT:LABELS")
        found[output] = wish
    missing = next((name for name in names if name not in found), None)
    if missing is not None:
        raise ImportFailed(f"no task reads output {missing}, expected one for each output; add --task NAME={missing}:…")
    return found


def _answers(engine: Engine, pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return for every output (n, values) real numbers."""
    whole = engine.whole()
    said = [whole.run(picture) for picture in pictures]
    return [
        np.stack([dequantise(outputs[place], spec) for outputs in said]) for place, spec in enumerate(whole.outputs)
    ]


def _task(wish: TaskWish, output: str, answers: np.ndarray, told: Scores | None) -> Task:
    count = answers.shape[1]
    if not wish.labels:
        if count != 1:
            raise ImportFailed(f"output {output} gives {count} values, got no labels for them; add --labels")
        return Task(wish.name, "regression", output, unit=wish.unit)
    if len(wish.labels) != count and not (count == 1 and len(wish.labels) == 2):
        shown = ", ".join(wish.labels[:4]) + (", …" if len(wish.labels) > 4 else "")
        raise ImportFailed(
            f"output {output} gives {count} values, got {len(wish.labels)} labels ({shown}); give one for each value"
        )
    return Task(wish.name, "classification", output, wish.labels, scores=told or _told_by_answers(output, answers))


def told_by_graph(graph: Graph, tensor: Tensor) -> Scores | None:
    """Return what the last operator before an output makes of it, None where it may be either."""
    producers = {index: operator for operator in graph.operators for index in operator.outputs}
    index = tensor.index
    while index in producers and producers[index].kind in _PASSES_ON:
        index = producers[index].inputs[0]
    kind = producers[index].kind if index in producers else ""
    if kind == "SOFTMAX" or (kind == "LOGISTIC" and values_of(tensor) == 1):
        return "probabilities"
    return "logits" if kind == "FULLY_CONNECTED" else None


def _told_by_answers(output: str, answers: np.ndarray) -> Scores:
    """Return "probabilities" where all answers could be, "logits" where one could not.

    Raises: ImportFailed for several yes-or-no answers in one.
    """
    within = bool((answers >= -_TOLERANCE).all() and (answers <= 1 + _TOLERANCE).all())
    if answers.shape[1] == 1:
        return "probabilities" if within else "logits"
    if within and np.abs(answers.sum(axis=1) - 1).max() <= _TOLERANCE + answers.shape[1] / 512:
        return "probabilities"
    if within:
        raise ImportFailed(
            f"the values of output {output} lie in 0 to 1 and do not add up to 1, as several yes-or-no answers; "
            "say what they are with --scores probabilities or --scores logits"
        )
    return "logits"
