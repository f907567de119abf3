"""The table: both sides, measure by measure, in words that are ready to print.

Of a side of several rollouts, counts are sums, times and latencies medians over rollouts, outages the longest.
"""

from __future__ import annotations

from collections import Counter
from statistics import median_low
from typing import TYPE_CHECKING

from harness.clock import Clock
from harness.judge.comparison.record import Row
from harness.judge.wording import count, lasting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from harness.judge.comparison.rollouts import OneRollout
    from harness.judge.comparison.sides import Side
    from harness.judge.numbers.summary import Latency

    Of = Callable[[OneRollout], int | None]

_RUN = 17  # characters of a run's name: its time
_PERCENTILES = ("50", "90", "95", "99")
_KINDS = 8  # of failures that get a row


def rows_of(before: Side, after: Side) -> tuple[Row, ...]:
    """Return the table's lines."""
    return tuple(_rows(before, after))


def _rows(before: Side, after: Side) -> Iterator[Row]:
    sides = before, after
    several = any(len(side.shown) > 1 for side in sides)
    yield _words("run" if not any(len(side.runs) > 1 for side in sides) else "runs", sides, _runs)
    yield _words("began (UTC)", sides, _began)
    yield _words("verdict", sides, _verdicts)
    if several or any(side.left_out for side in sides):
        yield _words("rollouts that count", sides, _counted)
    yield from _sums(before, after)
    if several:
        yield _words("rollouts that lost requests", sides, _lossy)
        yield _words("lost a rollout, mean", sides, _mean)
    yield _sum("seconds with failures", sides, lambda one: one.bad_seconds)
    yield _time("longest outage", sides, lambda one: one.outage_ns, max)
    yield _sum("stalled", sides, lambda one: one.stalled)
    yield from _latencies(sides, several=several)
    typical = ", median" if several else ""
    yield _time(f"reach{typical}", sides, lambda one: one.reach_ns, least=lambda one: one.reach_at_least)
    yield _time(f"lag{typical}", sides, lambda one: one.lag_ns, least=lambda one: one.lag_at_least)
    yield _time(
        "rollout to the end, median" if several else "rollout, to the end", sides, lambda one: one.settled_ns
    )
    yield _time(
        "  `rollout status`, median" if several else "  `rollout status` done",
        sides,
        lambda one: one.status_done_ns,
    )
    yield _time("load generator's lag, p99", sides, lambda one: one.generator_lag_ns, max)
    rates = [
        sum(run.requests_per_s for run in side.runs) / len(side.runs) if side.runs else 0.0 for side in sides
    ]
    yield Row("requests/s", f"{rates[0]:,.1f}", f"{rates[1]:,.1f}", _percent(*rates))


def _sums(before: Side, after: Side) -> Iterator[Row]:
    sides = before, after
    yield _sum("requests", sides, lambda one: one.requests)
    yield _sum("failed", sides, lambda one: one.failed)
    yield _sum("  because of the rollout", sides, lambda one: one.lost)
    yield _sum("  masked by a retry", sides, lambda one: one.masked)
    yield _sum("  hard", sides, lambda one: one.hard)
    for kind in _kinds(sides):
        yield _sum(f"  {kind}", sides, _failed(kind))


def _latencies(sides: tuple[Side, Side], *, several: bool) -> Iterator[Row]:
    typical = ", median" if several else ""
    for phase in ("before", "during", "after"):
        for p in _PERCENTILES:
            yield _time(f"p{p} {phase} (good){typical}", sides, _of_phase(phase, p))
    yield _time("max during (good)", sides, lambda one: one.during.max_ns if one.during else None, max)
    for kind in _kinds(sides):
        yield _time(f"p50 of {kind}{typical}", sides, _of_kind(kind))


def _kinds(sides: tuple[Side, Side]) -> list[str]:
    """Return the kinds of failures, the most frequent first."""
    kinds = Counter[str]()
    for side in sides:
        for one in side.shown:
            kinds.update(one.kinds)
    return [kind for kind, _ in sorted(kinds.items(), key=lambda item: (-item[1], item[0]))[:_KINDS]]


def _failed(kind: str) -> Of:
    return lambda one: one.kinds.get(kind, 0)


def _of_kind(kind: str) -> Of:
    return lambda one: _percentile(one.kind_latency.get(kind), "50")


def _of_phase(phase: str, p: str) -> Of:
    return lambda one: _percentile({"before": one.before, "during": one.during, "after": one.after}[phase], p)


def _percentile(latency: Latency | None, p: str) -> int | None:
    return latency.percentiles[p] if latency else None


def _words(name: str, sides: tuple[Side, Side], said: Callable[[Side], str]) -> Row:
    return Row(name, said(sides[0]), said(sides[1]), "")


def _runs(side: Side) -> str:
    return side.runs[0].folder[:_RUN] if len(side.runs) == 1 else count(len(side.runs), "run")


def _began(side: Side) -> str:
    return f"{Clock(0, min(run.began_ns for run in side.runs)).wall(0):%m-%d %H:%M}" if side.runs else "-"


def _verdicts(side: Side) -> str:
    if len(side.runs) == 1:
        return side.runs[0].grade
    return ", ".join(f"{n} {grade}" for grade, n in Counter(str(run.grade) for run in side.runs).items())


def _counted(side: Side) -> str:
    return f"{len(side.rollouts)} of {len(side.rollouts) + len(side.left_out)}"


def _lossy(side: Side) -> str:
    return f"{side.lossy} of {len(side.rollouts)}" if side.rollouts else "-"


def _mean(side: Side) -> str:
    return f"{sum(side.lost) / len(side.lost):,.1f}" if side.lost else "-"


def _sum(name: str, sides: tuple[Side, Side], of: Of) -> Row:
    was, now = (sum(of(one) or 0 for one in side.shown) for side in sides)
    return Row(name, f"{was:,}", f"{now:,}", f"{now - was:+,}" if now != was else "=")


def _time(
    name: str,
    sides: tuple[Side, Side],
    of: Of,
    typical: Callable[[Iterable[int]], int] = median_low,
    least: Callable[[OneRollout], bool] = lambda _: False,
) -> Row:
    """Return the line of a time. Where a rollout only bounds it from below (`least`), so does the side: ">= 2 s"."""
    values = [[value for one in side.shown if (value := of(one)) is not None] for side in sides]
    bounded = [any(least(one) and of(one) is not None for one in side.shown) for side in sides]
    found = [typical(side) if side else None for side in values]
    said = [
        "-" if value is None else f"{'>= ' if bound else ''}{lasting(value) if value else '0'}"
        for value, bound in zip(found, bounded, strict=True)
    ]
    was, now = found
    change = "" if was is None or now is None or any(bounded) else _percent(was, now)
    return Row(name, said[0], said[1], change)


def _percent(before: float, after: float) -> str:
    if before == after:
        return "="
    return f"{100 * (after - before) / before:+.0f} %" if before else "new"
