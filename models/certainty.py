"""How far a measured figure may be trusted: a bound that holds for any number of pictures, calibrated confidence."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from models.tasks import tempered

_MOST_STAKED: Final = 0.9
_TEMPERATURES: Final = (1.0, *np.exp(np.linspace(math.log(0.2), math.log(10.0), 80)))
"""1 first: where no other is better, nothing is changed."""
_LEAST: Final = 1e-12


def bet(losses: np.ndarray, bound: float) -> float:
    """Return a p-value of "the mean loss is over the bound", for (n,) losses of -1, 0 or 1 in random order.

    Money is put on each loss being under the bound, as much as the ones before it advise. Were the mean over the bound,
    the money would ever grow k times with a chance of at most 1/k: one over its largest growth is the p-value. It holds
    for any n and assumes no distribution. Source: Waudby-Smith and Ramdas 2024, Estimating means of bounded random
    variables by betting, sections 4.2 and 4.3.
    """
    return math.exp(-max(0.0, float(_money(losses, bound).max()))) if len(losses) else 1.0


def _money(losses: np.ndarray, bound: float) -> np.ndarray:
    """Return the logarithm of the money after each of (n,) losses."""
    places = np.arange(1, len(losses) + 1)
    means = _sums_before(losses) / places
    variances = (0.25 + _sums_before((losses - means) ** 2)) / places
    stakes = np.clip((bound - means) / np.maximum(variances + (bound - means) ** 2, _LEAST), 0.0, _MOST_STAKED)
    return np.cumsum(np.log1p(stakes * (bound - losses)))


def least_pictures(bound: float, confidence: float) -> int:
    """Return how many pictures a statement takes at least: so many where not one is lost."""
    if confidence <= 0:
        return 1
    count = math.ceil(math.log(1 / max(_LEAST, 1 - confidence)) / math.log1p(_MOST_STAKED * bound))
    while (money := _money(np.zeros(count), bound))[-1] < math.log(1 / max(_LEAST, 1 - confidence)):
        count *= 2
    return int(np.searchsorted(money, math.log(1 / max(_LEAST, 1 - confidence)))) + 1


def temperature(scores: np.ndarray, truth: np.ndarray) -> float:
    """Return what logits are divided by so that the truth becomes most likely, from 0.2 to 10.

    `scores` is (n, labels) probabilities, `truth` (n,) with -1 where not known. Source: Guo et al. 2017, section 4.2.
    """
    known = np.flatnonzero(truth >= 0)
    if not len(known):
        return 1.0
    wanted = (known, truth[known])
    surprise = [-np.log(np.maximum(tempered(scores, float(t))[wanted], _LEAST)).mean() for t in _TEMPERATURES]
    return round(float(_TEMPERATURES[int(np.argmin(surprise))]), 3)


def calibration_error(scores: np.ndarray, truth: np.ndarray, bins: int = 15) -> float:
    """Return the expected calibration error: how far confidence and accuracy are apart, over bins of confidence.

    `scores` is (n, labels) probabilities, `truth` (n,) with -1 where not known. Source: Guo et al. 2017, equation 3.
    """
    known = truth >= 0
    if not known.any():
        return 0.0
    confidence, right = scores[known].max(axis=1), scores[known].argmax(axis=1) == truth[known]
    places = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(places, weights=right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))


def _sums_before(values: np.ndarray) -> np.ndarray:
    return np.concatenate([[0.0], np.cumsum(values)[:-1]])
