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
    """Its standard error from so many pictures."""
    timed: bool = False
    """Whether it also depends on times, whose spread one run does not tell."""


def _share_error(row: Row) -> float:
    share = row.exited / row.pictures
    return math.sqrt(share * (1 - share) / row.pictures)


def _accuracy_error(row: Row) -> float:
    right = row.overall_accuracy / 100
    return 100 * math.sqrt(right * (1 - right) / row.pictures)


_MEASURES: Final = (
    _Measure("exited", "pictures that leave early", 1, lambda row: row.pictures * _share_error(row)),
    _Measure("overall_accuracy", "% right overall", 1, _accuracy_error),
    _Measure("overall_ms", "ms a picture", -1, lambda row: (row.cloud_ms - row.edge_ms) * _share_error(row), True),
)


def verdict(rows: Sequence[Row], threshold: float = THRESHOLD) -> list[str]:
    """Return in words at which places one exit beats many, many beat one, and neither does.

    A difference counts where it is over two standard errors of so many pictures and two standard deviations of the
    seeds, together.
    """
    return [line for measure in _MEASURES for line in _said(measure, rows, threshold)]


def _said(measure: _Measure, rows: Sequence[Row], threshold: float) -> Iterator[str]:
    pairs = {place: tuple(_rows(rows, kind, place, threshold) for kind in ("SEM", "MEM")) for place in PLACES}
    known = {place: (one, many) for place, (one, many) in pairs.items() if one and many}
    if not known:
        return
    signs = {place: measure.sign * _difference(measure, *both) for place, both in known.items()}
    seeds = sorted({len(side) for both in known.values() for side in both})
    run = f"T = {threshold:g}, {_counted(seeds)}, {measure.text}"
    if seeds[0] == 1 and measure.timed:
        yield f"{run}: not compared, the times of one run have no spread; give the bundles of more seeds"
        return
    chance = "chance (two standard errors of so many pictures)" if seeds == [1] else "chance or the spread of the seeds"
    found = [[place for place, sign in signs.items() if sign == wanted] for wanted in (1, -1, 0)]
    one, many, neither = (f"{len(places)}{_named(places)}" for places in found)
    yield f"{run}: of {len(known)} places one exit is better at {one}, many at {many}, within {chance} are {neither}"


def _counted(seeds: Sequence[int]) -> str:
    """Return how many seeds stand behind the networks, in words."""
    if list(seeds) == [1]:
        return "one seed"
    return f"{seeds[0]} to {seeds[-1]} seeds" if len(seeds) > 1 else f"{seeds[0]} seeds"


def _named(places: Sequence[int]) -> str:
    return f" ({', '.join(map(str, places))})" if places else ""


def _rows(rows: Sequence[Row], kind: str, place: int, threshold: float) -> list[Row]:
    return [row for row in rows if (row.kind, row.exit, row.threshold) == (kind, place, threshold)]


def _difference(measure: _Measure, one: Sequence[Row], many: Sequence[Row]) -> int:
    """Return 1 where the figure of one exit is larger beyond chance, -1 where that of many is, else 0."""
    gap = _mean(measure, one) - _mean(measure, many)
    return (
        int(math.copysign(1, gap))
        if abs(gap) > _ERRORS * math.hypot(_error(measure, one), _error(measure, many))
        else 0
    )


def _mean(measure: _Measure, rows: Sequence[Row]) -> float:
    return statistics.fmean(float(getattr(row, measure.name)) for row in rows)


def _error(measure: _Measure, rows: Sequence[Row]) -> float:
    """Return the standard error of one seed's pictures and the standard deviation of the seeds, together."""
    values = [float(getattr(row, measure.name)) for row in rows]
    pictures = math.sqrt(statistics.fmean(measure.error(row) ** 2 for row in rows))
    return math.hypot(pictures, statistics.stdev(values) if len(values) > 1 else 0.0)
