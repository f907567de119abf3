"""Which run begins next, and how long all of them will take. Pure: it is told the time.

Two runs go on at the same time only if they share nothing: neither workload nor balancer, nor what a suite file says
that they share. A scenario that would end after the budget is left out when its turn comes; a shorter one may still
fit. A run that takes longer than expected is not cut: its own limit ends it.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from harness.clock import NS

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from harness.scenario.schema import Scenario

LATEST = 5  # earlier runs that an estimate is made from
BESIDE_LOAD_S = 15.0  # start, checks, judgement and reports
OF_THE_LAB_S = 10.0  # until its pods are ready
A_ROLLOUT_S = 60.0  # of a workload that was never rolled out here
MARGIN_S = 180.0  # for start, judgement and reports on a busy machine


@dataclass(frozen=True, slots=True)
class Turn:
    """One scenario for the plan: how long it takes, as far as is known, and what it must not share."""

    expected_s: float
    shares: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Forecast:
    """When each scenario would begin, None if it is left out, and when the last one would end. Seconds."""

    begins_s: tuple[float | None, ...]
    ends_s: float


def next_one(
    waiting: Sequence[int], running: Collection[int], turns: Sequence[Turn], parallel: int
) -> int | None:
    """Return the first of those that wait, in their order, which may begin now; None if none may."""
    if len(running) >= parallel:
        return None
    taken = frozenset().union(*(turns[number].shares for number in running))
    return next((number for number in waiting if not turns[number].shares & taken), None)


def too_late(
    waiting: Sequence[int], turns: Sequence[Turn], now_s: float, budget_s: float | None
) -> list[int]:
    """Return those that would end after the budget if they began now: they never will fit again."""
    if budget_s is None:
        return []
    return [number for number in waiting if now_s + turns[number].expected_s > budget_s]


def forecast(turns: Sequence[Turn], parallel: int, budget_s: float | None) -> Forecast:
    """Say how the night goes if every run takes as long as expected; `turns` are in order."""
    waiting, running = list(range(len(turns))), dict[int, float]()
    begins: list[float | None] = [None] * len(turns)
    now_s = 0.0
    while waiting or running:
        late = too_late(waiting, turns, now_s, budget_s)
        waiting = [number for number in waiting if number not in late]
        while (number := next_one(waiting, running, turns, parallel)) is not None:
            waiting.remove(number)
            begins[number] = now_s
            running[number] = now_s + turns[number].expected_s
        if not running:
            break
        now_s = min(running.values())
        running = {number: end_s for number, end_s in running.items() if end_s > now_s}
    return Forecast(tuple(begins), now_s)


def estimate_s(scenario: Scenario, lengths_s: Sequence[float], *, lab: bool) -> float:
    """Return how long a run will take: the median of the latest ones, else what its scenario asks for. Seconds.

    `lengths_s` are of the loads of earlier runs, the newest first.
    """
    beside_s = BESIDE_LOAD_S + (OF_THE_LAB_S if lab else 0)
    if lengths_s:
        return median(lengths_s[:LATEST]) + beside_s
    rollout = scenario.rollout
    each_s = (scenario.trigger_after_ns + rollout.settle) / NS + A_ROLLOUT_S
    load_s = max(scenario.load.duration / NS, rollout.rollouts * each_s)
    return min(load_s, rollout.max_time / NS) + beside_s


def limit_s(scenario: Scenario) -> float:
    """Return after how long a run is ended that should have ended by itself. Seconds."""
    load = scenario.load
    return (load.duration + scenario.rollout.max_time + load.drain) / NS + MARGIN_S
