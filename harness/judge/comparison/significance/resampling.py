"""How sure a difference is: intervals by resampling whole rollouts (or whole runs), never requests. Pure.

The percentile bootstrap (Efron 1979), expanded for few rollouts as Hesterberg proposes (What Teachers Should Know
about the Bootstrap, 2014, section 6): the percentiles are those of Student's t, over sqrt(n / (n - 1)). Of strongly
bursty counts and six rollouts a side, a 95 % interval holds the truth in about 9 of 10 cases
(the tests count it); whether there is a difference at all is the permutation test's to say.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from harness.judge.odds import CONFIDENCE

if TYPE_CHECKING:
    from numpy.typing import NDArray

DRAWS = 4_999

Clusters = tuple[
    tuple[float, ...], ...
]  # the values of one side; those that are drawn together stand together


def difference_interval(before: Clusters, after: Clusters, *, median: bool) -> tuple[float, float] | None:
    """Return the 95 % interval of AFTER's mean (or median) minus BEFORE's; None where a side has fewer than two.

    None, too, where no side varies: that so few were alike says nothing about the next one.
    """
    if min(len(before), len(after)) < 2:
        return None
    if all(len({value for cluster in side for value in cluster}) == 1 for side in (before, after)):
        return None
    rng = np.random.default_rng(20_261_130)
    drawn = _drawn(after, rng, median=median) - _drawn(before, rng, median=median)
    tail = _tail(min(len(before), len(after)), len(before) + len(after) - 2)
    low, high = np.quantile(drawn, (tail, 1 - tail))
    return float(low), float(high)


def mean_interval(side: Clusters) -> tuple[float, float] | None:
    """Return the 95 % interval of one side's mean; None with fewer than three, or where none differs."""
    if len(side) < 3 or len({value for cluster in side for value in cluster}) == 1:
        return None
    drawn = _drawn(side, np.random.default_rng(20_261_130), median=False)
    tail = _tail(len(side), len(side) - 1)
    low, high = np.quantile(drawn, (tail, 1 - tail))
    return float(low), float(high)


def _tail(fewest: int, freedom: int) -> float:
    wide = math.sqrt(fewest / (fewest - 1))
    return float(special.ndtr(wide * special.stdtrit(freedom, (1 - CONFIDENCE) / 2)))


def _drawn(side: Clusters, rng: np.random.Generator, *, median: bool) -> NDArray[np.float64]:
    chosen = rng.integers(len(side), size=(DRAWS, len(side)))
    sizes = np.array([len(cluster) for cluster in side])
    if not median:
        sums = np.array([math.fsum(cluster) for cluster in side])
        means: NDArray[np.float64] = sums[chosen].sum(axis=1) / sizes[chosen].sum(axis=1)
        return means
    if (sizes == sizes[0]).all():
        values = np.array(side)[chosen].reshape(DRAWS, -1)
        medians: NDArray[np.float64] = np.median(values, axis=1)
        return medians
    return np.array([np.median([value for at in row for value in side[at]]) for row in chosen])
