"""Sides made of invented rollouts: what each lost, and whatever else a test is about."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.judge.comparison.rollouts import OneRollout
from harness.judge.comparison.sides import LeftOut, OneRun, Side
from harness.judge.numbers.summary import Latency
from harness.model import Grade

if TYPE_CHECKING:
    from collections.abc import Sequence

MS, S = 1_000_000, 1_000_000_000


def latency(p50_ms: float) -> Latency:
    """Of which p95 is twice as long, p99 three times."""
    at = {"50": 1.0, "75": 1.3, "90": 1.7, "95": 2.0, "99": 3.0}
    took = {p: int(p50_ms * factor * MS) for p, factor in at.items()}
    return Latency(1000, p50_ms * MS, 0.0, 4 * took["50"], took)


def rollout(lost: int = 0, **fields: Any) -> OneRollout:
    one = OneRollout(
        run="20261130T030000Z-web",
        number=1,
        began_ns=1_796_000_000 * S,
        block=0,
        grade=Grade.FAIL if lost else Grade.PASS,
        requests=20_000,
        during_requests=6_000,
        failed=lost,
        masked=0,
        hard=lost,
        lost=lost,
        stalled=0,
        rate_before=400.0,
        kinds={"502": lost} if lost else {},
        kind_latency={},
        bad_seconds=min(lost, 3),
        outage_ns=lost * 10 * MS,
        before=latency(20),
        during=latency(22),
        after=latency(20),
        reach_ns=2 * S,
        reach_at_least=False,
        lag_ns=S,
        lag_at_least=False,
        reach=(),
        headroom=(),
        status_done_ns=12 * S,
        settled_ns=20 * S,
        generator_lag_ns=2 * MS,
        length_ns=90 * S,
        causes={"B1": lost} if lost else {},
        cause_names={"B1": "no preStop"} if lost else {},
    )
    return replace(one, **fields)


def run(folder: str = "20261130T030000Z-web", **fields: Any) -> OneRun:
    one = OneRun(
        folder=folder,
        began_ns=1_796_000_000 * S,
        grade=Grade.PASS,
        headline="none of 20,000 requests failed",
        format=1,
        version="0.2.0",
        loop="closed",
        load="50 connections",
        load_from="outside the cluster",
        strength=50.0,
        targets=("GET http://web/",),
        http2=False,
        trigger="restart",
        workload="Deployment shop/web",
        replicas=3,
        cluster="https://one:6443",
        balancers=("nginx",),
        timeout_ns=65 * S,
        expect=((200, 299),),
        doubts=(),
        objects="aa",
        requests_per_s=400.0,
    )
    return replace(one, **fields)


def side(name: str, lost: Sequence[int], *, runs: int = 1, **fields: Any) -> Side:
    """One rollout for each number, dealt to so many runs one after the other."""
    folders = [f"2026113{number}T030000Z-{name}" for number in range(runs)]
    each = len(lost) // runs
    rollouts = tuple(
        rollout(count, run=folders[min(at // each, runs - 1)], number=at % each + 1)
        for at, count in enumerate(lost)
    )
    made = Side(name, tuple(run(folder) for folder in folders), rollouts)
    return replace(made, **fields)


def with_each(one: Side, **fields: Any) -> Side:
    """The same side with something changed in all of its rollouts."""
    return replace(one, rollouts=tuple(replace(each, **fields) for each in one.rollouts))


def with_runs(one: Side, **fields: Any) -> Side:
    return replace(one, runs=tuple(replace(each, **fields) for each in one.runs))


def left_out(why: str, **fields: Any) -> LeftOut:
    return LeftOut("20261130T040000Z-web", 1, why, rollout(**fields))
