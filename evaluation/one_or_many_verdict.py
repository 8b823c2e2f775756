"""Whether one exit beats many here, said only where the difference is more than chance."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from evaluation.one_or_many import Row
from evaluation.one_or_many_report import PLACES, THRESHOLD

_ERRORS: Final = 2.0
"""Standard errors of a difference that are chance, at about 95 %."""


@dataclass(frozen=True)
class _Measure:
    """One figure of a row, the text behind it, and its sign: 1 where more is better."""

    name: str
    text: str
    sign: int
    error: Callable[[Row], float]
    """Its standard error from so many pictures; that of the times themselves is not known from one run."""


def _share_error(row: Row) -> float:
    share = row.exited / row.pictures
    return math.sqrt(share * (1 - share) / row.pictures)


def _accuracy_error(row: Row) -> float:
    right = row.overall_accuracy / 100
    return 100 * math.sqrt(right * (1 - right) / row.pictures)


_MEASURES: Final = (
    _Measure("exited", "pictures that leave early", 1, lambda row: row.pictures * _share_error(row)),
    _Measure("overall_accuracy", "% right overall", 1, _accuracy_error),
    _Measure("overall_ms", "ms a picture", -1, lambda row: (row.cloud_ms - row.edge_ms) * _share_error(row)),
)


def verdict(rows: Sequence[Row], threshold: float = THRESHOLD) -> list[str]:
    """Return in words at which places one exit beats many, many beat one, and neither does.

    Of several seeds a difference counts where the figures of one side all lie above those of the other; of one seed
    where it is over two standard errors of so many pictures.
    """
    return [line for measure in _MEASURES for line in _said(measure, rows, threshold)]


def _said(measure: _Measure, rows: Sequence[Row], threshold: float) -> Iterator[str]:
    pairs = {place: tuple(_rows(rows, kind, place, threshold) for kind in ("SEM", "MEM")) for place in PLACES}
    known = {place: (one, many) for place, (one, many) in pairs.items() if one and many}
    if not known:
        return
    signs = {place: measure.sign * _difference(measure, *both) for place, both in known.items()}
    seeds = min(len(side) for both in known.values() for side in both)
    chance = "the spread of the seeds" if seeds > 1 else "two standard errors of so many pictures"
    found = [[place for place, sign in signs.items() if sign == wanted] for wanted in (1, -1, 0)]
    one, many, neither = (f"{len(places)}{_named(places)}" for places in found)
    run = f"{seeds} seeds" if seeds > 1 else "one seed"
    yield (
        f"T = {threshold:g}, {run}, {measure.text}: of {len(known)} places one exit is better at {one}, many at {many}, "
        f"within {chance} are {neither}"
    )


def _named(places: Sequence[int]) -> str:
    return f" ({', '.join(map(str, places))})" if places else ""


def _rows(rows: Sequence[Row], kind: str, place: int, threshold: float) -> list[Row]:
    return [row for row in rows if (row.kind, row.exit, row.threshold) == (kind, place, threshold)]


def _difference(measure: _Measure, one: Sequence[Row], many: Sequence[Row]) -> int:
    """Return 1 where the figure of one exit is larger beyond chance, -1 where that of many is, else 0."""
    values, others = ([float(getattr(row, measure.name)) for row in side] for side in (one, many))
    if min(len(values), len(others)) > 1:
        return (min(values) > max(others)) - (max(values) < min(others))
    error = math.hypot(*(math.sqrt(statistics.fmean(measure.error(row) ** 2 for row in side)) for side in (one, many)))
    gap = statistics.fmean(values) - statistics.fmean(others)
    return (gap > _ERRORS * error) - (gap < -_ERRORS * error)
