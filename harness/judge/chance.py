"""What chance alone would do. Exact tests on counts, and the bounds that a clean run supports."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import special  # not scipy.stats, which takes a second to import

from harness.judge.odds import CONFIDENCE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

DISPERSED = 0.05  # failures come in bursts when even spreading gives what was seen this rarely
# How readily a burst is taken for background before any burst was seen: the first parameter of a Beta(BURSTY, 1) prior
# on the chance that a failure is followed by another one. Tuned by simulation (tests/judge/test_background.py).
BURSTY = 0.25
_LEAST_BLOCKS = 4


def share_p(seen: float, of: float, before: float, of_before: float) -> float:
    """Return how likely `seen` or more failures among `of` hits are at the share of `before` among `of_before`.

    One-sided conditional exact test of two Poisson rates (Przyborowski and Wilenski 1940): given the total, `seen` is
    binomial. Counts may be fractions, for failures that were divided by their dispersion.
    """
    if seen <= 0:
        return 1.0
    if of <= 0 or of_before <= 0:
        return 0.0 if of_before <= 0 else 1.0
    return float(special.betainc(seen, before + 1, of / (of + of_before)))


def burst_p(largest: int, total: int, window: float) -> float:
    """Return how likely `largest` or more of `total` points fall into one window, anywhere, if spread evenly.

    `window` is its share of the whole stretch. Conditional scan statistic by the approximation of Wallenstein and Neff
    (1987, Statistics in Medicine 6:197), which is close for small p; 1.0 where it does not hold.
    """
    if largest < 2 or largest > total or not 0 < window < 0.5 or largest / window <= total + 1:
        return 1.0
    rest = total - largest
    log_exact = (
        special.gammaln(total + 1) - special.gammaln(largest + 1) - special.gammaln(rest + 1)
        + largest * math.log(window) + rest * math.log1p(-window)
    )  # fmt: skip
    beyond = float(special.bdtrc(largest, total, window)) if rest else 0.0
    return min(1.0, (largest / window - total - 1) * math.exp(log_exact) + 2 * beyond)


def larger_burst_p(largest: int, sizes: Sequence[int], bursts: int) -> float:
    """Return how likely one of `bursts` bursts is of `largest` or more, given the `sizes` that were seen before.

    Sizes are taken as geometric (exact for points that are spread evenly, and linked where they are close), their
    parameter as unknown: the predictive distribution under a Beta(BURSTY, 1) prior.
    """
    if largest < 2 or bursts <= 0:
        return 1.0
    followed = sum(sizes) - len(sizes)
    log_one = special.betaln(BURSTY + followed + largest - 1, 1 + len(sizes))
    one = math.exp(log_one - special.betaln(BURSTY + followed, 1 + len(sizes)))
    return -math.expm1(bursts * math.log1p(-min(one, 1 - 1e-12)))


def dispersion(stretches: Iterable[tuple[NDArray[np.int64], int, int]], block_ns: int) -> float:
    """Return how much more the counts of blocks vary within each stretch than those of a Poisson process: 1.0 or more.

    Each stretch is its points, sorted, its beginning and its end. Pearson's chi-squared over its degrees of freedom;
    1.0 unless that is more than chance at DISPERSED.
    """
    squares, freedom = 0.0, 0
    for points, from_ns, to_ns in stretches:
        if not len(points):
            continue
        blocks = max(_LEAST_BLOCKS, (to_ns - from_ns) // block_ns)
        counts, _ = np.histogram(points, bins=blocks, range=(from_ns, to_ns))
        squares += float(((counts - counts.mean()) ** 2).sum() / counts.mean())
        freedom += blocks - 1
    if not freedom or special.chdtrc(freedom, squares) >= DISPERSED:
        return 1.0
    return max(1.0, squares / freedom)


def upper_share(failed: int, total: int) -> float:
    """Return the upper 95 % bound (one-sided, Clopper-Pearson) on a share of which `failed` of `total` was seen."""
    if total <= 0 or failed >= total:
        return 1.0
    return float(special.betaincinv(failed + 1, total - failed, CONFIDENCE))
