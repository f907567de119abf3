"""Snapshots of a run, as the conductor would make them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.clock import NS
from harness.cluster.rollout.podnews import PodNews
from harness.cluster.rollout.progress import Progress, Status
from harness.model import LATENCY_STEPS, FirstFailure, LiveCounts, Phase
from harness.progress.history import History
from harness.run import steps
from harness.run.observing import Snapshot
from harness.run.stopping import Limits

if TYPE_CHECKING:
    from collections.abc import Iterable

LIMITS = Limits(
    duration_ns=60 * NS, trigger_after_ns=20 * NS, settle_ns=10 * NS, max_time_ns=900 * NS, rollout_ns=12 * NS
)
WARMING = steps.Step(steps.WARMUP, 0, 2 * NS)
BASELINE = steps.Step(steps.BASELINE, 2 * NS, 22 * NS)
ROLLING = steps.Step(steps.ROLLOUT, 22 * NS)
MILLISECOND = 20 * LATENCY_STEPS  # 1.05 ms, more exactly


def counts(completed: int = 0, failed: int = 0, **more: Any) -> LiveCounts:
    statuses = {200: completed - failed} | ({503: failed} if failed else {})
    return LiveCounts(
        completed=completed,
        failed=failed,
        **{"statuses": statuses, "latencies": {MILLISECOND: completed - failed}, **more},
    )


def pods(ready: int, old: int, new: int) -> Progress:
    return Progress(Status(done=False, message=""), old, new, ready, enough=True, endpoints_settled=False)


def snapshot(second: float, step: steps.Step | None = ROLLING, **more: Any) -> Snapshot:
    """A run that has lasted so long."""
    course = steps.course(LIMITS, rollout=True, lull_ns=0)
    given = {"phase": Phase.DURING, "counts": counts(), "step": step, "course": course, **more}
    return Snapshot(round(second * NS), **given)


def first(kind: str, second: float, words: str = "", pod: str = "") -> FirstFailure:
    return FirstFailure(kind, round(second * NS), words, pod)


def news(what: str, *names: str) -> tuple[PodNews, ...]:
    return tuple(PodNews(0, name, what) for name in names)


def history(of: Iterable[Snapshot]) -> History:
    found = History()
    for one in of:
        found.take(one)
    return found
