"""Tests of significance for a few rollouts a side: by permutation, by Fisher, and Holm's correction. Pure.

The permutation test asks: if which side a rollout was on made no difference, how often would chance deal the sides a
difference as large? Statistic: the sum over AFTER's rollouts, which for a given total is the difference of means. Of
bursty counts, it has as much power as ranks, square roots or logarithms have (docs/compare.md),
and its direction is that of the means. Fisher, The Design of Experiments (1935); Good, Permutation, Parametric and
Bootstrap Tests of Hypotheses (2005).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from scipy import special  # not scipy.stats, which takes a second to import

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Distribution = tuple[NDArray[np.int64], NDArray[np.float64]]  # values, and the probability of each

LEVEL = 0.05  # of the primary measure by itself, and of all others together
DRAWS = 19_999  # random permutations where there are too many to go through
_DENSE = 1 << 20  # largest table of sums
_LISTED = 100_000  # most permutations that are listed one by one
_CHUNK = 1 << 22  # numbers at once while drawing


@dataclass(frozen=True, slots=True)
class Block:
    """Rollouts that may change sides among each other. Whole numbers: counts, or `midranks`."""

    before: tuple[int, ...]
    after: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Permuted:
    """What a permutation test says. `p` is two-sided, twice the smaller one-sided; `least_p` is the least possible."""

    p: float
    less_p: float  # how often AFTER's sum would be as small by chance
    more_p: float  # ... as large
    least_p: float
    exact: bool  # all permutations were looked at

    @property
    def direction(self) -> int:
        """Return where AFTER tends to: -1 (less), 1 (more), 0."""
        return (self.more_p < self.less_p) - (self.less_p < self.more_p)


def permuted(blocks: Sequence[Block]) -> Permuted:
    """Test whether AFTER differs from BEFORE. Rollouts change sides only within their block.

    Exact while that is feasible; else by DRAWS random permutations from a fixed seed, with p = (b + 1) / (m + 1),
    which never understates it (Phipson and Smyth 2010).
    """
    blocks = [block for block in blocks if block.before and block.after]
    seen = sum(sum(block.after) for block in blocks)
    least = least_p(blocks)
    known = _distribution(blocks)
    if known is not None:
        sums, chances = known
        less = float(chances[sums <= seen].sum())
        more = float(chances[sums >= seen].sum())
    else:
        drawn = _drawn(blocks)
        less, more = (((drawn <= seen).sum() + 1) / (DRAWS + 1), ((drawn >= seen).sum() + 1) / (DRAWS + 1))
    less, more = min(1.0, float(less)), min(1.0, float(more))
    return Permuted(min(1.0, 2 * min(less, more)), less, more, least, known is not None)


def least_p(blocks: Sequence[Block]) -> float:
    """Return the least two-sided p that so many rollouts can give, whatever they show."""
    ways = math.prod(math.comb(len(b.before) + len(b.after), len(b.after)) for b in blocks)
    return min(1.0, 2 / ways)


def midranks(values: Sequence[float]) -> tuple[int, ...]:
    """Return twice the rank of each value; equal ones share the mean of theirs. Whole numbers, so sums are exact."""
    _, place, counts = np.unique(np.asarray(values, dtype=float), return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return tuple(int(rank) for rank in (2 * ends - counts + 1)[place])


def between_runs_p(before: Sequence[float], after: Sequence[float]) -> float:
    """Return the two-sided p of Student's t test on the means of whole runs, on a log scale (log of 1 + mean).

    It is asked where a side has too few runs to permute them, as it knows how much runs of one side differ. Pooled
    variance; 1.0 where neither side has two runs.
    """
    x, y = (np.log1p(np.asarray(side, dtype=float)) for side in (before, after))
    freedom = len(x) + len(y) - 2
    if freedom < 1 or not len(x) or not len(y):
        return 1.0
    squares = float(((x - x.mean()) ** 2).sum() + ((y - y.mean()) ** 2).sum())
    spread = math.sqrt(squares / freedom * (1 / len(x) + 1 / len(y)))
    apart = abs(float(x.mean() - y.mean()))
    if not spread:
        return 0.0 if apart else 1.0
    return float(2 * special.stdtr(freedom, -apart / spread))


def holm(ps: Sequence[float]) -> tuple[float, ...]:
    """Correct several p values so that any false alarm among them has at most the level (Holm 1979)."""
    order = sorted(range(len(ps)), key=lambda at: ps[at])
    found, largest = [0.0] * len(ps), 0.0
    for place, at in enumerate(order):
        largest = max(largest, min(1.0, (len(ps) - place) * ps[at]))
        found[at] = largest
    return tuple(found)


def _distribution(blocks: Sequence[Block]) -> Distribution | None:
    """Return the sum over AFTER under all permutations; None if there are too many to go through."""
    sums: NDArray[np.int64] = np.zeros(1, dtype=np.int64)
    chances: NDArray[np.float64] = np.ones(1)
    for block in blocks:
        one = _of_a_block(block)
        if one is None or len(one[0]) * len(sums) > _DENSE:
            return None
        every = (sums[:, None] + one[0]).ravel()
        sums, place = np.unique(every, return_inverse=True)
        weights = (chances[:, None] * one[1]).ravel()
        chances = np.bincount(place, weights=weights, minlength=len(sums)).astype(np.float64)
    return sums, chances


def _of_a_block(block: Block) -> Distribution | None:
    values, size = (*block.before, *block.after), len(block.after)
    least = min(values)
    shifted = [value - least for value in values]  # the fewer sums, the smaller the table
    ways = math.comb(len(values), size)
    largest = sum(sorted(shifted)[-size:]) + 1
    if largest * (size + 1) <= _DENSE:
        table = np.zeros((size + 1, largest))
        table[0, 0] = 1.0
        for value in shifted:
            if value < largest:
                moved = table[:-1, : largest - value]
                table[1:, value:] += moved.copy()
        sums = np.flatnonzero(table[size])
        return sums + least * size, table[size][sums] / ways
    if ways > _LISTED:
        return None
    chosen = np.array(list(combinations(shifted, size)), dtype=np.int64).sum(axis=1)
    sums, counts = np.unique(chosen, return_counts=True)
    return sums + least * size, counts / ways


def _drawn(blocks: Sequence[Block]) -> NDArray[np.int64]:
    rng = np.random.default_rng(20_261_130)
    total = np.zeros(DRAWS, dtype=np.int64)
    for block in blocks:
        values, size = np.array((*block.before, *block.after), dtype=np.int64), len(block.after)
        rows = max(1, _CHUNK // len(values))
        for start in range(0, DRAWS, rows):
            stop = min(DRAWS, start + rows)
            keys = rng.random((stop - start, len(values)))
            chosen = np.argpartition(keys, size - 1, axis=1)[:, :size]
            total[start:stop] += values[chosen].sum(axis=1)
    return total
