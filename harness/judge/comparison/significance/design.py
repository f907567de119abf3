"""What may be permuted, rollouts, rollouts within blocks, or whole runs: how they were made decides. Pure.

Two rollouts of one run share its hour, its neighbours and its balancer, and may be alike for that. So where a side has
several runs, a difference must show between whole runs, too. In an experiment whose blocks were dealt by chance,
whatever drifts from block to block, or from one rollout to the next, touches both sides alike.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING

from harness.judge.comparison.significance.exact import LEVEL, Block, between_runs_p, midranks, permuted
from harness.judge.comparison.significance.resampling import difference_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.judge.comparison.significance.resampling import Clusters

_MOST_ROLLOUTS = 60  # of one run, whose mean is still taken exactly


class Unit(StrEnum):
    """What changes sides in a test."""

    ROLLOUTS = "rollouts"
    BLOCKS = "rollouts within blocks"
    RUNS = "runs"
    BOTH = "rollouts, and the means of runs"  # too few runs to permute: both tests must say so


@dataclass(frozen=True, slots=True)
class Point:
    """One rollout's value of one measure, and where it comes from. `block` 0: none."""

    value: float
    run: str
    block: int = 0


@dataclass(frozen=True, slots=True)
class Tested:
    """The p of a difference (two-sided), the least that so many rollouts can give, and where AFTER tends to."""

    p: float
    least_p: float
    direction: int


def unit_of(before: Sequence[Point], after: Sequence[Point], level: float = LEVEL) -> Unit:
    """Decide what may be permuted."""
    if all(point.block for point in (*before, *after)):
        return Unit.BLOCKS
    runs = [Counter(point.run for point in side) for side in (before, after)]
    alone = all(rollouts == 1 for side in runs for rollouts in side.values())
    a, b = map(len, runs)
    if alone or (a == b == 1):
        return Unit.ROLLOUTS
    return Unit.RUNS if 2 / math.comb(a + b, b) <= level else Unit.BOTH


def measured(before: Sequence[Point], after: Sequence[Point], unit: Unit, *, counts: bool) -> Tested:
    """Test one measure. Counts are compared by their sums, times by their ranks, for one long one says little."""
    if unit is Unit.RUNS:
        before, after = _of_runs(before), _of_runs(after)
    values = [point.value for point in (*before, *after)]
    whole = _whole(values) if counts else midranks(values)
    first, second = whole[: len(before)], whole[len(before) :]
    found = permuted(_blocks(before, after, first, second) if unit is Unit.BLOCKS else [Block(first, second)])
    p = found.p
    if unit is Unit.BOTH:
        means = [[point.value for point in _of_runs(side)] for side in (before, after)]
        p = max(p, between_runs_p(*means))
    return Tested(p, found.least_p, found.direction)


def interval(
    before: Sequence[Point], after: Sequence[Point], unit: Unit, *, counts: bool
) -> tuple[float, float] | None:
    """Return the 95 % interval of AFTER minus BEFORE, of means for counts and of medians for times."""
    together = unit is Unit.RUNS
    return difference_interval(_clusters(before, together), _clusters(after, together), median=not counts)


def _clusters(side: Sequence[Point], together: bool) -> Clusters:  # noqa: FBT001
    if not together:
        return tuple((point.value,) for point in side)
    runs: dict[str, list[float]] = {}
    for point in side:
        runs.setdefault(point.run, []).append(point.value)
    return tuple(map(tuple, runs.values()))


def _of_runs(side: Sequence[Point]) -> list[Point]:
    """Return one point per run: the mean of its rollouts."""
    runs: dict[str, list[float]] = {}
    for point in side:
        runs.setdefault(point.run, []).append(point.value)
    return [Point(math.fsum(values) / len(values), run) for run, values in runs.items()]


def _whole(values: Sequence[float]) -> tuple[int, ...]:
    """Return counts, or means of a few counts, as whole numbers in proportion."""
    scale = math.lcm(*(Fraction(value).limit_denominator(_MOST_ROLLOUTS).denominator for value in values))
    return tuple(round(value * scale) for value in values)


def _blocks(
    before: Sequence[Point], after: Sequence[Point], first: Sequence[int], second: Sequence[int]
) -> list[Block]:
    found: dict[int, tuple[list[int], list[int]]] = {}
    for side, (points, values) in enumerate(((before, first), (after, second))):
        for point, value in zip(points, values, strict=True):
            found.setdefault(point.block, ([], []))[side].append(value)
    return [Block(tuple(a), tuple(b)) for a, b in found.values() if a and b]
