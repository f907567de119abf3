"""What chance alone would do. Exact tests on counts, and the bounds that a clean run supports."""

from __future__ import annotations

import math

from scipy import special  # not scipy.stats, which takes a second to import

LEVEL = 0.01  # of the test "failed because of the rollout"
CONFIDENCE = 0.95  # of every bound


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


def least_p(runs: int) -> float:
    """Return the least two-sided p that `runs` against `runs` can give in an exact permutation test."""
    return min(1.0, 2 / math.comb(2 * runs, runs))
