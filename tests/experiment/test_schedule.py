"""The order of an experiment's rollouts, and when it may end early."""

from __future__ import annotations

from collections import Counter
from random import Random

import numpy as np
import pytest

from harness.experiment.schedule import in_blocks, looks, one_after_another
from harness.judge.comparison.significance.exact import Block, permuted

AB = ("before", "after")


@pytest.mark.parametrize("rollouts", [1, 2, 3, 4, 6, 7, 12])
def test_each_block_has_as_many_rollouts_of_either_version(rollouts: int) -> None:
    order = in_blocks(AB, rollouts, Random(1))
    assert Counter(step.arm for step in order) == {"before": rollouts, "after": rollouts}
    for block in {step.block for step in order}:
        inside = Counter(step.arm for step in order if step.block == block)
        assert inside["before"] == inside["after"] <= 3


def test_blocks_follow_each_other() -> None:
    blocks = [step.block for step in in_blocks(AB, 7, Random(2))]
    assert blocks == sorted(blocks)


def test_the_order_is_drawn_and_a_seed_draws_it_again() -> None:
    orders = {tuple(step.arm for step in in_blocks(AB, 6, Random(seed))) for seed in range(40)}
    assert len(orders) > 20
    assert in_blocks(AB, 6, Random(5)) == in_blocks(AB, 6, Random(5))


def test_one_after_another_takes_each_version_once() -> None:
    assert [(step.arm, step.block) for step in one_after_another(("a", "b"))] == [("a", 1), ("b", 2)]


@pytest.mark.parametrize("rollouts", [2, 3, 6, 9, 12, 24])
@pytest.mark.parametrize("level", [0.01, 0.05, 0.2])
def test_all_looks_together_use_exactly_the_level(rollouts: int, level: float) -> None:
    stated = looks(in_blocks(AB, rollouts, Random(3)), level)
    assert sum(look.level for look in stated) == pytest.approx(level)
    assert stated[-1].after_blocks == -(-rollouts // 3)


def test_a_look_that_could_find_nothing_is_not_stated() -> None:
    assert [look.after_blocks for look in looks(in_blocks(AB, 6, Random(4)), 0.05)] == [2]
    assert len(looks(in_blocks(AB, 12, Random(4)), 0.05)) > 1


def test_looking_early_raises_no_more_false_alarms_than_stated() -> None:
    """Equal versions, bursty losses, a drift from block to block: stop at the first look that finds a difference."""
    rng = np.random.default_rng(7)
    stated = looks(in_blocks(AB, 12, Random(0)), 0.05)
    experiments, alarms = 400, 0
    for _ in range(experiments):
        blocks = []
        for _block in range(4):
            night = rng.gamma(0.5, 20.0)
            values = rng.poisson(rng.gamma(0.7, night, size=6))
            blocks.append(Block(tuple(map(int, values[:3])), tuple(map(int, values[3:]))))
        alarms += any(permuted(blocks[: look.after_blocks]).p <= look.level for look in stated)
    assert alarms / experiments <= 0.05 + 2 * (0.05 * 0.95 / experiments) ** 0.5
