"""What a few rollouts can tell: exact tests on whole rollouts, and the bound that clean ones support. Pure.

The unit is the rollout, or the run, never the request. Standard library only: a list of runs asks it, too.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

CONFIDENCE = 0.95  # of every bound
DIFFERENT = 0.05  # two groups of rollouts are different below this p


def clean_runs_bound(runs: int) -> float:
    """Return the upper 95 % bound on the share of rollouts that lose something, after `runs` that lost nothing."""
    return 1.0 if runs <= 0 else 1 - (1 - CONFIDENCE) ** (1 / runs)


def shares_p(bad: int, of: int, others_bad: int, of_others: int) -> float:
    """Return the two-sided p of Fisher's exact test: are `bad` of `of` and `others_bad` of `of_others` alike?"""
    all_bad, total = bad + others_bad, of + of_others
    # Whole numbers, so that tables equally likely are found to be so.
    ways = [math.comb(of, n) * math.comb(of_others, all_bad - n) for n in range(all_bad + 1)]
    return sum(way for way in ways if way <= ways[bad]) / math.comb(total, all_bad)


def least_p(runs: int, others: int) -> float:
    """Return the least two-sided p that `runs` against `others` can give: all of the ones bad, none of the others."""
    return shares_p(runs, runs, 0, others)


def trend_p(values: Sequence[float]) -> tuple[int, float]:
    """Return the direction of a series (1: it rises, -1: it falls, 0) and the two-sided p of the Mann-Kendall test.

    The p is exact for values without ties, by the number of permutations with so many inversions; ties, which move the
    score less, make it larger. Mann, Econometrica 13 (1945); Kendall, Biometrika 30 (1938).
    """
    n = len(values)
    score = sum(
        (later > earlier) - (later < earlier)
        for at, earlier in enumerate(values)
        for later in values[at + 1 :]
    )
    if not score:
        return 0, 1.0
    shares = [1.0]  # of the permutations of the first k values, by inversions
    for k in range(2, n + 1):
        longer = [0.0] * (len(shares) + k - 1)
        for inversions, part in enumerate(shares):
            for more in range(k):
                longer[inversions + more] += part / k
        shares = longer
    fewest = (n * (n - 1) // 2 - abs(score)) // 2  # inversions of a series that rises as much
    return (1 if score > 0 else -1), min(1.0, 2 * math.fsum(shares[: fewest + 1]))
