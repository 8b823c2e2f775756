"""Exits that a file has already: outputs such as exit1/gender beside the final gender, and where they branch off."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from models.branches.add import HAND_SET
from models.errors import CutError
from models.extract import operators_between
from models.graph import CutPoint, Graph
from models.importing.outputs import told_by_graph, values_of
from models.importing.wishes import ImportFailed
from models.manifest import Exit
from models.tasks import Task

_OF_EXIT: Final = re.compile(r"([a-z0-9][a-z0-9._-]{0,63})/(.+)")


def final_outputs(graph: Graph, read: Collection[str]) -> tuple[str, ...]:
    """Return the outputs that are no exit's; an exit's is an exit1/kind beside a kind of as many values.

    `read` are outputs that the user names for tasks, whatever they are called.
    """
    sizes = {graph.tensor_name(tensor.index): values_of(tensor) for tensor in graph.outputs}
    beside = {name: _OF_EXIT.fullmatch(name) for name in sizes}
    exits = {name for name, found in beside.items() if found and sizes.get(found[2]) == sizes[name]}
    return tuple(name for name in sizes if name in read or name not in exits)


def exits_among(graph: Graph, outputs: Sequence[str], tasks: Sequence[Task]) -> tuple[Exit, ...]:
    """Return the exits that the other outputs give, the earliest first; `graph` is cut towards those of the tasks.

    Raises: ImportFailed for an exit that branches off at no cut point, that lacks a task, or whose scores are not of
    its task's kind.
    """
    by_output, found, points = {task.output: task for task in tasks}, dict[str, dict[str, str]](), graph.cut_points()
    for match in (_OF_EXIT.fullmatch(name) for name in outputs if name not in by_output):
        if match and match[2] in by_output:
            _check_scores(graph, match[0], match[2])
            found.setdefault(match[1], {})[by_output[match[2]].name] = match[0]
    for name, given in found.items():
        _check_tasks(graph, name, given, [task.name for task in tasks])
    limits = {task.name: HAND_SET for task in tasks if task.kind == "classification"}
    places = {name: _place(graph, points, name, list(given.values())) for name, given in found.items()}
    return tuple(
        Exit(name, points[places[name]].name, found[name], "top-probability", limits, {})
        for name in sorted(found, key=places.__getitem__)
    )


def _place(graph: Graph, points: Sequence[CutPoint], name: str, outputs: Sequence[str]) -> int:
    """Return the number of the deepest cut point from which all outputs of an exit can be computed."""
    _, last = graph.ends(None, outputs)
    for place in reversed(range(len(points))):
        try:
            operators_between(graph.tensors, graph.operators, (points[place].index,), last, graph.origin)
        except CutError:
            continue
        return place
    raise ImportFailed(
        f"{name} of {graph.origin} branches off at no cut point, expected one behind a tensor that every path to the "
        f"end passes; give its outputs tasks of their own with --task NAME={outputs[0]}:…"
    )


def _check_tasks(graph: Graph, name: str, given: Mapping[str, str], tasks: Sequence[str]) -> None:
    missing = [task for task in tasks if task not in given]
    if missing:
        raise ImportFailed(
            f"{name} of {graph.origin} gives {', '.join(given)} alone, expected every task: {', '.join(missing)} too; "
            f"give its outputs tasks of their own with --task NAME={next(iter(given.values()))}:…"
        )


def _check_scores(graph: Graph, output: str, final: str) -> None:
    one, other = (told_by_graph(graph, graph.tensors[graph.index(name)]) for name in (output, final))
    if one and other and one != other:
        raise ImportFailed(
            f"output {output} of {graph.origin} gives {one} and {final} gives {other}, expected the same of an exit "
            f"and its task; give it a task of its own with --task NAME={output}:…"
        )
