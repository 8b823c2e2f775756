"""Latency by operator type: a regression of measured times on what the operators have to do. Pure.

Neurosurgeon's way (Kang et al. 2017, section 5.1): a device is profiled once with some networks, and others are
predicted from their files alone. Kinder to the figures than theirs: nothing is below 0, so that more work never takes
less time; what is fitted are whole parts of networks, because a part of one operator pays for being handed its input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from models.operators import OperatorWork
from planning.errors import PlanError

Row = tuple[Sequence[OperatorWork], float]
"""The operators of a part that ran, and the seconds that it took."""
_ANY: Final = "any"
"""All types taken together: stands for one that was never measured."""


@dataclass(frozen=True)
class Rate:
    """What an operator of one type takes, in seconds: for each multiply-add, and for each byte."""

    madd_s: float
    byte_s: float


@dataclass(frozen=True)
class OperatorTimes:
    """A rate for each type of operator, and what every operator and every run of a part takes besides."""

    rates: Mapping[str, Rate]
    other: Rate
    """For types that were not among what was measured."""
    operator_s: float
    run_s: float

    def seconds(self, works: Sequence[OperatorWork]) -> float:
        """Return what a part with these operators takes; a part without any is not run."""
        return self.run_s + sum(self._one(work) for work in works) if works else 0.0

    def _one(self, work: OperatorWork) -> float:
        rate = self.rates.get(work.kind, self.other)
        return self.operator_s + work.madds * rate.madd_s + work.bytes * rate.byte_s


def fit_operator_times(rows: Sequence[Row]) -> OperatorTimes:
    """Return the rates, none below 0, with the least squared relative error on measured parts.

    Relative, because parts differ a thousandfold in time, and the short ones would not count else. Raises: PlanError.
    """
    rows = [row for row in rows if row[0]]
    if not rows or any(not 0 < seconds < float("inf") for _, seconds in rows):
        raise PlanError(f"got {len(rows)} measured parts, expected some with times over 0; profile a network first")
    found = _fit(rows)
    pooled = _fit([([replace(work, kind=_ANY) for work in works], seconds) for works, seconds in rows])
    return replace(found, other=pooled.other)


def _fit(rows: Sequence[Row]) -> OperatorTimes:
    kinds = sorted({work.kind for works, _ in rows for work in works})
    place = {kind: 2 + 2 * number for number, kind in enumerate(kinds)}
    table = np.zeros((len(rows), 2 + 2 * len(kinds)))
    for line, (works, _) in zip(table, rows, strict=True):
        line[:2] = 1, len(works)
        for work in works:
            line[place[work.kind] : place[work.kind] + 2] += work.madds, work.bytes
    table /= np.array([[seconds] for _, seconds in rows])
    scale = np.maximum(table.max(axis=0), np.finfo(float).tiny)
    run_s, operator_s, *rates = map(float, non_negative_least_squares(table / scale, np.ones(len(rows))) / scale)
    by_kind = {kind: Rate(*rates[start - 2 : start]) for kind, start in place.items()}
    return OperatorTimes(by_kind, next(iter(by_kind.values())), operator_s, run_s)


def non_negative_least_squares(table: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return x >= 0 with the least squared distance of table @ x to what is wanted.

    Source: Lawson and Hanson 1974, Solving Least Squares Problems, chapter 23, algorithm NNLS.
    """
    count = table.shape[1]
    found, used = np.zeros(count), np.zeros(count, dtype=bool)
    for _ in range(10 * count):
        pull = table.T @ (wanted - table @ found)
        pull[used] = -np.inf
        if used.all() or pull.max() <= 1e-10 * len(wanted):
            break
        used[int(np.argmax(pull))] = True
        trial = _solved(table, wanted, used)
        while trial[used].min() <= 0:
            low = used & (trial <= 0)
            step = (found[low] / np.maximum(found[low] - trial[low], np.finfo(float).tiny)).min()
            found += step * (trial - found)
            used &= found > 1e-14
            found[~used] = 0
            if not used.any():
                return found
            trial = _solved(table, wanted, used)
        found = trial
    return found


def _solved(table: np.ndarray, wanted: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Return the least squares solution with only some columns in use."""
    solution = np.zeros(table.shape[1])
    solution[used] = np.linalg.lstsq(table[:, used], wanted, rcond=None)[0]
    return solution
