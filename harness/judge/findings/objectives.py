"""The scenario's own objectives: each condition, the measured value, and whether it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.judge.findings.finding import Finding
from harness.judge.wording import lasting, share
from harness.model import Grade
from harness.scenario.objectives import (
    DURATIONS,
    LATENCIES,
    OF_STREAMS,
    STATUSES,
    Condition,
    conditions,
    wanted,
)

if TYPE_CHECKING:
    from harness.judge.findings.case import Case
    from harness.judge.numbers.measured import Measured
    from harness.judge.numbers.summary import Latency, Numbers
    from harness.judge.streams.numbers import StreamNumbers


def findings(case: Case, lost: int) -> tuple[Finding, ...]:
    """Judge each condition. One whose metric was not measured withholds a PASS."""
    run, numbers, measured = case.run, case.numbers, case.measured
    found = []
    for condition, must in conditions(run.scenario):
        objective = wanted(condition, must=must)
        if condition.metric in OF_STREAMS:
            value = _of_streams(condition.metric, case.streams)
        else:
            value = _measure(condition, numbers, measured, lost)
        if value is None:
            found.append(Finding(objective, f"{_name(condition)} was not measured", Grade.INCONCLUSIVE))
        else:
            grade = Grade.PASS if condition.holds(value) is must else Grade.FAIL
            found.append(
                Finding(objective, f"{_name(condition)} is {_say(condition, value, numbers)}", grade)
            )
    return tuple(found)


def _name(condition: Condition) -> str:
    return condition.metric + (f" in {condition.phase}" if condition.phase else "")


def _say(condition: Condition, value: float, numbers: Numbers) -> str:
    if condition.metric in DURATIONS:
        return lasting(value) if value else "0"
    if condition.metric == "failed_share":
        return share(round(value * numbers.requests), numbers.requests)
    return f"{value:,.1f}" if condition.metric == "rate" else f"{value:,.0f}"


def _measure(condition: Condition, numbers: Numbers, measured: Measured | None, lost: int) -> float | None:
    metric = condition.metric
    part = next((p for p in numbers.parts if p.name == condition.phase), None)
    if condition.phase and part is None:
        return None
    latency = part.latency if part else numbers.latency
    if metric in LATENCIES:
        return _latency(latency, metric)
    failed, requests = (part.failed, part.requests) if part else (numbers.failed, numbers.requests)
    if metric.isdigit() or metric in STATUSES:
        kinds = part.kinds if part else {kind.kind: kind.count for kind in numbers.kinds}
        # An expected status is not a failure, but it was counted.
        return float(kinds.get(metric, 0) if part else numbers.statuses.get(metric, kinds.get(metric, 0)))
    values: dict[str, float | None] = {
        "failed": failed,
        "requests": requests,
        "failed_share": failed / requests if requests else None,
        "bad_seconds": part.bad_seconds if part else numbers.bad_seconds,
        "lost": lost,
        "hard_failures": numbers.hard,
        "masked": numbers.masked,
        "stalled": numbers.stalled,
        "rate": numbers.rates.mean,
        "outage": numbers.outage.to_ns - numbers.outage.from_ns if numbers.outage else 0,
        "lag": measured.lag.max_ns if measured and measured.lag else None,
    }
    return values[metric]


def _of_streams(metric: str, streams: StreamNumbers | None) -> float | None:
    if streams is None or (metric == "missed" and not streams.numbered):
        return None
    back_ns = streams.back.max_ns if streams.back else 0
    values = {
        "cut": streams.cut,
        "away": streams.away,
        "missed": streams.missed,
        "reconnect": max(back_ns, streams.away_ns),
        "gap": streams.gap_ns,
    }
    return float(values[metric])


def _latency(latency: Latency | None, metric: str) -> float | None:
    if latency is None:
        return None
    if metric in {"mean", "max"}:
        return latency.mean_ns if metric == "mean" else latency.max_ns
    return latency.percentiles[metric[1:]]
