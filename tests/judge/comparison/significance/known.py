"""Rollouts of services whose truth is known: how many requests each loses is drawn, nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def bursty(
    rng: np.random.Generator, mean: NDArray[np.float64] | float, k: float, size: tuple[int, ...]
) -> NDArray[np.int64]:
    """Negative binomial counts: Poisson, with a rate that varies as a gamma of shape k. The smaller k, the burstier."""
    return rng.poisson(rng.gamma(k, 1 / k, size) * mean)


def nights(
    rng: np.random.Generator, spread: float, of: int, nights_: int, rollouts: int
) -> NDArray[np.float64]:
    """Factors on the rate, by (of, night, rollout): each night has one of its own, of mean 1."""
    factor = np.exp(rng.normal(-(spread**2) / 2, spread, (of, nights_, 1)))
    return np.broadcast_to(factor, (of, nights_, rollouts))


def ints(values: NDArray[np.int64]) -> tuple[int, ...]:
    return tuple(int(value) for value in values.ravel())
