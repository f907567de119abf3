"""Intervals by resampling whole rollouts."""

from __future__ import annotations

import numpy as np
import pytest

from harness.judge.comparison.significance.resampling import difference_interval
from tests.judge.comparison.significance.known import bursty


def alone(values: object) -> tuple[tuple[float, ...], ...]:
    return tuple((float(value),) for value in np.asarray(values).ravel())


@pytest.mark.parametrize("median", [False, True])
def test_the_interval_holds_the_difference_that_was_seen(*, median: bool) -> None:
    low, high = difference_interval(alone([1, 2, 3, 4]), alone([11, 12, 13, 14]), median=median) or (0, 0)
    assert low < 10 < high
    assert 5 < low < high < 15


def test_one_rollout_or_rollouts_all_alike_have_no_interval() -> None:
    assert difference_interval(alone([5]), alone([1, 2]), median=False) is None
    assert difference_interval(alone([0] * 6), alone([0] * 6), median=False) is None


def test_the_same_rollouts_have_the_same_interval() -> None:
    sides = alone([3, 9, 27]), alone([1, 1, 2])
    assert difference_interval(*sides, median=False) == difference_interval(*sides, median=False)


def test_rollouts_of_one_run_are_drawn_together() -> None:
    runs = ((0.0,) * 3, (30.0,) * 3) * 2, ((0.0,) * 3, (0.0, 0.0, 1.0)) * 2
    single = tuple(tuple((value,) for run in side for value in run) for side in runs)
    together, apart = (difference_interval(*sides, median=False) for sides in (runs, single))
    assert together is not None
    assert apart is not None
    assert together[1] - together[0] > 1.3 * (apart[1] - apart[0])


def test_the_median_of_runs_of_unequal_size_is_taken_over_their_rollouts() -> None:
    found = difference_interval(((1.0, 2.0), (3.0,)), ((11.0,), (12.0, 13.0)), median=True)
    assert found is not None
    assert found[0] < 10 < found[1]


@pytest.mark.parametrize(("k", "least"), [(50.0, 0.93), (2.0, 0.91), (0.5, 0.87)])
def test_six_rollouts_a_side_hold_the_truth_about_as_often_as_they_say(k: float, least: float) -> None:
    rng = np.random.default_rng(11)
    held, tries = 0, 300
    for _ in range(tries):
        found = difference_interval(
            alone(bursty(rng, 40, k, (6,))), alone(bursty(rng, 20, k, (6,))), median=False
        )
        held += found is None or found[0] <= -20 <= found[1]
    assert held / tries >= least
