"""How many rollouts it takes: the power of the permutation test, by simulation of rollouts like those that were seen.

A rollout's losses are taken as negative binomial (a Poisson whose rate varies from rollout to rollout as a gamma of
shape k): the smaller k, the burstier. The seed is fixed. The tests confirm with the exact
test what is promised here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from harness.judge.comparison.significance.exact import LEVEL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

POWER = 0.8  # of the number of rollouts that a conclusion asks for
USUAL_K = 0.5  # assumed where no rollout that lost something is known: bursty (docs/compare.md)
MOST = 100  # rollouts a side; more is no plan for a cluster
LEAST_K, MOST_K = 0.1, 50.0
_TRIES, _DEALS = 400, 799
_SIZES = (4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 20, 23, 26, 30, 35, 40, 50, 60, 70, 85, MOST)


@dataclass(frozen=True, slots=True)
class Losses:
    """What the rollouts of one side lose: requests a rollout on average, and the shape of their bursts."""

    mean: float
    k: float


def losses_of(sides: Sequence[Sequence[int]]) -> tuple[Losses, ...]:
    """Return what each side loses, with one k for all, by the method of moments; USUAL_K where nothing tells it.

    Var = mean + mean^2 / k (Anscombe 1949), pooled over the sides that lost something and have two rollouts.
    """
    excess, squares, freedom = 0.0, 0.0, 0
    for side in sides:
        counts = np.asarray(side, dtype=float)
        if len(counts) < 2 or not counts.any():
            continue
        mean = float(counts.mean())
        excess += (len(counts) - 1) * (float(counts.var(ddof=1)) - mean)
        squares += (len(counts) - 1) * mean**2
        freedom += len(counts) - 1
    k = USUAL_K  # fewer tell nothing about how bursty they are
    if freedom >= 3:
        k = MOST_K if excess <= 0 else min(MOST_K, max(LEAST_K, squares / excess))
    return tuple(Losses(sum(side) / len(side) if side else 0.0, k) for side in sides)


def power(before: Losses, after: Losses, rollouts: int, level: float = LEVEL) -> float:
    """Return how often `rollouts` a side show the difference, two-sided at `level`."""
    if 2 / math.comb(2 * rollouts, rollouts) > level:
        return 0.0
    rng = np.random.default_rng(rollouts)
    values = np.hstack([_drawn(rng, side, (_TRIES, rollouts)) for side in (before, after)]).astype(float)
    seen = values[:, rollouts:].sum(axis=1)[:, None]
    sums = values @ _deals(rollouts)
    less, more = ((sums <= seen).mean(axis=1), (sums >= seen).mean(axis=1))
    return float((2 * np.minimum(less, more) <= level).mean())


def rollouts_needed(
    before: Losses, after: Losses, *, wanted: float = POWER, level: float = LEVEL, least: int = 0
) -> int | None:
    """Return the fewest rollouts a side, over `least`, that show the difference with the power `wanted`.

    None if not even MOST would.
    """
    sizes = [size for size in _SIZES if size > least]
    if not sizes or before.mean == after.mean or power(before, after, MOST, level) < wanted:
        return None
    low, high = 0, len(sizes) - 1
    while low < high:
        middle = (low + high) // 2
        if power(before, after, sizes[middle], level) >= wanted:
            high = middle
        else:
            low = middle + 1
    return sizes[high]


def _drawn(rng: np.random.Generator, side: Losses, size: tuple[int, int]) -> NDArray[np.int64]:
    return rng.poisson(rng.gamma(side.k, 1 / side.k, size) * side.mean)


@cache
def _deals(rollouts: int) -> NDArray[np.float64]:
    """Return the permutations to compare with, one a column: 1 for those dealt to AFTER. The first is the real one."""
    rng = np.random.default_rng(rollouts)
    keys = rng.random((2 * rollouts, _DEALS))
    keys[:, 0] = np.arange(2 * rollouts)[::-1]
    order = np.argsort(keys, axis=0)
    dealt = np.zeros((2 * rollouts, _DEALS))
    np.put_along_axis(dealt, order[:rollouts], 1.0, axis=0)
    return dealt
