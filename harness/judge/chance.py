"""What chance alone would do. Exact tests on counts, and the bounds that a clean run supports."""

from __future__ import annotations

import math

from scipy import special  # not scipy.stats, which takes a second to import

LEVEL = 0.01  # of the test "failed because of the rollout"
CONFIDENCE = 0.95  # of every bound
DIFFERENT = 0.05  # two groups of rollouts are different below this p


def rate_p(seen: int, length_ns: int, before: int, before_ns: int) -> float:
    """Return how likely at least `seen` events in `length_ns` are at the rate of `before` in `before_ns`.

    One-sided exact test of two Poisson rates: given the total, `seen` is binomial.
    """
    if seen <= 0:
        return 1.0
    odds = length_ns / (length_ns + before_ns)
    return float(special.betainc(seen, before + 1, odds))


def more(seen: int, length_ns: int, before: int, before_ns: int) -> bool:
    """Tell whether there is more than before: any at all when there was none, else beyond chance at LEVEL."""
    if seen <= 0 or length_ns <= 0:
        return False
    if before <= 0 or before_ns <= 0:
        return True
    return rate_p(seen, length_ns, before, before_ns) < LEVEL


def upper_share(failed: int, total: int) -> float:
    """Return the upper 95 % bound (one-sided, Clopper-Pearson) on a share of which `failed` of `total` was seen."""
    if total <= 0 or failed >= total:
        return 1.0
    return float(special.betaincinv(failed + 1, total - failed, CONFIDENCE))


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
