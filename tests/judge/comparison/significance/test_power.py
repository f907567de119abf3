"""Checked on known truths: how often equals are called different, and whether a difference is seen as promised.

Rollouts are drawn from services whose truth is known: bursts within a rollout, nights that differ, and rollouts of one
night that are alike. The bounds leave room for the chance of the simulation itself: three standard errors.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import special

from harness.judge.comparison.significance.design import Point, Unit, measured, unit_of
from harness.judge.comparison.significance.exact import LEVEL, Block, permuted
from harness.judge.comparison.significance.power import (
    MOST,
    USUAL_K,
    Losses,
    losses_of,
    power,
    rollouts_needed,
)
from tests.judge.comparison.significance.known import bursty, ints, nights

if TYPE_CHECKING:
    from numpy.typing import NDArray

TRIES = 300


def at_most(level: float, tries: int = TRIES) -> float:
    return level + 3 * math.sqrt(level * (1 - level) / tries)


def alarms(before: NDArray[np.int64], after: NDArray[np.int64], *, blocks: bool = False) -> float:
    """How often the sides are called different; each (try, run or block, rollout)."""
    found = 0
    for one, two in zip(before, after, strict=True):
        sides = [
            [
                Point(float(value), f"{name}{run}", run + 1 if blocks else 0)
                for run, values in enumerate(side)
                for value in values
            ]
            for name, side in (("a", one), ("b", two))
        ]
        found += measured(sides[0], sides[1], unit_of(sides[0], sides[1]), counts=True).p <= LEVEL
    return found / len(before)


@pytest.mark.parametrize("k", [0.2, 0.5, 2.0])
@pytest.mark.parametrize("rollouts", [4, 6, 12])
def test_equal_services_that_fail_in_bursts_are_called_different_at_most_as_often_as_stated(
    k: float, rollouts: int
) -> None:
    rng = np.random.default_rng(rollouts)
    before, after = (bursty(rng, 7.5, k, (TRIES, 1, rollouts)) for _ in range(2))
    assert alarms(before, after) <= at_most(LEVEL)


def test_a_test_on_pooled_requests_would_call_equals_different_half_of_the_time() -> None:
    """What the unit is for: the same rollouts, as if each lost request were independent of the others."""
    rng = np.random.default_rng(3)
    before, after = (bursty(rng, 7.5, 0.5, (TRIES, 5)).sum(axis=1) for _ in range(2))
    p = 2 * special.bdtr(np.minimum(before, after), before + after, 0.5)  # given their total, binomial
    assert np.mean(p <= LEVEL) > 0.4


@pytest.mark.parametrize("spread", [0.3, 1.0])
@pytest.mark.parametrize(("runs", "rollouts"), [(2, 3), (2, 6), (3, 3), (3, 6), (4, 3), (6, 1)])
def test_nights_that_differ_do_not_make_equal_services_different(
    runs: int, rollouts: int, spread: float
) -> None:
    rng = np.random.default_rng(runs * 10 + rollouts)
    before, after = (
        bursty(rng, 10 * nights(rng, spread, TRIES, runs, rollouts), 1.0, (TRIES, runs, rollouts))
        for _ in range(2)
    )
    assert alarms(before, after) <= at_most(LEVEL)


def test_permuting_the_rollouts_of_nights_that_differ_would() -> None:
    """What the rule about whole runs is for."""
    rng = np.random.default_rng(5)
    before, after = (bursty(rng, 10 * nights(rng, 1.0, TRIES, 3, 6), 1.0, (TRIES, 3, 6)) for _ in range(2))
    called = [permuted([Block(ints(a), ints(b))]).p <= LEVEL for a, b in zip(before, after, strict=True)]
    assert np.mean(called) > 0.15


@pytest.mark.parametrize("trend", [0.0, 3.0])
def test_blocks_dealt_by_chance_stand_drift_and_rollouts_that_are_like_the_one_before(trend: float) -> None:
    rng = np.random.default_rng(7)
    blocks = 6
    drift = np.zeros((TRIES, 2 * blocks))
    for at in range(1, 2 * blocks):  # each rollout's rate is much like that of the one before
        drift[:, at] = 0.9 * drift[:, at - 1] + rng.normal(0, 0.5, TRIES)
    rate = 10 * np.exp(drift + trend * np.linspace(0, 1, 2 * blocks))
    lost = bursty(rng, rate, 1.0, rate.shape).reshape(TRIES, blocks, 2)
    first = rng.random((TRIES, blocks)) < 0.5  # which of a block's two comes first
    before = np.where(first, lost[:, :, 0], lost[:, :, 1])[:, :, None]
    after = np.where(first, lost[:, :, 1], lost[:, :, 0])[:, :, None]
    assert alarms(before, after, blocks=True) <= at_most(LEVEL)


def test_blocks_dealt_by_chance_still_see_a_large_difference() -> None:
    rng = np.random.default_rng(8)
    rate = 40 * nights(rng, 1.0, TRIES, 8, 1)
    assert alarms(bursty(rng, rate, 1.0, rate.shape), np.zeros(rate.shape, dtype=np.int64), blocks=True) > 0.8


def test_what_may_be_permuted_depends_on_how_the_rollouts_were_made() -> None:
    def side(name: str, runs: int, rollouts: int, *, blocks: bool = False) -> list[Point]:
        return [
            Point(0.0, f"{name}{run}", run + 1 if blocks else 0)
            for run in range(runs)
            for _ in range(rollouts)
        ]

    assert unit_of(side("a", 1, 6), side("b", 1, 6)) is Unit.ROLLOUTS
    assert unit_of(side("a", 6, 1), side("b", 5, 1)) is Unit.ROLLOUTS
    assert unit_of(side("a", 2, 6), side("b", 2, 6)) is Unit.BOTH
    assert unit_of(side("a", 5, 2), side("b", 5, 2)) is Unit.RUNS
    assert unit_of(side("a", 1, 6), side("b", 3, 2)) is Unit.BOTH
    assert unit_of(side("a", 6, 1, blocks=True), side("b", 6, 1, blocks=True)) is Unit.BLOCKS


@pytest.mark.parametrize(
    ("before", "after", "k", "wanted"),
    [
        (30, 0, 0.5, 0.9),
        (30, 0, 0.2, 0.9),
        (100, 0, 0.5, 0.9),
        (0, 30, 0.5, 0.9),
        (20, 5, 2.0, 0.8),
        (7.5, 1, 0.5, 0.8),
    ],
)
def test_as_many_rollouts_as_promised_see_the_difference_as_often_as_promised(
    before: float, after: float, k: float, wanted: float
) -> None:
    sides = Losses(before, k), Losses(after, k)
    rollouts = rollouts_needed(*sides, wanted=wanted)
    assert rollouts is not None
    rng = np.random.default_rng(13)
    drawn = [bursty(rng, side.mean, k, (TRIES, 1, rollouts)) for side in sides]
    seen = alarms(*drawn)
    error = math.sqrt(wanted * (1 - wanted) / TRIES)
    assert seen >= wanted - 3 * error
    fewer = [one[:, :, : rollouts // 2] for one in drawn]
    assert alarms(*fewer) < wanted, "half as many would not do"


def test_three_rollouts_a_side_have_no_power_whatever_the_difference() -> None:
    assert power(Losses(1000, 10), Losses(0, 10), 3) == 0.0
    assert power(Losses(1000, 10), Losses(0, 10), 4) == 1.0


def test_no_number_of_rollouts_shows_a_difference_that_is_none_or_too_small() -> None:
    assert rollouts_needed(Losses(5, 0.5), Losses(5, 0.5)) is None
    assert rollouts_needed(Losses(5, 0.2), Losses(4.9, 0.2)) is None
    assert rollouts_needed(Losses(100, 0.5), Losses(0, 0.5), least=MOST) is None


def test_more_than_those_that_were_made_are_asked_for() -> None:
    assert rollouts_needed(Losses(100, 5), Losses(0, 5)) == 4
    assert rollouts_needed(Losses(100, 5), Losses(0, 5), least=4) == 5


def test_how_bursty_a_service_is_is_taken_from_its_rollouts() -> None:
    rng = np.random.default_rng(17)
    for k in (0.5, 2.0):
        one, two = losses_of([ints(bursty(rng, 40, k, (300,))), ints(bursty(rng, 10, k, (300,)))])
        assert one.k == two.k == pytest.approx(k, rel=0.25)
        assert (one.mean, two.mean) == pytest.approx((40, 10), rel=0.2)


def test_too_few_rollouts_say_nothing_about_bursts() -> None:
    assert [side.k for side in losses_of([(5, 9), (0, 0, 0, 0)])] == [USUAL_K] * 2
    assert losses_of([(), (3,)])[0] == Losses(0.0, USUAL_K)
