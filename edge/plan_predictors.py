"""The predictor that was asked for, with what it has to know measured on this machine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edge.splits import DEVICE, IMAGE
from models.bundle import Bundle
from models.graph import Graph
from models.operators import OperatorWork, works
from models.profile import Progress, profile
from planning.operator_times import Row, fit_operator_times
from planning.predictors import ByOperator, Measured, Predictor, by_layer
from planning.ways import PredictorName, Way


def predictor_of(
    name: PredictorName, ways: Sequence[Way], bundle: Bundle, others: Iterable[Bundle], threads: int, progress: Progress
) -> Predictor:
    """Return a predictor for ways that were tried here; `operators` is fitted on the other bundles. Raises: PlanError.

    `linear` takes every cut point for a layer.
    """
    if name == "linear":
        ends = {way.place: way for way in ways}
        last = max(ends)
        return by_layer(ends[last].head_s, ends[min(ends)].tail_s, range(last + 1))
    if name == "operators":
        rows = [row for one in others for row in profiled_rows(one, threads, progress)]
        return ByOperator(fit_operator_times(rows), *works_by_place(bundle))
    return Measured(ways)


def profiled_rows(bundle: Bundle, threads: int, progress: Progress) -> list[Row]:
    """Return the operators and the seconds of every head and tail of a bundle, and of the whole.

    They are measured once and then known (models.profile).
    """
    known = profile(bundle.model_path, threads=threads, outputs=bundle.finals, progress=progress)
    graph = Graph.read(bundle.model_path, outputs=bundle.finals)
    rows: list[Row] = [(works(graph), known.ms_whole / 1e3)]
    for cut in known.cuts:
        if cut.ms_head is not None and cut.ms_tail is not None:
            rows.append((works(graph, None, [cut.name]), cut.ms_head / 1e3))
            rows.append((works(graph, [cut.name], None), cut.ms_tail / 1e3))
    return rows


def splits_of(bundle: Bundle) -> list[str]:
    """Return the split at every place of a bundle: the picture, each cut point offered, the device alone."""
    return [IMAGE, *bundle.cut_points, DEVICE]


def works_by_place(bundle: Bundle) -> tuple[list[Sequence[OperatorWork]], list[Sequence[OperatorWork]]]:
    """Return the operators of the head and of the tail at every place of a bundle; branches to exits do not count."""
    graph = Graph.read(bundle.model_path, outputs=bundle.finals)
    splits = splits_of(bundle)
    heads = [() if s == IMAGE else works(graph, None, None if s == DEVICE else [s]) for s in splits]
    tails = [() if s == DEVICE else works(graph, None if s == IMAGE else [s], None) for s in splits]
    return list(heads), list(tails)
