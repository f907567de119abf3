"""The measures by which two sides are compared, each over whole rollouts. Lost requests stand by themselves; all others
are corrected among each other, so that one of them looks different by chance no more often than the level says.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING

from harness.judge import odds
from harness.judge.comparison.alike import unlike_rates
from harness.judge.comparison.record import Difference
from harness.judge.comparison.significance.design import Point, Unit, interval, measured
from harness.judge.comparison.significance.exact import LEVEL, holm

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.judge.comparison.rollouts import OneRollout
    from harness.judge.comparison.sides import Side
    from harness.judge.numbers.summary import Latency

COUNT, SHARE, NANOSECONDS = "count", "share", "ns"
LOST, LOSSY, BAD_SECONDS, OUTAGE, P99, REACH, ROLLOUT = (
    "lost", "lossy", "bad_seconds", "outage", "p99", "reach", "rollout",
)  # fmt: skip
OF_LOSSES = frozenset({LOSSY, BAD_SECONDS, OUTAGE})  # what is lost, seen in another way


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure. `of` is None where a rollout does not tell it, or tells only a lower bound."""

    id: str
    name: str
    unit: str
    of: Callable[[OneRollout], float | None]


def _percentile(p: str) -> Callable[[OneRollout], float | None]:
    def of(one: OneRollout) -> float | None:
        latency: Latency | None = one.during
        return latency.percentiles[p] if latency else None

    return of


MEASURES = (
    Measure(LOST, "lost requests a rollout", COUNT, lambda one: one.lost),
    Measure(LOSSY, "rollouts that lost requests", SHARE, lambda one: float(one.lost > 0)),
    Measure(BAD_SECONDS, "seconds with failures a rollout", COUNT, lambda one: one.bad_seconds),
    Measure(OUTAGE, "longest outage", NANOSECONDS, lambda one: one.outage_ns),
    Measure("p50", "p50 during the rollout", NANOSECONDS, _percentile("50")),
    Measure("p95", "p95 during the rollout", NANOSECONDS, _percentile("95")),
    Measure(P99, "p99 during the rollout", NANOSECONDS, _percentile("99")),
    Measure(REACH, "reach", NANOSECONDS, lambda one: None if one.reach_at_least else one.reach_ns),
    Measure("cut", "cut streams a rollout", COUNT, lambda one: one.cut),
    Measure("back", "longest reconnect", NANOSECONDS, lambda one: one.back_ns),
    Measure(ROLLOUT, "rollout to the end", NANOSECONDS, lambda one: one.settled_ns),
)


def differences(before: Side, after: Side, unit: Unit, level: float = LEVEL) -> tuple[Difference, ...]:
    """Compare all measures: the primary one first, the others with their corrected p."""
    named = [replace(one, name=one.name.replace("requests", before.noun)) for one in MEASURES]
    found = [_difference(measure, before, after, unit) for measure in named]
    others = [one for one in found if one.p is not None and not one.primary]
    corrected = dict(
        zip((one.measure for one in others), holm([one.p or 0.0 for one in others]), strict=True)
    )
    return tuple(_decided(one, corrected.get(one.measure), level) for one in found)


def points(side: Side, of: Callable[[OneRollout], float | None]) -> list[Point]:
    """Return the rollouts' values of one measure, without those that do not tell it."""
    found = ((one, of(one)) for one in side.rollouts)
    return [Point(value, one.run, one.block) for one, value in found if value is not None]


def _difference(measure: Measure, before: Side, after: Side, unit: Unit) -> Difference:
    sides = points(before, measure.of), points(after, measure.of)
    values = [[point.value for point in side] for side in sides]
    counts = measure.unit != NANOSECONDS
    typical = [_typical(side, counts=counts) for side in values]
    one = Difference(
        measure=measure.id,
        name=measure.name,
        unit=measure.unit,
        before=typical[0],
        after=typical[1],
        low=None,
        high=None,
        rollouts_before=len(values[0]),
        rollouts_after=len(values[1]),
        p=None,
        corrected_p=None,
        least_p=None,
    )
    if not (values[0] and values[1]):
        return one
    test = measured(sides[0], sides[1], unit, counts=counts)
    p = test.p
    if measure.id == LOSSY and unit is Unit.ROLLOUTS:
        bad, of, bad_after, of_after = (
            int(sum(values[0])),
            len(values[0]),
            int(sum(values[1])),
            len(values[1]),
        )
        p = odds.shares_p(bad, of, bad_after, of_after)
    direction = test.direction
    if measure.id == LOST and (rates := unlike_rates(before, after)):
        equal = [
            [replace(point, value=round(point.value * min(rates) / rate)) for point in side]
            for side, rate in zip(sides, rates, strict=True)
        ]
        again = measured(equal[0], equal[1], unit, counts=True)
        p = max(p, again.p) if again.direction == direction else 1.0
    span = interval(sides[0], sides[1], unit, counts=counts)
    low, high = span or (None, None)
    return replace(one, low=low, high=high, p=p, least_p=test.least_p, direction=direction)


def _decided(one: Difference, corrected: float | None, level: float) -> Difference:
    """Keep the direction only where it is beyond chance, and where the typical values go the same way."""
    p = one.p if one.primary else corrected
    sure = p is not None and p <= level and one.before is not None and one.after is not None
    same = sure and math.copysign(1, (one.after or 0) - (one.before or 0)) == one.direction
    return replace(one, corrected_p=corrected, direction=one.direction if same else 0)


def _typical(values: Sequence[float], *, counts: bool) -> float | None:
    if not values:
        return None
    return math.fsum(values) / len(values) if counts else float(median(values))
