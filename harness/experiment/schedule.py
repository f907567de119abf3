"""In which order the rollouts of an experiment are made, and when it may end early. Pure.

A night drifts: nodes fill up, neighbours come and go. So the versions take turns in blocks, in each of which the order
is drawn at random. A test that shuffles within the same blocks is exact whatever the drift is (Fisher 1935, The Design
of Experiments).
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

from harness.judge.comparison.significance.exact import Block, least_p
from harness.recording.series.experiment import Look, Step

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

PER_BLOCK = 3  # rollouts of each version in a block: 20 orders of two versions


def in_blocks(arms: Sequence[str], rollouts: int, chance: Random) -> tuple[Step, ...]:
    """Draw the order of `rollouts` rollouts of each version, in blocks of at most PER_BLOCK of each."""
    order: list[Step] = []
    for block, first in enumerate(range(0, rollouts, PER_BLOCK), start=1):
        steps = [Step(arm, block) for arm in arms for _ in range(min(PER_BLOCK, rollouts - first))]
        chance.shuffle(steps)
        order += steps
    return tuple(order)


def one_after_another(arms: Sequence[str]) -> tuple[Step, ...]:
    """Take each version once, in the order given."""
    return tuple(Step(arm, block) for block, arm in enumerate(arms, start=1))


def looks(order: Sequence[Step], level: float) -> tuple[Look, ...]:
    """State, before anything is measured, after which blocks the two versions are compared, and at which level.

    What a look may use of `level` grows with the share of the rollouts made, as O'Brien and Fleming's bound does (the
    spending function of Lan and DeMets 1983, Biometrika 70:659). Each look gets what was added since the last one, so
    that all together are wrong at most that often (Bonferroni), whatever is compared. A look that could find nothing
    at its level is left out, and leaves it to the next one.
    """
    sizes = [sum(step.block == block for step in order) // 2 for block in sorted({s.block for s in order})]
    found: list[Look] = []
    spent = 0.0
    for block in range(1, len(sizes) + 1):
        last = block == len(sizes)
        allowed = level if last else _allowed(sum(sizes[:block]) / sum(sizes), level)
        if last or _least_p(sizes[:block]) <= allowed - spent:
            found.append(Look(block, allowed - spent))
            spent = allowed
    return tuple(found)


def _least_p(sizes: Sequence[int]) -> float:
    return least_p([Block((0,) * size, (0,) * size) for size in sizes])


def _allowed(share: float, level: float) -> float:
    """Return what may be used of `level` once this share of the rollouts is made: 0.0 at first, `level` at the end."""
    normal = NormalDist()
    return 2 - 2 * normal.cdf(normal.inv_cdf(1 - level / 2) / math.sqrt(share))
